// Judgements of moving pictures: how well strokes stay on the things they paint, and at what cost in detail.
import { apart, detailOf, mean, motionOf, warpingErrors } from './measures.mjs';
import { STILL } from './painter.mjs';
import { fixed, holds } from '../section.mjs';

/** @typedef {import('./painter.mjs').Painter} Painter */
/** @typedef {import('./painter.mjs').Picture} Picture */
/** @typedef {import('./painter.mjs').TuningOverrides} TuningOverrides */
/** @typedef {import('./footage.mjs').Footage} Footage */
/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {{ all: number, visible: number, sobel: number, hf: number }} Steadiness */

/** @type {Record<string, TuningOverrides>} */
const USUAL_RUNS = {
	neither: STILL,
	'noise per frame': { ...STILL, noise: 'per-frame' },
	advected: { ...STILL, noise: 'advected' },
};
const adapted = (/** @type {number} */ condRefreshEvery) => ({
	noise: /** @type {const} */ ('advected'),
	condRefreshEvery,
	outputBlend: 0,
});

/** Paints each clip in each way. @returns {Promise<Record<string, Steadiness & { clips: object[] }>>} by way, means over clips, and each */
const measure = async (
	/** @type {Painter} */ painter,
	/** @type {{ name: string, frames: Picture[], motion: import('./measures.mjs').ClipMotion }[]} */ clips,
	/** @type {Record<string, { prompt: string, tuning: TuningOverrides }>} */ ways,
) => {
	const shots = Object.entries(ways).flatMap(([way, asked]) => clips.map((clip) => ({ way, ...clip, ...asked })));
	/** @type {Record<string, (Steadiness & { clip: string })[]>} */
	const found = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
	/** @type {Picture[]} */
	let painted = [];
	const measuring = [];
	for await (const { shot, picture } of painter.paint(shots)) {
		painted.push(picture);
		if (painted.length < shot.frames.length) continue;
		const whole = painted;
		painted = [];
		// The next clip is painted meanwhile.
		measuring.push(
			Promise.all([warpingErrors(shot.motion, whole), detailOf(whole)]).then(([error, detail]) =>
				found[shot.way].push({ clip: shot.name, ...error, ...detail }),
			),
		);
	}
	await Promise.all(measuring);
	return Object.fromEntries(
		Object.entries(found).map(([way, all]) => [
			way,
			{
				all: mean(all.map((one) => one.all)),
				visible: mean(all.map((one) => one.visible)),
				sobel: mean(all.map((one) => one.sobel)),
				hf: mean(all.map((one) => one.hf)),
				clips: all,
			},
		]),
	);
};

const over = (/** @type {Steadiness} */ a, /** @type {Steadiness} */ b) => ({
	all: a.all / b.all,
	visible: a.visible / b.visible,
	sobel: a.sobel / b.sobel,
	hf: a.hf / b.hf,
});
const said = (/** @type {Steadiness} */ { all, visible, sobel, hf }) =>
	`${fixed(all)} (${fixed(visible)}) · ${fixed(sobel)} · ${fixed(hf)}`;

/** Means of ratios over styles. */
const averaged = (/** @type {Steadiness[]} */ all) => ({
	all: mean(all.map((one) => one.all)),
	visible: mean(all.map((one) => one.visible)),
	sobel: mean(all.map((one) => one.sobel)),
	hf: mean(all.map((one) => one.hf)),
});

