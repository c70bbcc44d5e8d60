// What the anchored reference is for: a picture that carries no style, such as black, for longer than the window is.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { apart, mean } from './measures.mjs';
import { shownBy } from './causal.mjs';
import { holds, percent } from '../section.mjs';

/** @typedef {import('./stream.mjs').Stream} Stream */
/** @typedef {import('./painter.mjs').Picture} Picture */
/** @typedef {import('./footage.mjs').Footage} Footage */
/** @typedef {import('../section.mjs').Section} Section */

/**
 * A clip, black, and the same clip again: how far its paintings are from those of before. RTR-DiT, Figure 6b: without anchoring
 * the reference leaves the cache when the window is full.
 * @returns {Promise<Section[]>}
 */
export const judgeAnchor = async (
	/** @type {Stream} */ stream,
	/** @type {Footage} */ footage,
	/** @type {{ styles: number, sheets?: string | undefined }} */ { styles, sheets },
) => {
	const [clip] = [...footage.clips.values()];
	const { frames: window } = stream.manifest.window;
	const [black] = clip.map((picture) => ({ ...picture, data: new Uint8Array(picture.data.length) }));
	const darkness = /** @type {Picture[]} */ (Array(2 * window).fill(black));
	const frames = [...clip, ...darkness, ...clip];
	const again = clip.length + darkness.length;
	const rows = [];
	const values = [];
	for (const style of Object.keys(footage.styles).slice(0, styles)) {
		const reference = shownBy(footage, style, 0);
		for (const [way, how] of /** @type {[string, import('./stream.mjs').How][]} */ ([
			['anchored', {}],
			['not anchored', { unanchoredFrom: window }],
		])) {
			const painted = await stream.paintAll(frames, { reference }, how);
			const moved = await Promise.all(clip.map((_, i) => apart(painted[again + i], painted[i])));
			values.push({ style, way, first: moved[0], mean: mean(moved), last: moved[moved.length - 1] });
			rows.push([style, way, percent(moved[0], 1), percent(mean(moved), 1), percent(moved[moved.length - 1], 1)]);
			if (!sheets) continue;
			const strip = [0, clip.length - 1, again, again + clip.length - 1].map((i) => painted[i].data);
			await writeFile(join(sheets, `anchor-${style}-${way.replace(' ', '-')}.rgb`), Buffer.concat(strip));
		}
	}
	const lasts = (/** @type {string} */ way) => values.filter((one) => one.way === way).map(({ last }) => last);
	const [held, lost] = [Math.max(...lasts('anchored')), mean(lasts('not anchored'))];
	return [
		{
			name: 'anchor',
			title: 'The anchored reference',
			text: `${clip.length} frames of a clip, ${darkness.length} of black and the same ${clip.length} again, shown a painting of another still: the mean difference between the paintings of a frame after and before. Not anchored: the reference is gone when the window of ${window} frames is full.`,
			head: ['', '', 'the first frame', 'mean of all', 'the last'],
			rows,
			values,
			verdicts: [
				holds('anchored, at last', '1 % or less in every style', percent(held, 1), held <= 0.01),
				holds('not anchored, at last', '5 % or more in the mean', percent(lost, 1), lost >= 0.05),
			],
		},
	];
};
