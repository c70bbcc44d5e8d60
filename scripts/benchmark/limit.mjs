// How near the denoiser and the decoder are to what this CPU can do: their multiply-adds over the peak of convolutions that do nothing else.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fixed, holds, percent } from '../section.mjs';
import { median } from './engine.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {import('../../sidecar/config/schema/manifest.ts').GraphSpec} GraphSpec */
/** @typedef {import('../../sidecar/inference/session.ts').GraphSession} Graph */
/** @typedef {import('../../sidecar/inference/session.ts').SessionSettings} SessionSettings */
/** @typedef {{ of: string, each?: number, row?: string }} Count */

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
await import(dist('inference/no-telemetry.js'));
const ort = await import('onnxruntime-node');
const { elementCount } = await import(dist('frame/tensor.js'));
const { findModelFolder, openGraph, openModelFolder } = await import(dist('inference/manifest.js'));
const { GraphSession, resolveShape, threadsOf } = await import(dist('inference/session.js'));

const SIZES = { batch: 1, width: 512, height: 288 };
const MAIN = ['unet', 'vae_decoder'];
const ROUNDS = 150;
const WARM_UPS = 3;
const script = fileURLToPath(new URL('./limit.py', import.meta.url));
const python = async (/** @type {string[]} */ ...args) => {
	const { stdout } = await promisify(execFile)('/usr/bin/python3', [script, ...args]);
	return JSON.parse(stdout);
};

/** What a graph takes, by name, of one frame: values in place of a picture's. */
const inputsOf = (/** @type {GraphSpec} */ { inputs }) =>
	Object.fromEntries(
		inputs.map((spec) => {
			const shape = resolveShape(spec, SIZES);
			const length = elementCount(shape);
			const data =
				spec.type === 'int64'
					? new BigInt64Array(length)
					: spec.type === 'uint8'
						? new Uint8Array(length)
						: Float32Array.from({ length }, (_, i) => Math.sin(i));
			return [spec.name, { data, shape }];
		}),
	);

/** Opens the chain of convolutions, as the graphs of a model are opened. */
const openChain = async (
	/** @type {string} */ folder,
	/** @type {string} */ precision,
	/** @type {SessionSettings} */ settings,
) => {
	const file = `convolutions-${precision}.onnx`;
	const { macs, shape } = await python('convolutions', join(folder, file), precision);
	const tensor = (/** @type {string} */ name) => ({ name, type: /** @type {const} */ ('float32'), shape });
	const spec = { file, sha256: '', inputs: [tensor('x')], outputs: [tensor('y')] };
	return { macs, graph: await GraphSession.open(join(folder, file), spec, 'cpu', 'chain of convolutions', settings) };
};

/**
 * Milliseconds of one run of each of the graphs, round after round.
 * @param {Graph[]} graphs
 * @returns {Promise<number[][]>}
 */
const timeByTurns = async (graphs, /** @type {number} */ rounds) => {
	const given = graphs.map((graph) => inputsOf(graph.spec));
	const times = [];
	for (let round = -WARM_UPS; round < rounds; round++) {
		const ms = [];
		for (const [i, graph] of graphs.entries()) {
			const startMs = performance.now();
			await graph.run(given[i], SIZES);
			ms.push(performance.now() - startMs);
		}
		if (round >= 0) times.push(ms);
	}
	return times;
};

/** Of the times of each round, of the chain and of the graphs; these have `work` times the multiply-adds of the chain. */
export const compareRounds = (/** @type {number[][]} */ times, /** @type {number} */ work) => {
	const rounds = times.map(([chainMs, ...ms]) => ({ chainMs, mainMs: ms.reduce((sum, one) => sum + one, 0) }));
	const of = (/** @type {'chainMs' | 'mainMs'} */ side) => rounds.map((round) => round[side]);
	const shares = rounds.map(({ chainMs, mainMs }) => (work * chainMs) / mainMs).toSorted((a, b) => a - b);
	return {
		chainMs: median(of('chainMs')),
		mainMs: median(of('mainMs')),
		share: median(shares),
		half: [0.25, 0.75].map((at) => shares[Math.floor(at * shares.length)]),
		fastest: (work * Math.min(...of('chainMs'))) / Math.min(...of('mainMs')),
	};
};