/** @returns {Promise<Section[]>} */
export const judgeClips = async (
	/** @type {Painter} */ painter,
	/** @type {Footage} */ footage,
	/** @type {{ refreshes: number[], transferClips: number, done: (what: string) => void }} */
	{ refreshes, transferClips, done },
) => {
	const clips = [];
	for (const [name, frames] of footage.clips) clips.push({ name, frames, motion: await motionOf(frames) });
	const styles = Object.entries(footage.styles);
	const { condRefreshEvery: usualN, outputBlend } = painter.usual;
	/** @type {Record<string, TuningOverrides>} */
	const runs = {
		...USUAL_RUNS,
		...Object.fromEntries(refreshes.map((n) => [`adapter, N = ${n}`, adapted(n)])),
		'all of it': { noise: 'advected' },
		'as it starts': {},
	};
	/** @type {Record<string, Record<string, Steadiness>>} */
	const values = {};
	for (const [style, { preset }] of styles) {
		const ways = Object.entries(runs).map(([run, tuning]) => [run, { prompt: preset, tuning }]);
		values[style] = await measure(painter, clips, Object.fromEntries(ways));
		done(`clips, ${style}`);
	}

	const other = Object.keys(runs).filter((run) => run !== 'neither');
	const ratios = (/** @type {string} */ run, /** @type {string} */ to) =>
		averaged(Object.values(values).map((by) => over(by[run], by[to])));
	const judgedN = refreshes.includes(usualN) ? usualN : refreshes[0];
	const judgedRun = `adapter, N = ${judgedN}`;
	const together = ratios('all of it', 'neither');
	const unblended = ratios(judgedRun, 'neither');
	const alone = ratios(judgedRun, 'advected');

	// Sentences the adapter never met, and styles that nobody named.
	const few = clips.slice(0, transferClips);
	const groups = {
		"the styles' own sentences": styles.map(([, { preset }]) => preset),
		'sentences held out of training': styles.map(([, { paraphrases }]) => paraphrases[0]),
		'styles that nobody named': footage.unknown.slice(0, styles.length),
	};
	/** @type {Record<string, { adapter: Steadiness, both: Steadiness }>} */
	const transfer = {};
	for (const [group, prompts] of Object.entries(groups)) {
		const rows = [];
		for (const [i, prompt] of prompts.entries())
			rows.push(
				await measure(painter, [few[i % few.length]], {
					neither: { prompt, tuning: runs['neither'] },
					advected: { prompt, tuning: runs['advected'] },
					adapter: { prompt, tuning: adapted(judgedN) },
					all: { prompt, tuning: runs['all of it'] },
				}),
			);
		done(`clips, ${group}`);
		transfer[group] = {
			adapter: averaged(rows.map((by) => over(by['adapter'], by['advected']))),
			both: averaged(rows.map((by) => over(by['all'], by['neither']))),
		};
	}

	const [{ frames }] = clips;
	const about = `${clips.length} clips of ${frames.length} frames`;
	const percentLess = (/** @type {number} */ ratio) => `${fixed(100 * (1 - ratio), 0)} % lower`;
	return [
		{
			name: 'clips',
			title: 'On moving pictures',
			text: `${about} (${[...footage.clips.keys()].join(', ')}). Each cell: warping error (where both frames see it) · Sobel · HF-FFT, over those with fixed noise and no adapter, whose own figures are in the first column. The adapter is on advected noise; all of it is both, and the last painting blended in with a weight of ${outputBlend}; the last column is how the model starts (${painter.usual.noise} noise, N = ${usualN}, the same weight).`,
			head: ['', 'fixed, no adapter', ...other],
			rows: [
				...Object.entries(values).map(([style, by]) => [
					style,
					`${fixed(by['neither'].all)} (${fixed(by['neither'].visible)}) · ${fixed(by['neither'].sobel)} · ${fixed(by['neither'].hf, 0)}`,
					...other.map((run) => said(over(by[run], by['neither']))),
				]),
				['mean', '1', ...other.map((run) => said(ratios(run, 'neither')))],
			],
			values,
			verdicts: [
				holds(
					`advected noise, adapter (N = ${usualN}) and blend against none of them: warping error`,
					'30 % lower or more',
					percentLess(together.all),
					together.all <= 0.7,
					`${percentLess(together.visible)} where visible; without the blend ${percentLess(unblended.all)}`,
				),
				holds(
					'the same: Sobel and HF-FFT',
					'0.90 or more',
					`${fixed(together.sobel)}, ${fixed(together.hf)}`,
					Math.min(together.sobel, together.hf) >= 0.9,
				),
				holds(
					`the adapter alone, on advected noise (N = ${judgedN}): warping error`,
					'8 % lower or more',
					percentLess(alone.all),
					alone.all <= 0.92,
					`${percentLess(alone.visible)} where visible`,
				),
				holds(
					'the same: Sobel and HF-FFT',
					'0.95 or more',
					`${fixed(alone.sobel)}, ${fixed(alone.hf)}`,
					Math.min(alone.sobel, alone.hf) >= 0.95,
				),
			],
		},
		{
			name: 'transfer',
			title: 'What the adapter does for sentences and styles it was not trained on',
			text: `Means over sentences, each on one of ${few.length} clips, N = ${judgedN}; cells as above.`,
			head: ['', 'adapter against none, on advected noise', 'all of it against none'],
			rows: Object.entries(transfer).map(([group, { adapter, both }]) => [group, said(adapter), said(both)]),
			values: transfer,
			verdicts: [],
		},
	];
};

/** @returns {Promise<Section[]>} */
export const judgeStillness = async (/** @type {Painter} */ painter, /** @type {Footage} */ { styles, stills }) => {
	const every = Math.max(1, painter.usual.condRefreshEvery);
	// Refreshes come with the second frame and every N after it.
	const settled = 2 + 2 * every;
	const frames = Array.from({ length: settled + 8 }, () => stills[0]);
	/** @type {Record<string, Record<string, number>>} */
	const values = {};
	for (const [style, { preset }] of Object.entries(styles)) {
		values[style] = {};
		for (const noise of /** @type {const} */ (['fixed', 'advected'])) {
			const [painted] = await painter.paintAll([{ frames, prompt: preset, tuning: { noise } }]);
			const last = painted.slice(settled);
			values[style][noise] = 255 * mean(await Promise.all(last.slice(1).map((picture, i) => apart(picture, last[i]))));
		}
	}
	const most = Math.max(...Object.values(values).flatMap((by) => Object.values(by)));
	return [
		{
			name: 'stillness',
			title: 'On a picture that stands still',
			text: `Mean change from frame to frame after the third refresh (N = ${every}), 0..255.`,
			head: ['', 'fixed noise', 'advected noise'],
			rows: Object.entries(values).map(([style, by]) => [style, fixed(by['fixed'], 3), fixed(by['advected'], 3)]),
			values,
			verdicts: [
				holds(
					'on a frozen picture, mean change from frame to frame after the third refresh',
					'under 1 of 255',
					fixed(most, 3),
					most < 1,
				),
			],
		},
	];
};
