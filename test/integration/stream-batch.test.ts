// Frames at different steps in one run of the denoiser, against each frame's steps in runs of its own: models/lite, in onnxruntime.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { elementCount, type Tensor } from '../../sidecar/frame/tensor.ts';
import { Denoiser, type DenoiseRequest } from '../../sidecar/inference/denoiser.ts';
import { Encoder } from '../../sidecar/inference/encoder.ts';
import { gaussianNoise } from '../../sidecar/inference/gaussian-noise.ts';
import type { Provider } from '../../sidecar/inference/session.ts';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { ffmpeg } from '../support/clips.ts';
import { openLite } from '../support/lite.ts';
import { openLiveRun } from '../support/live-run.ts';

const SIZE = { width: 128, height: 96 };
const BATCHES = [2, 2, 2, 1, 2];
let denoiser: Denoiser;
let requests: DenoiseRequest[];
let plain: Tensor<Float32Array>[];

/** A graph does not care where it runs; whether batches are cut into frames depends on the provider's name. */
const runsOn = (provider: Provider) => void ((denoiser as { provider: Provider }).provider = provider);

const grain = (seed: number, ...shape: number[]): Tensor<Uint8Array> => ({
	data: Uint8Array.from(gaussianNoise(seed, elementCount(shape)), (z) => 128 + 40 * z),
	shape,
});

beforeAll(async () => {
	const folder = await openLite();
	const settings = { provider: 'cpu', painted: SIZE, precision: 'fp32' } as const;
	const { latents, textEncoder } = folder.manifest;
	await using encoder = await Encoder.open(folder, settings);
	denoiser = await Denoiser.open(folder, settings);
	requests = [];
	for (const [i, batch] of BATCHES.entries()) {
		const [encoded] = await encoder.encode([
			{
				pictures: grain(i, batch, SIZE.height, SIZE.width, 3),
				text: {
					images: grain(10 + i, 1, textEncoder.image.height, textEncoder.image.width, 3),
					prompts: [['an oil painting', 'a pencil sketch'][i % 2]],
				},
			},
		]);
		const shape = [batch, latents.channels, SIZE.height / latents.scale, SIZE.width / latents.scale];
		requests.push({
			line: 0,
			noise: { data: gaussianNoise(20 + i, elementCount(shape)), shape },
			steps: 4,
			sourceLatents: encoded!.sourceLatents,
			prompt: encoded!.prompts![0]!,
			temporal: { multiplier: 0 },
		});
	}
	plain = [];
	for (const request of requests) plain.push((await denoiser.denoise([request]))[0]!.latents);
});
afterAll(() => denoiser[Symbol.asyncDispose]());

/** All of them, with gaps after some. */
const stream = async (gaps: readonly number[]): Promise<Tensor<Float32Array>[]> => {
	const finished: Tensor<Float32Array>[] = [];
	const run = async (entering?: DenoiseRequest) => {
		const { latents } = await denoiser.advance({ line: 0, ...(entering && { entering }) });
		if (latents) finished.push(latents);
	};
	for (const [i, request] of requests.entries()) {
		await run(request);
		for (let gap = 0; gap < (gaps[i] ?? 0); gap++) await run();
	}
	while (finished.length < requests.length) await run();
	return finished;
};

describe('the stream batch', () => {
	it('denoises as the plain loop does, bit for bit where frames are run one by one', async () => {
		runsOn('cpu');
		expect(await stream([])).toEqual(plain);
		expect(await stream([1, 0, 3, 0, 1])).toEqual(plain);
	});

	it('denoises as the plain loop does where a run has frames at every step', async () => {
		runsOn('webgpu');
		const streamed = await stream([]);
		expect(streamed.map(({ shape }) => shape)).toEqual(plain.map(({ shape }) => shape));
		for (const [i, { data }] of streamed.entries()) {
			let worst = 0;
			for (const [at, value] of data.entries()) worst = Math.max(worst, Math.abs(value - plain[i]!.data[at]!));
			expect(worst, `batch ${i}`).toBeLessThan(1e-3); // of numbers up to 3 or so
		}
		runsOn('cpu');
	});

	it('is told who breaks its rules', async () => {
		await expect(denoiser.advance({ line: 7 })).rejects.toThrow('nothing in flight');
		await denoiser.advance({ line: 7, entering: requests[0]! });
		await expect(denoiser.advance({ line: 7, entering: { ...requests[1]!, steps: 2 } })).rejects.toThrow('4 steps');
		denoiser.forget(7);
		await expect(denoiser.advance({ line: 7 })).rejects.toThrow('nothing in flight');
	});
});

describe('allaprima with a stream batch', () => {
	it('paints every frame of a file, the same as without it', async () => {
		const folder = await mkdtemp(join(tmpdir(), 'allaprima-stream-'));
		const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
		const paint = async (name: string, ...flags: string[]) => {
			const [video, json] = [join(folder, `${name}.mkv`), join(folder, `${name}.json`)];
			const source = ['--source', 'scene', '--frames', '7', '--pace', 'max', '--size', '256x160', '--provider', 'cpu'];
			const tuning = [
				'--steps',
				'4',
				'--batch-size',
				'2',
				'--cond-refresh-every',
				'0',
				'--precision',
				'fp32',
				...flags,
			];
			const where = ['--output', 'painted', '--sink', `file:${video}`, '--report', json];
			const run = spawnSync(process.execPath, [cli, 'run', ...source, ...tuning, ...where], { encoding: 'utf8' });
			expect(run, run.stderr).toMatchObject({ status: 0 });
			const report = JSON.parse(await readFile(json, 'utf8')) as Report;
			return { report, pixels: await ffmpeg(`-i ${video} -f rawvideo -pix_fmt rgb24 -`) };
		};
		const plain = await paint('plain');
		const streamed = await paint('streamed', '--stream-batch');
		expect(streamed.report).toMatchObject({ framesIn: 7, framesOut: 7, framesUnpainted: 0, steps: 4, batchSize: 2 });
		expect(streamed.pixels.equals(plain.pixels)).toBe(true);
		await rm(folder, { recursive: true });
	});

	it('live, gives paintings in order and is taken for alive', async () => {
		const { shown, painted, finish } = openLiveRun({ tuning: { steps: 4, streamBatch: true } });
		await painted(12);
		const report = await finish();
		const sequences = shown.map(({ sequence }) => sequence);
		expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
		expect(report).toMatchObject({
			engineRestarts: 0,
			framesUnpainted: shown.filter((f) => f.kind === 'unpainted').length,
		});
		const first = shown.findIndex(({ kind }) => kind === 'painting');
		expect(shown.slice(first).every(({ kind }) => kind === 'painting')).toBe(true);
	});
});
