// The product's own engine over frames in memory, with what makes it fast taken apart. fp32 throughout, so that rows compare.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
const { resolveTuning } = await import(dist('config/schema/manifest.js'));
const { Streams } = await import(dist('engine/streams.js'));
const { WorkerEngine } = await import(dist('engine/worker-engine.js'));
const { rgbLayout } = await import(dist('frame/frame.js'));
const { findModelFolder, openGraph, openModelFolder } = await import(dist('inference/manifest.js'));
const { loadNative } = await import(dist('native.js'));
const { resolveParameters } = await import(dist('parameters.js'));
const { measurePictures } = await import(dist('telemetry/picture-metrics.js'));
const { setLog } = await import(dist('telemetry/logger.js'));
setLog({ level: 'error' });

/** @typedef {import('../../sidecar/frame/frame.ts').Picture} Picture */
/** @typedef {import('../../sidecar/config/schema/tuning.ts').TuningOverrides} TuningOverrides */
/** @typedef {import('../../sidecar/inference/session.ts').SessionSettings} SessionSettings */
/** @typedef {import('../../sidecar/native.ts').NativeAddon} NativeAddon */
/** @typedef {import('../../sidecar/engine/streams.ts').Streams} OpenStreams */

/** @type {NativeAddon} */
export const native = loadNative();
export const SIZE = { width: 512, height: 288 };

const folder = await openModelFolder(await findModelFolder('lite'));
const oil = JSON.parse(await readFile(new URL('../../presets/oil-painting.style.json', import.meta.url), 'utf8'));
/** How the model starts, but that every frame is painted. */
export const usual = resolveTuning(folder.manifest, { precision: 'fp32', similarityThreshold: 0 });

/** @returns {Promise<Picture[]>} All frames of a clip of SIZE, through a filter of ffmpeg. */
export const decode = async (/** @type {string} */ file, filter = 'null') => {
	const arguments_ = ['-v', 'error', '-i', file, '-vf', filter, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
	const child = spawn('ffmpeg', arguments_, { stdio: ['ignore', 'pipe', 'inherit'] });
	const closed = once(child, 'close');
	const bytes = Buffer.concat(await child.stdout.toArray());
	const [code] = await closed;
	const size = 3 * SIZE.width * SIZE.height;
	if (code !== 0 || bytes.length % size !== 0) throw new Error(`ffmpeg ended with ${code} after ${bytes.length} bytes`);
	return Array.from({ length: bytes.length / size }, (_, i) => ({
		...rgbLayout(SIZE),
		data: bytes.subarray(i * size, (i + 1) * size),
	}));
};

/** @returns {Promise<OpenStreams>} The model's threads. */
export const openStreams = (
	/** @type {SessionSettings | undefined} */ session,
	precision = 'fp32',
	/** @type {import('../../sidecar/inference/session.ts').Favours} */ favours = 'rate',
) => Streams.open({ folder, provider: 'cpu', precision, painted: SIZE, favours, session });

/** Milliseconds of one run of each graph with so many frames, by itself on this thread. */
export const timeGraph = async (
	/** @type {string} */ role,
	/** @type {{ batches: number[], runs: number }} */ { batches, runs },
) => {
	const graph = await openGraph(folder, role, 'cpu', 'fp32');
	/** @type {number[]} */
	const ms = [];
	for (const batch of batches) {
		const sizes = { batch, ...SIZE };
		await graph.warmUp(sizes);
		const times = [];
		for (let run = 0; run < runs; run++) {
			const startMs = performance.now();
			await graph.warmUp(sizes);
			times.push(performance.now() - startMs);
		}
		ms.push(median(times));
	}
	await graph[Symbol.asyncDispose]();
	return ms;
};

export const median = (/** @type {number[]} */ values) =>
	values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/**
 * @typedef {{
 *   paintings: Picture[],
 *   stampsMs: number[],
 *   fps: number,
 *   stagesMs: Record<string, number[]>,
 * }} Painted `fps` leaves out the first batch; `stagesMs` are those of each batch
 */

/**
 * Paints the frames with a line of its own: nothing came before them.
 * @param {OpenStreams} streams
 * @param {Picture[]} frames
 * @param {{ tuning: TuningOverrides, overlaps?: boolean, addon?: NativeAddon, onPainting?: () => void }} how
 * @returns {Promise<Painted>}
 */
export const paint = async (streams, frames, { tuning, overlaps = true, addon = native, onPainting = () => {} }) => {
	const parameters = resolveParameters(oil, { ...usual, ...tuning }, 0);
	const { batchSize } = parameters.tuning;
	/** @type {Record<string, number[]>} */
	const stagesMs = {};
	const engine = WorkerEngine.on(streams, {
		painted: SIZE,
		fit: 'stretch',
		ring: { bytes: (/** @type {number} */ slot) => frames[slot].data, release: () => {} },
		parametersNow: () => parameters,
		batchDeadlineMs: Infinity,
		native: addon,
		observer: {
			stage: (/** @type {string} */ name, /** @type {number} */ ms) => void (stagesMs[name] ??= []).push(ms),
			batch: () => {},
		},
		overlaps,
	});
	async function* source() {
		for (const slot of frames.keys()) {
			const timestampUs = Math.round((slot * 1e6) / 24);
			yield { sequence: slot, slot, capturedUs: 0, timestampUs, durationUs: 41_667, layout: rgbLayout(SIZE) };
		}
	}
	/** @type {Picture[]} */
	const paintings = [];
	const stampsMs = [];
	try {
		for await (const { picture } of engine.paint(source())) {
			paintings.push(picture);
			stampsMs.push(performance.now());
			onPainting();
		}
	} finally {
		await engine[Symbol.asyncDispose]();
	}
	return { paintings, stampsMs, fps: rateOf(stampsMs, batchSize - 1), stagesMs };
};

/**
 * As `paint`, several times: `fps` is the mean, and `spread` how far apart the rates are, as a share of it.
 * @param {OpenStreams} streams
 * @param {Picture[]} frames
 * @param {Parameters<typeof paint>[2] & { rounds: number }} how
 * @returns {Promise<Painted & { spread: number }>}
 */
export const paintRounds = async (streams, frames, { rounds, ...how }) => {
	const first = await paint(streams, frames, how);
	const rates = [first.fps];
	while (rates.length < rounds) rates.push((await paint(streams, frames, how)).fps);
	const fps = rates.reduce((sum, rate) => sum + rate, 0) / rounds;
	return { ...first, fps, spread: (Math.max(...rates) - Math.min(...rates)) / fps };
};

/** Frames a second after the `from`th. */
export const rateOf = (/** @type {number[]} */ stampsMs, /** @type {number} */ from, to = stampsMs.length - 1) =>
	(1000 * (to - from)) / (stampsMs[to] - stampsMs[from]);

/** @typedef {{ warpingError: number, sobel: number, hf: number }} Measured as `allaprima eval` does */

/** @returns {Promise<Measured>} */
export const measure = async (/** @type {Picture[]} */ frames, /** @type {Picture[]} */ paintings) => {
	async function* pairs() {
		for (const [i, frame] of frames.entries()) yield [frame, paintings[i]];
	}
	const { warpingError, output } = await measurePictures(pairs(), native);
	return { warpingError, sobel: output.sobel, hf: output.hfFft };
};
