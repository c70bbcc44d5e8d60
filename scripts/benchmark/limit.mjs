// How near the denoiser's stream is to what this CPU can do: its multiply-adds over the peak of convolutions that do nothing else.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fixed, holds, percent } from '../section.mjs';
import { decode, median, openStreams, paint } from './engine.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {{ of: string, each?: number, row?: string }} Count */

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
await import(dist('inference/no-telemetry.js'));
const ort = await import('onnxruntime-node');
const { openModelFolder, findModelFolder } = await import(dist('inference/manifest.js'));
const { resolveShape, threadsOf } = await import(dist('inference/session.js'));

const SIZES = { batch: 1, width: 512, height: 288 };
const script = fileURLToPath(new URL('./limit.py', import.meta.url));
const python = async (/** @type {string[]} */ ...args) => {
	const { stdout } = await promisify(execFile)('/usr/bin/python3', [script, ...args]);
	return JSON.parse(stdout);
};

const open = (/** @type {string} */ path, threads = 1) =>
	ort.InferenceSession.create(path, {
		executionProviders: ['cpu'],
		intraOpNumThreads: threads,
		interOpNumThreads: 1,
		logSeverityLevel: 4,
		extra: { session: { intra_op: { allow_spinning: '0' } } },
	});

/** Multiply-adds a second of a chain of convolutions, the best of its runs: a peak is what is possible. */
const peakOf = async (
	/** @type {string} */ folder,
	/** @type {{ precision: string, threads: number, runs: number }} */ { precision, threads, runs },
) => {
	const path = join(folder, `convolutions-${precision}.onnx`);
	const { macs } = await python('convolutions', path, precision);
	const session = await open(path, threads);
	const shape = [1, 64, 72, 128];
	const x = new ort.Tensor(
		'float32',
		Float32Array.from({ length: 64 * 72 * 128 }, (_, i) => Math.sin(i)),
		shape,
	);
	let bestMs = Infinity;
	for (let run = 0; run < runs; run++) {
		const startMs = performance.now();
		await session.run({ x });
		bestMs = Math.min(bestMs, performance.now() - startMs);
	}
	await session.release();
	return (1000 * macs) / bestMs;
};

/** Multiply-adds of a graph for one frame, by the sizes that a run of it has. */
const macsOf = async (
	/** @type {string} */ folder,
	/** @type {string} */ path,
	/** @type {import('../../sidecar/config/schema.ts').GraphSpec} */ spec,
) => {
	const probe = join(folder, 'probe.onnx');
	/** @type {Count[]} */
	const counts = await python('probe', path, probe);
	const session = await open(probe);
	/** @type {Record<string, import('onnxruntime-node').Tensor>} */
	const feeds = {};
	for (const { name, type, shape } of spec.inputs) {
		const sides = resolveShape({ shape }, SIZES);
		const length = sides.reduce((/** @type {number} */ all, /** @type {number} */ one) => all * one, 1);
		const data =
			type === 'int64'
				? new BigInt64Array(length)
				: type === 'uint8'
					? new Uint8Array(length)
					: new Float32Array(length);
		feeds[name] = new ort.Tensor(type, /** @type {Float32Array} */ (data), sides);
	}
	const found = { ...feeds, ...(await session.run(feeds)) };
	await session.release();
	return counts.reduce(
		(sum, { of, each, row }) => sum + found[of].size * (each ?? found[row ?? ''].dims.at(-1) ?? NaN),
		0,
	);
};

/** @returns {Promise<Section[]>} */
export const measureLimit = async (/** @type {Bench} */ { small, folder, clip, say }) => {
	const model = await openModelFolder(await findModelFolder('lite'));
	const { graphs } = model.manifest;
	/** @type {Record<string, number>} */
	const macs = {};
	for (const [role, spec] of Object.entries(graphs))
		macs[role] = await macsOf(folder, join(model.path, spec.file), spec);
	const mainMacs = macs['unet'] + macs['vae_decoder'];
	const frames = await decode(await clip('512x288', small ? 12 : 240));
	const rows = [];
	for (const precision of ['fp32', 'int8'])
		for (const threads of new Set([1, threadsOf('denoiser', 'latency')])) {
			const peak = await peakOf(folder, { precision, threads, runs: small ? 3 : 60 });
			const streams = await openStreams({ intraOpNumThreads: threads }, precision);
			try {
				// The adapter's conditioning is another graph, run now and then. By turns, each graph has the cores to itself.
				const how = { tuning: { condRefreshEvery: 0, steps: 1 }, overlaps: false };
				const { stagesMs, fps } = await paint(streams, frames, how);
				const mainMs = median(stagesMs['unet']) + median(stagesMs['vaeDecode']);
				const share = (1000 * mainMacs) / mainMs / peak;
				rows.push({ precision, threads, peak, mainMs, fps, share });
				say(`${precision}, ${threads} threads: ${percent(share)} of ${fixed(peak / 1e9, 0)} G multiply-adds/s`);
			} finally {
				await streams[Symbol.asyncDispose]();
			}
		}
	const aims = { fp32: 0.6, int8: 0.35 };
	return [
		{
			name: 'limit',
			title: 'The limit',
			text: `The denoiser and the decoder need ${fixed(mainMacs / 1e9)} G multiply-adds for a frame of 512x288 (the encoder of the picture ${fixed(macs['vae_encoder'] / 1e9)} more, that of text and vision ${fixed((macs['te_text'] + macs['te_vision']) / 1e9)}, the adapter's ${fixed(macs['lllite_cond'] / 1e9)} now and then). The peak is that of eight 3x3 convolutions of 64 channels at 128x72 in the same onnxruntime on as many threads, the best of 60 runs. Encoder, denoiser and decoder take turns here, so that each has the cores to itself: one, and as many as the denoiser has live (${threadsOf('denoiser', 'latency')}), where a graph reaches less of a peak that is of all its threads.`,
			head: ['', 'threads', 'peak, G multiply-adds/s', 'denoiser and decoder, ms', 'share of the peak', 'frames/s'],
			rows: rows.map(({ precision, threads, peak, mainMs, share, fps }) => [
				precision,
				String(threads),
				fixed(peak / 1e9, 0),
				fixed(mainMs, 1),
				percent(share),
				fixed(fps, 1),
			]),
			values: { macs, rows },
			verdicts: rows.map(({ precision, threads, share }) => {
				const aim = aims[/** @type {'fp32' | 'int8'} */ (precision)];
				return holds(
					`share of the convolution peak, ${precision}, ${threads === 1 ? 'one core' : `${threads} threads, as the denoiser has live`}`,
					`${percent(aim)} or more`,
					percent(share),
					share >= aim,
					threads === 1 ? '' : 'the threads of a graph wait for each other',
				);
			}),
		},
	];
};
