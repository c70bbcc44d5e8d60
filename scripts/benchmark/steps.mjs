// What each step that makes the line fast gives: each of the paper's, one after the other.
import { availableParallelism } from 'node:os';
import { fixed, holds, percent } from '../section.mjs';
import { decode, measure, openStreams, paintRounds, usual } from './engine.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {import('./engine.mjs').TuningOverrides} TuningOverrides */
/** @typedef {import('./engine.mjs').SessionSettings} SessionSettings */
/** @typedef {import('./engine.mjs').Measured} Measured */

/** Streams that take turns have all cores each; those that overlap share them, as the product's do. */
const ALL_CORES = { intraOpNumThreads: availableParallelism() };

/** @typedef {{ what: string, paper?: string, session?: SessionSettings, overlaps?: boolean, tuning?: TuningOverrides }} Step */

/** Each has what those before it have. @type {Step[]} */
const STEPS = [
	{
		what: 'sequential, 4 steps',
		paper: '1.45',
		session: { ...ALL_CORES, graphOptimizationLevel: 'disabled' },
		overlaps: false,
		tuning: { batchSize: 1, steps: 4, noise: 'fixed', teRefreshEvery: 1, teBatchOne: false, condRefreshEvery: 0 },
	},
	{ what: '+ graph optimisation', session: ALL_CORES },
	{ what: '+ 1 step', tuning: { steps: 1 } },
	{ what: '+ pipelining', session: {}, overlaps: true },
	{ what: '+ batches of 4', paper: '33.04 · 22.97 · 5.16 · 1663', tuning: { batchSize: 4 } },
	{ what: '+ adapter, refreshed with each batch', tuning: { condRefreshEvery: 1 } },
	{ what: '+ refreshed every 8 batches', tuning: { condRefreshEvery: 8 } },
];
/** Every hook that the graphs have is in it: there are no others to leave out. */
const HOOKS = { what: '+ hooks in the down blocks only', paper: '32.66 · 18.34 · 4.74 · 1760' };

/** @typedef {{ what: string, paper?: string, fps: number, spread: number } & Measured} Row */

/** @returns {Promise<Section>} */
export const measureSteps = async (/** @type {Bench} */ { small, clip, say }) => {
	const frames = await decode(await clip('512x288', small ? 12 : 96));
	const rounds = small ? 1 : 2;
	/** @type {Row[]} */
	const rows = [];
	/** @type {import('./engine.mjs').OpenStreams | undefined} */
	let streams;
	const row = async (
		/** @type {{ what: string, paper?: string }} */ said,
		/** @type {{ tuning: TuningOverrides, overlaps?: boolean }} */ how,
	) => {
		if (!streams) throw new Error('no streams are open');
		const { paintings, fps, spread } = await paintRounds(streams, frames, { ...how, rounds });
		rows.push({ ...said, fps, spread, ...(await measure(frames, paintings)) });
		say(`${said.what}: ${fixed(fps, 1)} frames/s`);
	};
	try {
		/** @type {TuningOverrides} */
		let tuning = {};
		let overlaps = false;
		for (const { what, paper, session, ...step } of STEPS) {
			if (session) {
				await streams?.[Symbol.asyncDispose]();
				streams = await openStreams(session);
			}
			tuning = { ...tuning, ...step.tuning };
			overlaps = step.overlaps ?? overlaps;
			await row({ what, ...(paper && { paper }) }, { tuning, overlaps });
		}
		await row({ what: 'as `lite` starts' }, { tuning: {} });
	} finally {
		await streams?.[Symbol.asyncDispose]();
	}

	const steps = Object.fromEntries(STEPS.map(({ what }, i) => [what, rows[i]]));
	const [oneStep, pipelined, batched] = ['+ 1 step', '+ pipelining', '+ batches of 4'].map((what) => steps[what]);
	const isSame = [pipelined, batched].every(({ warpingError, sobel }) => near(warpingError, oneStep.warpingError) && near(sobel, oneStep.sobel)); // prettier-ignore
	const clipItself = await measure(frames, frames);
	const spread = Math.max(...rows.map((row) => row.spread));
	const cellsOf = (/** @type {Measured} */ { warpingError, sobel, hf }) => [fixed(warpingError, 3), fixed(sobel, 3), fixed(hf, 0)]; // prettier-ignore
	const rowOf = (/** @type {Row} */ { what, paper = '', fps, ...measured }) => [what, fixed(fps, 1), fixed(fps / rows[0].fps), ...cellsOf(measured), paper]; // prettier-ignore
	const cells = rows.map(rowOf);
	const hooks = [HOOKS.what, ...Array.from({ length: 5 }, () => '–'), HOOKS.paper];
	return {
		name: 'ablation',
		title: 'What each step gives',
		text: [
			`arXiv 2606.05981, Table II, on our own line: ${frames.length} frames of the built-in scene at 512x288, in memory, as an oil painting, all in fp32. Each row has what those above it have. Rates are means of ${rounds}, which differ by ${percent(spread, 1)} at most.`,
			`Streams that take turns have all ${ALL_CORES.intraOpNumThreads} cores each, those that overlap share them. Up to the last row every frame is read by the text-and-vision encoder; there (batches of ${usual.batchSize}, ${usual.noise} noise) it is every ${usual.teRefreshEvery}th, or more seldom while nothing changes.`,
			'A batch of 4 is painted frame after frame on a CPU; the next table says what that costs in one run. `lite` has hooks in its down blocks, and one on what the U-Net gives, and was exported so: nothing can be left out.',
			'The last column is what the paper says of its GPU, at 512x512 (frames/s, then warping error, Sobel, HF-FFT where it gives them): the steps are the same, the numbers are of another model on another device.',
		].join(' '),
		head: ['', 'frames/s', 'ratio', 'warping error', 'Sobel', 'HF-FFT', 'the paper'],
		rows: [...cells.slice(0, -1), hooks, ...cells.slice(-1), ['the clip itself', '', '', ...cellsOf(clipItself), '']],
		values: { rows, clip: clipItself },
		verdicts: [holds('pipelining and batching paint the same', 'yes', isSame ? 'yes' : 'no', isSame)],
	};
};

/** Of sums in another order. */
const near = (/** @type {number} */ a, /** @type {number} */ b) => Math.abs(a - b) <= 1e-3 * Math.abs(b);
