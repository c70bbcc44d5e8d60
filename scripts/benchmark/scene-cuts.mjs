// Hard cuts: whether anything of the old scene is in the first paintings of the new one.
import { fixed, holds } from '../section.mjs';
import { decode, native, openStreams, paint } from './engine.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {import('./engine.mjs').NativeAddon} NativeAddon */
/** @typedef {import('./engine.mjs').Picture} Picture */
/** @typedef {import('./engine.mjs').TuningOverrides} TuningOverrides */

/** Three places made of one: as it is; another light and side; a corner of it in other colours. */
const SCENES = ['null', 'negate,hflip', 'crop=iw/3:ih/3:0:0,scale=512:288,hue=h=150,eq=brightness=0.25'];

/** To it no frame differs from another: every cut passes for motion. @type {NativeAddon} */
const blind = { ...native, thumbnailDifference: async () => 0 };

const EACH = { teRefreshEvery: 1, noise: /** @type {const} */ ('fixed') };
/** @type {{ what: string, tuning: TuningOverrides, addon?: NativeAddon }[]} */
const RUNS = [
	{ what: 'cuts seen', tuning: EACH },
	{ what: 'cuts not seen', tuning: EACH, addon: blind },
	{ what: 'cuts seen, advected noise', tuning: { ...EACH, noise: 'advected' } },
	{ what: 'cuts not seen, advected noise', tuning: { ...EACH, noise: 'advected' }, addon: blind },
	{ what: 'as `lite` starts', tuning: {} },
];

const mean = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** @returns {Promise<Section>} */
export const measureSceneCuts = async (/** @type {Bench} */ { small, clip, say }) => {
	// No cut falls together with the encoder's own turn, every 8 batches.
	const length = small ? 3 : 13;
	const file = await clip('512x288', small ? 12 : 96);
	/** @type {Picture[][]} */
	const scenes = [];
	for (const filter of SCENES) scenes.push((await decode(file, filter)).slice(0, length));
	const cutOf = (/** @type {Picture[]} */ scene, /** @type {number} */ i) =>
		native.thumbnailDifference(scenes[i][length - 1], scene[0]);
	const cuts = await Promise.all(scenes.slice(1).map(cutOf));

	const streams = await openStreams(undefined);
	const rows = [];
	try {
		for (const { what, tuning, addon = native } of RUNS) {
			const joined = await paint(streams, scenes.flat(), { tuning, addon });
			/** By frame after the cut, means over the cuts. @type {number[][]} */
			const apart = [];
			for (const [i, scene] of scenes.entries()) {
				if (i === 0) continue;
				const alone = await paint(streams, scene, { tuning });
				const after = joined.paintings.slice(i * length, (i + 1) * length);
				const differences = after.map((painting, at) => native.pictureDifference(painting, alone.paintings[at]));
				apart.push((await Promise.all(differences)).map(({ meanAbsolute }) => meanAbsolute));
			}
			const by = Array.from({ length }, (_, at) => mean(apart.map((differences) => differences[at])));
			rows.push({ what, first: by[0], second: by[1], rest: mean(by.slice(2)), last: by[length - 1] });
			say(`${what}: ${fixed(by[0])} of 255 after the cut`);
		}
	} finally {
		await streams[Symbol.asyncDispose]();
	}
	const seen = Math.max(...rows.slice(0, 1).flatMap(({ first, second, rest }) => [first, second, rest]));
	return {
		name: 'cuts',
		title: 'Scene cuts',
		text: `arXiv 2606.05981, Table VIII: three scenes of ${length} frames, one after the other, against each painted alone: the mean difference of the paintings after the cut, of 255, in fp32 and batches of one. The frames at the cuts differ by ${cuts.map((cut) => fixed(cut, 0)).join(' and ')} on thumbnails; 25 is a cut. Not seen: the same engine, to whose motion tracker no two frames differ. The text-and-vision encoder reads every frame but in the last row, where it keeps what it read of the old scene until its next turn.`,
		head: ['', 'first frame', 'second', 'the others', 'last'],
		rows: rows.map(({ what, first, second, rest, last }) => [what, ...[first, second, rest, last].map((value) => fixed(value))]), // prettier-ignore
		values: { cuts, rows },
		verdicts: [
			holds('after a cut that is seen, the paintings from those of the scene alone', 'the same', `${fixed(seen)} of 255 apart`, seen < 0.005), // prettier-ignore
		],
	};
};
