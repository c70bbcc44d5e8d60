// The paper's device: its stage times drive our scheduler, with a clock that moves only when everybody waits.
import { fixed, holds, percent } from '../section.mjs';
import { FLOW_MS, TIMES, timesOf } from './device-times.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {import('../../sidecar/config/schema/tuning.ts').TuningOverrides} TuningOverrides */

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;

const FPS = 24;
/** Batches before the line is full and every refresh had its turn. */
const SETTLING = 8;

/** What the paper paints with. */
const PAPER = { noise: /** @type {const} */ ('fixed'), teBatchOne: false, teRefreshEvery: 1, condRefreshEvery: 8 };
const KEPT = { ...PAPER, teBatchOne: true, teRefreshEvery: 8 };

/**
 * @typedef {{
 *   what: string,
 *   batchSize: number,
 *   tuning: TuningOverrides,
 *   flowInLine?: boolean,
 *   movesPx?: number,
 *   streams?: number,
 *   most?: number,
 * }} Change `movesPx` of 512 a frame; `most` requests of several streams are run together
 */

/** @type {Change[]} */
const CHANGES = [
	{ what: 'as the paper paints', batchSize: 16, tuning: PAPER, flowInLine: true },
	{ what: '+ flow early', batchSize: 16, tuning: PAPER },
	{ what: '+ one frame of a batch is shown to the encoder', batchSize: 16, tuning: { ...PAPER, teBatchOne: true } },
	{ what: '+ the encoder kept for 8 batches', batchSize: 16, tuning: KEPT },
	{ what: '+ kept on while nothing moves', batchSize: 16, tuning: KEPT, movesPx: 0 },
	{ what: '+ the adapter refreshed when it has to be, nothing moves', batchSize: 16, tuning: { ...KEPT, condRefreshEvery: 64 }, movesPx: 0 }, // prettier-ignore
	{ what: 'the same, all moves by 1 px a frame', batchSize: 16, tuning: { ...KEPT, condRefreshEvery: 64 }, movesPx: 1 },
	{ what: 'the encoder kept for 8 batches, of 4', batchSize: 4, tuning: KEPT },
	{ what: 'and frame by frame', batchSize: 1, tuning: KEPT },
	{ what: '2 streams, in turn', batchSize: 1, tuning: KEPT, streams: 2 },
	{ what: '2 streams, together', batchSize: 1, tuning: KEPT, streams: 2, most: 8 },
	{ what: '4 streams, in turn', batchSize: 1, tuning: KEPT, streams: 4 },
	{ what: '4 streams, together', batchSize: 1, tuning: KEPT, streams: 4, most: 8 },
];

/** Under this no thumbnail differs enough for the encoder to look again. */
const SEEN_TO_MOVE = 3;
const MOTION_PX = 0.1;

const percentile = (/** @type {number[]} */ values, /** @type {number} */ share) =>
	values.toSorted((a, b) => a - b)[Math.min(Math.floor(share * values.length), values.length - 1)];

/** @typedef {import('../../sidecar/engine/simulated-live.ts').LiveFrame} LiveFrame */

/** Of the frames after the first batches: from capture to painting, and how many a second. */
const figuresOf = (/** @type {LiveFrame[]} */ frames, /** @type {number} */ settling) => {
	const painted = frames.toSorted((a, b) => a.paintedMs - b.paintedMs);
	const rest = painted.slice(settling);
	const latencyMs = rest.map(({ capturedMs, paintedMs }) => paintedMs - capturedMs);
	return {
		periodMs: (painted[painted.length - 1].paintedMs - painted[settling - 1].paintedMs) / rest.length,
		latencyMs: { p50: percentile(latencyMs, 0.5), p95: percentile(latencyMs, 0.95), max: Math.max(...latencyMs) },
	};
};

const openSimulator = async () => {
	const { simulateLive, simulateSharedDevice } = await import(dist('engine/simulated-live.js'));
	const { PAINTED, STILL_WORLD } = await import(dist('engine/simulated-line.js'));
	const { VirtualClock } = await import(dist('engine/virtual-clock.js'));
	/** @param {{ times: object, batchSize: number, tuning: TuningOverrides, fps: number | 'max', batches: number, movesPx?: number, flowMs?: number, streams?: number, most?: number }} simulated */
	return async ({ times, batchSize, tuning, fps, batches, movesPx = MOTION_PX, flowMs = 0, streams = 1, most = 1 }) => {
		const clock = new VirtualClock();
		const { device, busy } = simulateSharedDevice(times, { most, clock });
		const native = {
			...STILL_WORLD,
			opticalFlow: () => clock.sleep(flowMs),
			thumbnailDifference: async () => (movesPx > 0 ? SEEN_TO_MOVE : 0),
			meanMotion: async () => (movesPx * PAINTED.width) / 512,
		};
		const live = { clock, device, native, tuning: { ...tuning, batchSize }, fps, streams };
		/** @type {LiveFrame[][]} */
		const frames = await simulateLive({ ...live, frames: batches * batchSize });
		const figures = figuresOf(frames.flat(), SETTLING * batchSize * streams);
		return { ...figures, sideBusy: busy.sideMs / clock.nowMs, mainBusy: busy.mainMs / clock.nowMs };
	};
};

