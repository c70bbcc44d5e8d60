import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { commandsNaming, openTemporaryFolder, probeFrames } from '../support/clips.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const SMALL = ['--source', 'scene', '--size', '256x160', '--output', 'painted'];

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const start = (args: string[]): ChildProcessWithoutNullStreams =>
	spawn(process.execPath, [cli, 'run', ...args], {
		env: { PATH: process.env['PATH'], HOME: folder.at('home') },
		cwd: folder.at('.'),
		stdio: 'pipe',
	});

/** Resolves when stderr says so. */
const said = async (child: ChildProcessWithoutNullStreams, words: string): Promise<void> => {
	for await (const chunk of child.stderr.iterator({ destroyOnReturn: false }))
		if (String(chunk).includes(words)) return;
	throw new Error(`ended without saying ${words}`);
};

describe('run', () => {
	test('paints, gives data alone on stdout, and the same report in the file', async () => {
		const child = start([
			...SMALL,
			'--frames',
			'12',
			'--pace',
			'max',
			'--sink',
			'file:twelve.mp4',
			'--report',
			'r.json',
			'--json',
		]);
		const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
		expect(code, stderr).toBe(0);
		const report = JSON.parse(stdout) as Report;
		expect(report).toMatchObject({
			model: 'lite',
			size: { width: 256, height: 160 },
			framesIn: 12,
			framesOut: 12,
			framesDropped: 0,
		});
		expect(report.fps).toBeGreaterThan(0);
		expect(report.latencyMs.p50).toBeGreaterThan(0);
		expect(report.rssPeakMiB).toBeGreaterThan(50);
		expect(JSON.parse(readFileSync(folder.at('r.json'), 'utf8'))).toEqual(report);
		expect(stderr).toMatch(/12 of 12 frames painted/);
		expect(await probeFrames(folder.at('twelve.mp4'))).toHaveLength(12);
	});

	test.each(['SIGINT', 'SIGTERM'] as const)(
		'ends cleanly on %s: what was painted is whole, and nothing is left running',
		async (signal) => {
			const path = folder.at(`${signal}.mp4`);
			const child = start([...SMALL, '--sink', `file:${path}`, '--json']);
			const stdout = text(child.stdout);
			await said(child, '"progress"');
			child.kill(signal);
			const [code] = (await once(child, 'exit')) as [number | null];
			expect(code).toBe(0);
			const report = JSON.parse(await stdout) as Report;
			expect(report.framesOut).toBeGreaterThan(0);
			const frames = await probeFrames(path);
			expect(frames.length).toBeGreaterThanOrEqual(report.framesOut);
			expect(await commandsNaming(path)).toEqual([]);
		},
	);

	test('ends at once on a second signal, and leaves no file that looks whole', async () => {
		const path = folder.at('twice.mp4');
		const child = start([...SMALL, '--sink', `file:${path}`]);
		await said(child, '"progress"');
		child.kill('SIGINT');
		child.kill('SIGTERM');
		const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
		expect(['SIGINT', 'SIGTERM']).toContain(signal);
		expect(existsSync(path)).toBe(false);
		expect(await commandsNaming(path)).toEqual([]);
	});
});
