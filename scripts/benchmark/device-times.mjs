// The paper's device: what arXiv 2606.05981 says of an RTX 3090 Ti, and what is assumed where it says nothing.

/** Milliseconds a batch on the two streams: Tables IV and V. */
export const TIMES = [
	{ batchSize: 1, sideMs: 125, mainMs: 45 },
	{ batchSize: 4, sideMs: 153, mainMs: 152 },
	{ batchSize: 8, sideMs: 233, mainMs: 300 },
	{ batchSize: 16, sideMs: 628, mainMs: 493 },
];

/** [frames, milliseconds] of a run: Table V up to 8 frames, the parts of the batch of 16 from there. */
const TEXT_AND_VISION = [[1, 125], [2, 136], [4, 153], [8, 233], [16, 16 * 29.2]]; // prettier-ignore
const UNET = [[1, 23], [2, 41], [4, 74], [8, 142], [16, 16 * 18.9]]; // prettier-ignore
/** Milliseconds a frame, known at 16 frames alone. */
const AUTOENCODER = { encodeMs: 10.1, decodeMs: 11.9 };
/** Milliseconds a frame of the batch that refreshes the adapter, its flow included: every 8 batches, they make 29.6 frames/s of 32.2. */
const REFRESH_MS = 8 * (1000 / 29.6 - 1000 / 32.2);
/** Optical flow of a pair of frames on a core; the paper's code computes a batch on 8 threads. */
export const FLOW_MS = 10;
const FLOW_THREADS = 8;

/** Straight between the points. */
const along = (/** @type {number[][]} */ points, /** @type {number} */ at) => {
	const next = Math.max(
		points.findIndex(([x]) => x >= at),
		1,
	);
	const [[fromX, fromY], [toX, toY]] = points.slice(next - 1, next + 1);
	return fromY + ((at - fromX) / (toX - fromX)) * (toY - fromY);
};

/** @typedef {import('../../sidecar/inference/encoder.ts').EncodeRequest} EncodeRequest */
/** @typedef {import('../../sidecar/engine/denoiser-stream.ts').LineDenoiseRequest} LineDenoiseRequest */

const flowInLineMs = (/** @type {number} */ frames) => Math.ceil(frames / FLOW_THREADS) * FLOW_MS;
const sum = (/** @type {number[]} */ values) => values.reduce((total, value) => total + value, 0);

/** The time of the parts that the requests ask for. `flowInLine`: a refresh waits for its flow on the main stream. */
export const timesOf = (/** @type {{ flowInLine: boolean }} */ { flowInLine }) => ({
	sideMs: (/** @type {readonly EncodeRequest[]} */ requests) => {
		const frames = sum(requests.map(({ pictures }) => pictures.shape[0] ?? 0));
		const text = sum(requests.map((request) => (request.text ? along(TEXT_AND_VISION, request.text.images.shape[0] ?? 1) : 0))); // prettier-ignore
		return text + frames * AUTOENCODER.encodeMs;
	},
	mainMs: (/** @type {readonly LineDenoiseRequest[]} */ requests) => {
		const frames = sum(requests.map(({ noise }) => noise.shape[0] ?? 0));
		const refreshed = sum(requests.map(({ temporal }) => temporal.images?.shape[0] ?? 0));
		const refreshMs = refreshed * (REFRESH_MS - flowInLineMs(16) / 16);
		return along(UNET, frames) + frames * AUTOENCODER.decodeMs + refreshMs + (flowInLine ? flowInLineMs(refreshed) : 0);
	},
});