/** @returns {Promise<Section[]>} */
export const measureSimulation = async (/** @type {Bench} */ { small, say }) => {
	const { simulatePeriodMs } = await import(dist('engine/simulated-line.js'));
	const { VirtualClock } = await import(dist('engine/virtual-clock.js'));
	const simulate = await openSimulator();
	const batches = SETTLING + (small ? 56 : 256);
	const rows = [];
	for (const times of TIMES) {
		const clock = new VirtualClock();
		const nowMs = () => clock.nowMs;
		const periodMs = await clock.run(simulatePeriodMs({ ...times, batches: 12, sleep: clock.sleep, nowMs }));
		const { batchSize } = times;
		const law = { sideMs: () => times.sideMs, mainMs: () => times.mainMs };
		// Whatever the encoder and the adapter refresh is in the times already.
		const live = await simulate({ times: law, batchSize, tuning: PAPER, fps: FPS, batches });
		rows.push({ ...times, periodMs, fps: 1000 / live.periodMs, latencyMs: live.latencyMs });
	}
	const changes = [];
	for (const { what, flowInLine = false, ...change } of CHANGES) {
		const simulated = { ...change, times: timesOf({ flowInLine }), flowMs: flowInLine ? 0 : FLOW_MS, batches };
		const max = await simulate({ ...simulated, fps: 'max' });
		const live = await simulate({ ...simulated, fps: FPS });
		const { periodMs: msPerFrame, sideBusy, mainBusy } = max;
		changes.push({ what, ...change, msPerFrame, sideBusy, mainBusy, fps: 1000 / live.periodMs, latencyMs: live.latencyMs }); // prettier-ignore
	}

	const last = rows[rows.length - 1];
	const perFrameMs = last.periodMs / last.batchSize;
	say(`simulated: ${fixed(perFrameMs, 1)} ms a frame at batches of ${last.batchSize}`);
	return [
		{
			name: 'simulation',
			title: "The paper's device, simulated",
			text: `The scheduler is ours and real; the stages only take the times that arXiv 2606.05981 gives for them on its GPU, by a clock that moves on when all of them wait. Latency is that of a camera of ${FPS} frames/s, from capture to painting: a frame waits until its batch is full, then for the encoder, then for the denoiser. Shown evenly, every frame is as late as the latest (the last column). The paper says 506 ms (p50) at 8 and 1013 ms at 16 frames, without the batch's time in the encoder. Where painted/s is less than ${FPS}, the newest frames are painted. Our own line does not let a batch wait this long: live, it goes 100 ms after its first frame.`,
			head: ['batch', 'side ms', 'main ms', 'ms a frame', 'over max(side, main)', 'painted/s live', 'p50 ms', 'p95 ms', 'shown evenly, ms'], // prettier-ignore
			rows: rows.map(({ batchSize, sideMs, mainMs, periodMs, fps, latencyMs }) => [
				`${batchSize}`,
				`${sideMs}`,
				`${mainMs}`,
				fixed(periodMs / batchSize, 1),
				fixed(periodMs / Math.max(sideMs, mainMs), 3),
				fixed(fps, 1),
				fixed(latencyMs.p50, 0),
				fixed(latencyMs.p95, 0),
				fixed(latencyMs.max, 0),
			]),
			values: rows,
			verdicts: [
				holds("ms a frame at the paper's stage times", '39.3', fixed(perFrameMs, 1), Math.abs(perFrameMs - 39.3) < 0.4),
			],
		},
		{
			name: 'changes',
			title: "What our changes buy on the paper's device",
			text: [
				'Simulated as above, from parts. Each row of 16 frames has the change of the row before it too.',
				'Known of the paper: text-and-vision encoder 125, 136, 153, 233 and 467 ms at 1, 2, 4, 8 and 16 frames, denoiser 23, 41, 74, 142 and 302 ms.',
				'Assumed: straight lines between; autoencoder 10.1 ms to encode and 11.9 ms to decode a frame at every batch, which is known at 16 only; a refresh of the adapter 21.8 ms a frame of its batch, which makes 29.6 frames/s of 32.2; in that the flow, 10 ms a pair of frames, on 8 threads where it is computed in line, on one beside the encoder; the two streams do not slow each other, as two streams of one GPU would; painting several streams together costs what a batch of that size does, but for the text-and-vision encoder, which reads each stream by itself. The frames of one batch it reads in one run, as that of the paper does; ours would take them one by one, which is why one frame stands for the batch from the third row on.',
				`Moving is ${MOTION_PX} px of 512 a frame unless said. ms a frame: of all streams, when every frame is there. Latency and painted/s (of each stream): cameras of ${FPS} frames/s each.`,
				'The encoder is what the device has no time for; once it is kept, the denoiser is, and what else spares the encoder frees the GPU but paints no faster. A refresh by need is for strokes that follow motion: with large batches it costs more, not less. A batch of one waits when the encoder has its turn, because the line works one batch ahead and no more. Of two streams each waits alone while the other is painted, so nothing is painted together; of four, what waits is: the denoiser has less to do, and no frame comes sooner.',
			].join(' '),
			head: ['', 'streams', 'batch', 'ms a frame', 'side busy', 'main busy', 'painted/s live', 'p50 ms', 'p95 ms', 'shown evenly, ms'], // prettier-ignore
			rows: changes.map(({ what, streams = 1, batchSize, msPerFrame, sideBusy, mainBusy, fps, latencyMs }) => [
				what,
				`${streams}`,
				`${batchSize}`,
				fixed(msPerFrame, 1),
				percent(sideBusy),
				percent(mainBusy),
				fixed(fps / streams, 1),
				fixed(latencyMs.p50, 0),
				fixed(latencyMs.p95, 0),
				fixed(latencyMs.max, 0),
			]),
			values: changes,
			verdicts: [],
		},
	];
};
