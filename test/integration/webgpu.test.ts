// WebGPU for real, without a GPU: onnxruntime's provider over Dawn and Vulkan on Mesa's driver in software.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunView } from '../../sidecar/control/http/served.ts';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { ffmpeg } from '../support/clips.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { hasLavapipe, LAVAPIPE } from '../support/lavapipe.ts';
import { LITE } from '../support/lite.ts';

const dist = (file: string) => fileURLToPath(new URL(`../../dist/${file}`, import.meta.url));

let home: string;
beforeAll(async () => {
	home = await mkdtemp(join(tmpdir(), 'allaprima-webgpu-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

/** Of the machine's own drivers and caches, nothing. */
const env = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], HOME: home, ...LAVAPIPE });

/** As `--provider auto` asks for it, but with as much time as it takes to compile. */
const probe = (model: string) =>
	promisify(execFile)(process.execPath, [dist('inference/provider-probe.process.js'), model, 'webgpu', 'software'], {
		env: env(),
		timeout: 240_000,
	});

if (!hasLavapipe)
	process.stderr.write(
		'webgpu: skipped, there is no Vulkan driver in software; scripts/setup --tests gets it on Linux x64\n',
	);

describe.skipIf(!hasLavapipe)('WebGPU on a Vulkan driver in software', () => {
	it('gives what the CPU gives in every graph of lite', async () => {
		await expect(probe(LITE)).resolves.toMatchObject({ stdout: '' });
	}, 240_000);

	const allaprima = (...args: string[]) =>
		spawnSync(process.execPath, [dist('cli.js'), ...args], { encoding: 'utf8', env: env(), timeout: 240_000 });
	const paint = async (provider: string) => {
		const [path, json] = [join(home, `${provider}.mkv`), join(home, `${provider}.json`)];
		const source = ['--source', 'scene', '--frames', '3', '--pace', 'max', '--size', '64x64', '--batch-size', '2'];
		const how = ['--precision', 'fp32', '--cond-refresh-every', '1', '--output', 'painted', '--provider', provider];
		const out = ['--sink', `file:${path}`, '--report', json, '--log-level', 'debug'];
		const run = allaprima('run', ...source, ...how, '--style', 'van-gogh', ...out);
		expect(run, run.stderr).toMatchObject({ status: 0 });
		const report = JSON.parse(await readFile(json, 'utf8')) as Report;
		return { report, said: run.stderr, rgb: await ffmpeg(`-i ${path} -f rawvideo -pix_fmt rgb24 -`) };
	};

	it('paints with --provider webgpu what --provider auto paints, which passes by a GPU that is the CPU', async () => {
		const [auto, webgpu] = [await paint('auto'), await paint('webgpu')];
		expect(auto.report).toMatchObject({ provider: 'cpu' });
		expect(auto.said).toMatch(/llvmpipe .* is the CPU, which is faster without it/);
		expect(webgpu.report).toMatchObject({ provider: 'webgpu', framesOut: 3, framesUnpainted: 0, batchSize: 2 });
		expect(webgpu.said).toContain('"device":"llvmpipe ');
		expect(webgpu.rgb).toHaveLength(3 * 3 * 64 * 64);
		let worst = 0;
		for (const [i, value] of webgpu.rgb.entries()) worst = Math.max(worst, Math.abs(value - auto.rgb[i]!));
		expect(worst).toBeLessThanOrEqual(0.05 * 255);
		// A picture, and not one for all frames; the scene hardly moves, so that the adapter may keep one for two.
		const frames = [0, 1, 2].map((i) => webgpu.rgb.subarray(i * 3 * 64 * 64, (i + 1) * 3 * 64 * 64));
		expect(new Set(frames.map((frame) => createHash('sha256').update(frame).digest('hex'))).size).toBeGreaterThan(1);
		expect(new Set(frames[0]).size).toBeGreaterThan(50);
	}, 240_000);

	it('the API names the device, for the page', async () => {
		const port = await freePort();
		const args = ['run', '--source', 'scene', '--size', '64x64', '--batch-size', '2', '--precision', 'fp32'];
		const live = spawn(process.execPath, [dist('cli.js'), ...args, '--provider', 'webgpu', '--http', String(port)], {
			env: env(),
			stdio: 'ignore',
		});
		const ended = once(live, 'exit');
		let engine: RunView['engine'] | undefined;
		try {
			await until(async () => {
				const answer = await fetch(`http://127.0.0.1:${port}/api/state`).catch(() => undefined);
				engine = ((await answer?.json()) as { run?: RunView } | undefined)?.run?.engine;
				return engine?.state === 'painting';
			}, 120_000);
		} finally {
			live.kill();
			await ended;
		}
		expect(engine).toMatchObject({ provider: 'webgpu', device: expect.stringMatching(/^llvmpipe .*, \d+\.\d GiB$/) });
	}, 240_000);

	it('allaprima doctor names the device', () => {
		expect(allaprima('doctor').stdout).toMatch(
			/^ok +GPU +by Vulkan: llvmpipe .*, \d+\.\d GiB, llvmpipe Mesa \d+.*, the CPU that plays a GPU$/m,
		);
	});
});
