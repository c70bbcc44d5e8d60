// How soon a control is seen, and what it costs the line: a real run of the built-in scene at 512x288, asked by HTTP and looked
// at through the preview. For figures:
//   CONTROL_BENCH_SECONDS=60 node node_modules/.bin/vitest run test/bench/control.bench.test.ts
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { ServerState } from '../../sidecar/control/http/served.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';

const seconds = Number(process.env['CONTROL_BENCH_SECONDS'] ?? 3);
const times = Math.max(3, Math.round(seconds / 3));
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const BEAT_MS = 600;
/** The page's grid: each style again as soon as its thumbnail is no longer fresh. */
const STYLES = 8;
const SAMPLE_MS = 1250;
const EPOCH_AT = 16; // egress/preview-sink.ts

let folder: string;
let port: number;
let sidecar: ChildProcess;

const state = async () => (await (await fetch(`http://127.0.0.1:${port}/api/state`)).json()) as ServerState;
const ask = (command: object) =>
	fetch(`http://127.0.0.1:${port}/api/commands`, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify(command),
	});

beforeAll(async () => {
	folder = mkdtempSync(join(tmpdir(), 'allaprima-control-'));
	port = await freePort();
	const args = `run --source scene --sink null --provider cpu --fade 0 --http ${port}`.split(' ');
	const env = { PATH: process.env['PATH'], HOME: folder, XDG_RUNTIME_DIR: folder };
	sidecar = spawn(process.execPath, [cli, ...args], { stdio: 'ignore', env });
	await until(
		() =>
			state()
				.then(({ run }) => run.fps > 5)
				.catch(() => false),
		60_000,
	);
	await sleep(3000);
}, 90_000);
afterAll(async () => {
	sidecar.kill();
	if (sidecar.exitCode === null) await once(sidecar, 'exit');
	rmSync(folder, { recursive: true, force: true });
});

const quantile = (values: number[], q: number) =>
	values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? NaN;
const row = (what: string, figures: string, must = '') =>
	console.log(`${what.padEnd(64)} ${figures.padStart(30)}   ${must}`);

/** Calls back with each frame's epoch; asks for the next at once, as the page does. */
const watch = (onFrame: (epoch: number) => void): WebSocket => {
	const socket = new WebSocket(`ws://127.0.0.1:${port}/api/preview`);
	socket.on('open', () => socket.send('next'));
	socket.on('message', (message: Buffer) => {
		onFrame(message.readUInt32LE(EPOCH_AT));
		socket.send('next');
	});
	return socket;
};

/** The line's own rate, over some seconds. */
const rate = async (during: () => Promise<void> = () => sleep(seconds * 1000)): Promise<number> => {
	const { run: before } = await state();
	const startedMs = performance.now();
	await during();
	return ((await state()).run.framesOut - before.framesOut) / ((performance.now() - startedMs) / 1000);
};

it('measures how soon a change of style is seen', { timeout: 60_000 + times * 5000 }, async () => {
	let epoch = -1;
	let changedMs = 0;
	const socket = watch((newest) => {
		if (newest !== epoch) changedMs = performance.now();
		epoch = newest;
	});
	await until(() => epoch >= 0);
	const change = async (): Promise<[askedMs: number, seenMs: number]> => {
		const [before, askedMs] = [epoch, performance.now()];
		await ask({ type: 'next' });
		await until(() => epoch > before);
		return [askedMs, changedMs];
	};
	const delays: number[] = [];
	for (let i = 0; i < times; i++) {
		const [askedMs, seenMs] = await change();
		delays.push(seenMs - askedMs);
		await sleep(1000);
	}
	const figures = `${quantile(delays, 0.5).toFixed(0)} ms p50, ${Math.max(...delays).toFixed(0)} worst`;
	row('a style asked for by HTTP → its first frame in the preview', figures, 'must: 400 p50');

	const startedMs = performance.now();
	await ask({ type: 'tempo', bpm: 60_000 / BEAT_MS });
	const downbeatMs = (startedMs + performance.now()) / 2;
	await ask({ type: 'quantise', to: 'beat' });
	const off: number[] = [];
	for (let i = 0; i < times; i++) {
		const [, seenMs] = await change();
		off.push(((seenMs - downbeatMs + BEAT_MS / 2) % BEAT_MS) - BEAT_MS / 2);
		await sleep(700 + 97 * (i % 5));
	}
	await ask({ type: 'quantise', to: 'off' });
	socket.close();
	const spread = `${quantile(off, 0.5).toFixed(0)} ms p50, ${Math.min(...off).toFixed(0)} to ${Math.max(...off).toFixed(0)}`;
	row('a style that waits for the beat → its first frame after the beat', spread);
	expect(delays).toHaveLength(times);
});

it('measures what control costs the line', { timeout: 60_000 + seconds * 8000 }, async () => {
	const alone = await rate();
	let frames = 0;
	const socket = watch(() => frames++);
	await until(() => frames > 0);
	frames = 0;
	const watched = await rate();
	row('paintings/s while nobody looks', alone.toFixed(1));
	row(
		`while one looks, ${(frames / seconds).toFixed(1)} previews a second`,
		`${watched.toFixed(1)}, ${(100 * (1 - watched / alone)).toFixed(1)} % less`,
		'must: 5 %',
	);
	socket.close();
	const styles = (await (await fetch(`http://127.0.0.1:${port}/api/presets`)).json()) as { name: string }[];
	let painted = 0;
	const sampled = await rate(async () => {
		for (const end = performance.now() + seconds * 1000; performance.now() < end; await sleep(SAMPLE_MS)) {
			const { name } = styles[painted % STYLES]!;
			const { status } = await fetch(`http://127.0.0.1:${port}/api/thumbnails/${name}`);
			if (status === 200) painted++;
		}
	});
	row(
		`while ${STYLES} thumbnails are renewed every ten seconds`,
		`${sampled.toFixed(1)}, ${(100 * (1 - sampled / alone)).toFixed(1)} % less`,
		'must: 2 %',
	);
	expect(painted).toBeGreaterThan(0);
	const changing = await rate(async () => {
		for (const end = performance.now() + seconds * 1000; performance.now() < end; await sleep(50))
			await ask({ type: 'next' });
	});
	row(
		'while the style changes 20 times a second',
		`${changing.toFixed(1)}, ${(100 * (1 - changing / alone)).toFixed(1)} % less`,
		'must: at rate',
	);
	expect(alone).toBeGreaterThan(0);
	expect(changing).toBeGreaterThan(0);
});