/** Multiply-adds of a graph for one frame, by the sizes that a run of it has. */
const macsOf = async (/** @type {string} */ folder, /** @type {string} */ path, /** @type {GraphSpec} */ spec) => {
	const probe = join(folder, 'probe.onnx');
	/** @type {Count[]} */
	const counts = await python('probe', path, probe);
	const session = await ort.InferenceSession.create(probe, { logSeverityLevel: 4 });
	const feeds = Object.fromEntries(
		Object.entries(inputsOf(spec)).map(([name, { data, shape }]) => [name, new ort.Tensor(data, shape)]),
	);
	const found = { ...feeds, ...(await session.run(feeds)) };
	await session.release();
	return counts.reduce(
		(sum, { of, each, row }) => sum + found[of].size * (each ?? found[row ?? ''].dims.at(-1) ?? NaN),
		0,
	);
};

/** @returns {Promise<Section[]>} */
export const measureLimit = async (/** @type {Bench} */ { small, folder, say }) => {
	const model = await openModelFolder(await findModelFolder('lite'));
	const { graphs } = model.manifest;
	/** @type {Record<string, number>} */
	const macs = {};
	for (const [role, spec] of Object.entries(graphs))
		macs[role] = await macsOf(folder, join(model.path, spec.file), spec);
	const mainMacs = MAIN.reduce((sum, role) => sum + macs[role], 0);
	const rounds = small ? 3 : ROUNDS;
	const rows = [];
	for (const precision of ['fp32', 'int8'])
		for (const threads of new Set([1, threadsOf('denoiser', 'latency')])) {
			const settings = { intraOpNumThreads: threads };
			const chain = await openChain(folder, precision, settings);
			const graphs = [chain.graph];
			for (const role of MAIN) graphs.push(await openGraph(model, role, 'cpu', precision, settings));
			const times = await timeByTurns(graphs, rounds);
			for (const graph of graphs) await graph[Symbol.asyncDispose]();
			const row = { precision, threads, ...compareRounds(times, mainMacs / chain.macs), rounds };
			const peak = (1000 * chain.macs) / row.chainMs;
			rows.push({ ...row, peak });
			say(`${precision}, ${threads} threads: ${percent(row.share, 1)} of ${fixed(peak / 1e9, 0)} G multiply-adds/s`);
		}
	const aims = { fp32: 0.6, int8: 0.35 };
	return [
		{
			name: 'limit',
			title: 'The limit',
			text: `The denoiser and the decoder need ${fixed(mainMacs / 1e9)} G multiply-adds for a frame of 512x288 (the encoder of the picture ${fixed(macs['vae_encoder'] / 1e9)} more, that of text and vision ${fixed((macs['te_text'] + macs['te_vision']) / 1e9)}, the adapter's ${fixed(macs['lllite_cond'] / 1e9)} now and then). The peak is that of eight 3x3 convolutions of 64 channels at 128x72, opened with the same options by the same onnxruntime. A round is one run of these, one of the denoiser and one of the decoder, one after the other, each with the cores to itself; ${rounds} rounds. The share is the median of the rounds' shares: what a machine's clock and its neighbours do from one second to the next, they do to both sides of a round, and neither side gets its best moment alone. Beside it are the shares of half of the rounds, and that of the fastest runs of each. Threads: one, and as many as the denoiser has live (${threadsOf('denoiser', 'latency')}), where a graph reaches less of a peak that is of all its threads.`,
			head: [
				'',
				'threads',
				'peak, G multiply-adds/s',
				'denoiser and decoder, ms',
				'share of the peak',
				'half of the rounds',
				'fastest runs',
			],
			rows: rows.map(({ precision, threads, peak, mainMs, share, half, fastest }) => [
				precision,
				String(threads),
				fixed(peak / 1e9, 0),
				fixed(mainMs, 1),
				percent(share, 1),
				`${percent(half[0], 1)} to ${percent(half[1], 1)}`,
				percent(fastest, 1),
			]),
			values: { macs, rows },
			verdicts: rows.map(({ precision, threads, share }) => {
				const aim = aims[/** @type {'fp32' | 'int8'} */ (precision)];
				return holds(
					`share of the convolution peak, ${precision}, ${threads === 1 ? 'one core' : `${threads} threads, as the denoiser has live`}`,
					`${percent(aim)} or more`,
					percent(share, 1),
					share >= aim,
					threads === 1 ? '' : 'the threads of a graph wait for each other',
				);
			}),
		},
	];
};
