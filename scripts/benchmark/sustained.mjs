// A long run in chunks: whether the rate falls, and whether the painting drifts.
import { fixed } from '../section.mjs';
import { decode, measure, native, openStreams, paint, rateOf } from './engine.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {import('./engine.mjs').Picture} Picture */

const CHUNKS = 7;

/** Red, green and blue, 0..255. */
const meanColour = (/** @type {Picture[]} */ pictures) => {
	const sums = [0, 0, 0];
	for (const { data } of pictures) for (let i = 0; i < data.length; i++) sums[i % 3] += data[i];
	return sums.map((sum) => (3 * sum) / (pictures.length * pictures[0].data.length));
};

/** The flow to a frame waits until the frame before it is painted, and the painting of the frame for the flow. */
const flowInLine = () => {
	let [asked, painted] = [0, 0];
	let wake = () => {};
	/** @type {Picture | undefined} */
	let last;
	/** @type {typeof native.opticalFlow} */
	const opticalFlow = async (previous, next, ...into) => {
		// At a refresh a frame has two flows.
		if (next !== last) asked++;
		last = next;
		const before = asked;
		while (painted < before) await new Promise((/** @type {(value?: unknown) => void} */ woken) => (wake = woken));
		return await native.opticalFlow(previous, next, ...into);
	};
	const onPainting = () => {
		painted++;
		wake();
	};
	return { addon: { ...native, opticalFlow }, onPainting };
};

/** @returns {Promise<Section>} */
export const measureSustained = async (/** @type {Bench} */ { small, clip, say }) => {
	const length = small ? 4 : 69;
	// To and fro, so that each chunk has the same frames, and nothing but drift tells one painting of them from another.
	const there = (await decode(await clip('512x288', small ? 12 : 96))).slice(0, length);
	const back = there.toReversed();
	const frames = Array.from({ length: CHUNKS }, (_, chunk) => (chunk % 2 ? back : there)).flat();
	const streams = await openStreams(undefined);
	/** @type {import('./engine.mjs').Painted} */
	let painted;
	/** Frames a second. */
	const flow = { early: 0, inLine: 0 };
	try {
		painted = await paint(streams, frames, { tuning: {} });
		flow.early = (await paint(streams, there, { tuning: {} })).fps;
		flow.inLine = (await paint(streams, there, { tuning: {}, ...flowInLine() })).fps;
	} finally {
		await streams[Symbol.asyncDispose]();
	}
	const rows = [];
	for (let chunk = 0; chunk < CHUNKS; chunk++) {
		const [from, to] = [chunk * length, (chunk + 1) * length];
		const paintings = painted.paintings.slice(from, to);
		const measured = await measure(frames.slice(from, to), paintings);
		const fps = rateOf(painted.stampsMs, Math.max(from - 1, 0), to - 1);
		rows.push({ fps, ...measured, colour: meanColour(paintings) });
	}
	const [first] = rows;
	const last = rows[rows.length - 1];
	say(`${frames.length} frames: ${fixed(first.fps, 1)} frames/s at first, ${fixed(last.fps, 1)} at last`);
	return {
		name: 'sustained',
		title: 'A long run',
		text: `arXiv 2606.05981, Tables III and VII: ${frames.length} frames in ${CHUNKS} chunks, painted as \`lite\` starts, in fp32. The chunks are the same ${length} frames forwards and backwards by turns, so that they may be compared. In brackets: over that of the first chunk. Colour: how far the mean of red, green and blue is from the first chunk's, at most, of 255. Sustained over all: ${fixed(painted.fps, 1)} frames/s. The flow is computed beside the encoder; where that of each frame waits for the painting before it, as in line, one chunk is painted at ${fixed(flow.inLine, 1)} frames/s, and at ${fixed(flow.early, 1)} without.`,
		head: ['chunk', 'frames/s', 'warping error', 'Sobel', 'HF-FFT', 'colour'],
		rows: rows.map(({ fps, warpingError, sobel, hf, colour }, chunk) => [
			`${chunk + 1}`,
			`${fixed(fps, 1)} (${fixed(fps / first.fps)})`,
			`${fixed(warpingError)} (${fixed(warpingError / first.warpingError)})`,
			`${fixed(sobel)} (${fixed(sobel / first.sobel)})`,
			`${fixed(hf, 0)} (${fixed(hf / first.hf)})`,
			fixed(Math.max(...colour.map((value, i) => Math.abs(value - first.colour[i]))), 2),
		]),
		values: { fps: painted.fps, flow, rows },
		verdicts: [],
	};
};
