// Judgements of a causal transformer: how it paints told and shown, whether it drifts, switches, and what the mask cache saves.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { apart, character, detailOf, mean, motionOf, warpingErrors } from './measures.mjs';
import { native } from './painter.mjs';
import { fixed, holds, percent } from '../section.mjs';

/** @typedef {import('./stream.mjs').Stream} Stream */
/** @typedef {import('./stream.mjs').Style} Style */
/** @typedef {import('./painter.mjs').Picture} Picture */
/** @typedef {import('./footage.mjs').Footage} Footage */
/** @typedef {import('../section.mjs').Section} Section */

/** Frames of five seconds. */
const FIVE_SECONDS = 120;

/** The frames of a clip forwards and backwards by turns, for as long as is asked: each period has the same ones. */
function* toAndFro(/** @type {Picture[]} */ frames, /** @type {number} */ count) {
	const period = [...frames, ...frames.toReversed()];
	for (let i = 0; i < count; i++) yield period[i % period.length];
}

const toneOf = (/** @type {Picture[]} */ pictures) => {
	const all = pictures.map(character);
	return { light: mean(all.map(({ light }) => light)), chroma: mean(all.map(({ chroma }) => chroma)) };
};

/** What a painter's hand is told by: detail, fine detail, light and colour, means over pictures. */
const handOf = async (/** @type {Picture[]} */ pictures) => ({ ...(await detailOf(pictures)), ...toneOf(pictures) });
/** @typedef {Awaited<ReturnType<typeof handOf>>} Hand */

/** How far two hands are apart: the largest of the relative differences. */
const handsApart = (/** @type {Hand} */ a, /** @type {Hand} */ b) =>
	Math.max(
		...Object.keys(a).map((key) =>
			Math.abs(a[/** @type {keyof Hand} */ (key)] / b[/** @type {keyof Hand} */ (key)] - 1),
		),
	);

const psnr = async (/** @type {Picture} */ a, /** @type {Picture} */ b) =>
	(await native.pictureDifference(a, b)).psnrDb;

/** The painter's painting of another still shows the style of one. */
export const shownBy = (/** @type {Footage} */ footage, /** @type {string} */ style, /** @type {number} */ still) => {
	const paintings = footage.teachers.get(style) ?? [];
	return paintings[(still + 1) % paintings.length];
};

/** Stills beside the painters' paintings, and clips: told in words and shown. @returns {Promise<Section[]>} */
export const judgePaintings = async (/** @type {Stream} */ stream, /** @type {Footage} */ footage) => {
	const clips = await Promise.all(
		[...footage.clips].map(async ([name, frames]) => ({ name, frames, motion: await motionOf(frames) })),
	);
	const rows = [];
	const values = [];
	for (const [style, { preset }] of Object.entries(footage.styles)) {
		const teacher = footage.teachers.get(style) ?? [];
		const taught = await detailOf(teacher);
		for (const [way, styleOf] of /** @type {[string, (still: number) => Style][]} */ ([
			['told', () => ({ prompt: preset })],
			['shown', (/** @type {number} */ still) => ({ reference: shownBy(footage, style, still) })],
		])) {
			const stills = [];
			for (const [i, still] of footage.stills.entries()) stills.push(...(await stream.paintAll([still], styleOf(i))));
			const near = await Promise.all(stills.map((painting, i) => psnr(painting, teacher[i])));
			const detail = await detailOf(stills);
			const errors = [];
			for (const { frames, motion } of clips)
				errors.push((await warpingErrors(motion, await stream.paintAll(frames, styleOf(0)))).visible);
			const found = {
				style,
				way,
				psnrDb: mean(near),
				sobel: detail.sobel / taught.sobel,
				hf: detail.hf / taught.hf,
				warpingError: mean(errors),
			};
			values.push(found);
			rows.push([style, way, fixed(found.psnrDb, 1), fixed(found.sobel), fixed(found.hf), fixed(found.warpingError)]);
		}
	}
	return [
		{
			name: 'paintings',
			title: 'Told and shown',
			text: `${footage.stills.length} stills beside what the painters paint of them from the same noise, and ${clips.length} clips of ${clips[0]?.frames.length} frames. Shown: a painting of another still by the same painter. Warping error 0..255, where both frames show the place.`,
			head: ['', '', 'PSNR to the painter', "Sobel over the painter's", "HF-FFT over the painter's", 'warping error'],
			rows,
			values,
			verdicts: [],
		},
	];
};

/** A long stream, told, shown, and shown with the reference hidden after the window was full. @returns {Promise<Section[]>} */
export const judgeDrift = async (
	/** @type {Stream} */ stream,
	/** @type {Footage} */ footage,
	/** @type {{ frames: number, styles: string[], sheets?: string | undefined, done: (what: string) => void }} */ {
		frames,
		styles,
		sheets,
		done,
	},
) => {
	const [clip] = [...footage.clips.values()];
	const five = Math.min(FIVE_SECONDS, Math.floor(frames / 2));
	const rows = [];
	const values = [];
	for (const style of styles) {
		const reference = shownBy(footage, style, 0);
		for (const [way, asked, how] of /** @type {[string, Style, import('./stream.mjs').How][]} */ ([
			['told', { prompt: footage.styles[style].preset }, {}],
			['shown', { reference }, {}],
			['shown, not anchored', { reference }, { unanchoredFrom: stream.manifest.window.frames }],
		])) {
			/** @type {Picture[]} */
			const [first, last, strip] = [[], [], []];
			let frame = 0;
			for await (const { picture } of stream.paint(
				toAndFro(clip, frames),
				(at) => (at === 0 ? asked : undefined),
				how,
			)) {
				if (frame < five) first.push(picture);
				if (frame >= frames - five) last.push(picture);
				if (frame % Math.ceil(frames / 6) === 0) strip.push(picture);
				frame++;
			}
			const change = handsApart(await handOf(last), await handOf(first));
			// The same source, a whole number of periods later.
			const period = 2 * clip.length;
			const later = frames - five + ((period - ((frames - five) % period)) % period) - (frames - five);
			const moved = later < last.length ? await apart(first[0], last[later]) : undefined;
			values.push({ style, way, change, moved });
			rows.push([style, way, percent(change, 1), moved === undefined ? '' : percent(moved, 1)]);
			if (sheets)
				await writeFile(
					join(sheets, `drift-${style}-${way.replaceAll(/[^a-z]+/g, '-')}.rgb`),
					Buffer.concat(strip.map(({ data }) => data)),
				);
			done(`${frames} frames, ${style}, ${way}: ${percent(change, 1)}`);
		}
	}
	const worst = (/** @type {string} */ way) =>
		Math.max(...values.filter((one) => one.way === way).map(({ change }) => change));
	const without = Math.min(...values.filter((one) => one.way === 'shown, not anchored').map(({ change }) => change));
	return [
		{
			name: 'drift',
			title: 'A long stream',
			text: `${frames} frames of one clip, forwards and backwards by turns. Change: how far Sobel, HF-FFT, lightness and chroma of the last ${five} frames are from those of the first, at most. Apart: the painting of the first frame and of the same frame in the last period. RTR-DiT, Figure 6b: without anchoring the reference leaves the cache when it is full.`,
			head: ['', '', 'change', 'apart'],
			rows,
			values,
			verdicts: [
				holds('drift over the stream, told', '5 % or less', percent(worst('told'), 1), worst('told') <= 0.05),
				holds('drift over the stream, shown', '5 % or less', percent(worst('shown'), 1), worst('shown') <= 0.05),
				holds('without anchoring', 'more than with it', percent(without, 1), without > worst('shown')),
			],
		},
	];
};

/** Text, then a reference, then text again (RTR-DiT, Figure 8). @returns {Promise<Section[]>} */
export const judgeSwitch = async (
	/** @type {Stream} */ stream,
	/** @type {Footage} */ footage,
	/** @type {{ sheets?: string | undefined }} */ { sheets },
) => {
	const [clip] = [...footage.clips.values()];
	const [a, b, c] = Object.keys(footage.styles).filter((_, i) => i === 0 || i === 2 || i === 5);
	/** @type {Style[]} */
	const styles = [
		{ prompt: footage.styles[a].preset },
		{ reference: shownBy(footage, b, 0) },
		{ prompt: footage.styles[c].preset },
	];
	const each = Math.floor(clip.length / 3);
	const switched = [];
	for await (const { picture } of stream.paint(clip.slice(0, 3 * each), (frame) =>
		frame % each === 0 ? styles[frame / each] : undefined,
	))
		switched.push(picture);
	// Who was in this style all along.
	const rows = [];
	const values = [];
	for (const [i, style] of styles.entries()) {
		if (i === 0) continue;
		const steady = await stream.paintAll(clip.slice(0, 3 * each), style);
		const before = await stream.paintAll(clip.slice(0, 3 * each), styles[i - 1]);
		const at = i * each;
		const whole = await apart(before[at], steady[at]);
		const left = [];
		for (const after of [0, 1, Math.min(2, each - 1), each - 1])
			left.push((await apart(switched[at + after], steady[at + after])) / whole);
		values.push({ from: i - 1, to: i, left });
		rows.push([
			i === 1 ? `${a}, told -> ${b}, shown` : `${b}, shown -> ${c}, told`,
			...left.map((share) => percent(share)),
		]);
	}
	if (sheets) {
		const strip = [0, each - 1, each, each + 1, 2 * each - 1, 2 * each, 2 * each + 1, 3 * each - 1].map(
			(i) => switched[i],
		);
		await writeFile(join(sheets, 'switch.rgb'), Buffer.concat(strip.map(({ data }) => data)));
	}
	const first = Math.max(...values.map(({ left }) => left[0]));
	return [
		{
			name: 'switch',
			title: 'A switch of style',
			text: 'How far a frame is from that of a stream which was in the new style all along, as a share of how far the two styles are apart.',
			head: ['', 'the first frame', 'the second', 'the third', 'the last'],
			rows,
			values,
			verdicts: [holds('a switch', 'within one frame: less than half is left', percent(first), first < 0.5)],
		},
	];
};

/** The mask cache: speed, and what is different inside and outside of the mask. @returns {Promise<Section[]>} */
export const judgeMaskCache = async (/** @type {Stream} */ stream, /** @type {Footage} */ footage) => {
	const rows = [];
	const values = [];
	const [style] = Object.values(footage.styles);
	for (const [name, frames] of [...footage.clips].slice(0, 3)) {
		const asked = (/** @type {number} */ frame) => (frame === 0 ? { prompt: style.preset } : undefined);
		const whole = [];
		for await (const one of stream.paint(frames, asked)) whole.push(one);
		const part = [];
		for await (const one of stream.paint(frames, asked, { kept: true })) part.push(one);
		const median = (/** @type {number[]} */ times) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];
		const times = median(whole.slice(1).map(({ ditMs }) => ditMs)) / median(part.slice(1).map(({ ditMs }) => ditMs));
		const differences = part
			.slice(1)
			.map(({ picture, kept }, i) => insideAndOutside(picture, whole[i + 1].picture, kept));
		const found = {
			clip: name,
			times,
			inside: mean(differences.map(({ inside }) => inside)),
			outside: mean(differences.map(({ outside }) => outside)),
		};
		values.push(found);
		rows.push([name, fixed(times), percent(found.inside, 1), percent(found.outside, 1)]);
	}
	const slowest = Math.min(...values.map(({ times }) => times));
	return [
		{
			name: 'maskCache',
			title: 'The mask cache',
			text: "The 30 % of tokens that were farthest from their source in the frame before are painted, against all: the denoiser's speed, and the mean difference of the paintings inside and outside of these tokens.",
			head: ['clip', 'times the speed', 'difference inside', 'outside'],
			rows,
			values,
			verdicts: [holds('the mask cache', '1.5 times the speed or more', fixed(slowest), slowest >= 1.5)],
		},
	];
};

/** The moving buffer beside one frame after the other, told in words. @returns {Promise<Section[]>} */
export const judgeBuffer = async (
	/** @type {Stream} */ stream,
	/** @type {Footage} */ footage,
	/** @type {{ styles: number }} */ { styles },
) => {
	const clips = await Promise.all(
		[...footage.clips.values()].map(async (frames) => ({ frames, motion: await motionOf(frames) })),
	);
	/** @type {[string, import('./stream.mjs').How][]} */
	const ways = [
		['2 steps', { steps: 2 }],
		['1 step', { steps: 1 }],
		['buffer', { buffered: true }],
	];
	const values = [];
	const speeds = Object.fromEntries(ways.map(([way]) => [way, /** @type {number[]} */ ([])]));
	for (const [style, { preset }] of Object.entries(footage.styles).slice(0, styles)) {
		const teacher = footage.teachers.get(style) ?? [];
		const taught = await detailOf(teacher);
		for (const [way, how] of ways) {
			const stills = [];
			for (const still of footage.stills) stills.push(...(await stream.paintAll([still], { prompt: preset }, how)));
			const near = await Promise.all(stills.map((painting, i) => psnr(painting, teacher[i])));
			const moving = [];
			const errors = [];
			for (const { frames, motion } of clips) {
				const painted = [];
				for await (const one of stream.paint(frames, (at) => (at === 0 ? { prompt: preset } : undefined), how))
					painted.push(one);
				speeds[way].push(...painted.slice(1).map(({ ditMs }) => ditMs));
				moving.push(...painted.map(({ picture }) => picture));
				errors.push(
					(
						await warpingErrors(
							motion,
							painted.map(({ picture }) => picture),
						)
					).visible,
				);
			}
			const [detail, { hf }] = [await detailOf(stills), await detailOf(moving)];
			values.push({
				style,
				way,
				psnrDb: mean(near),
				sobel: detail.sobel / taught.sobel,
				hf: detail.hf / taught.hf,
				movingHf: hf,
				warpingError: mean(errors),
			});
		}
	}
	const ditMs = Object.fromEntries(ways.map(([way]) => [way, speeds[way].toSorted((a, b) => a - b)]));
	const p50 = (/** @type {string} */ way) => ditMs[way][Math.floor(ditMs[way].length / 2)];
	const meanOf = (/** @type {string} */ way, /** @type {'psnrDb' | 'warpingError'} */ key) =>
		mean(values.filter((one) => one.way === way).map((one) => one[key]));
	const behind = meanOf('2 steps', 'psnrDb') - meanOf('buffer', 'psnrDb');
	const times = p50('2 steps') / p50('buffer');
	return [
		{
			name: 'buffer',
			title: 'The moving buffer',
			text: `Told in words. Stills beside what the painters paint of them, clips of ${clips[0]?.frames.length} frames. The denoiser takes ${ways.map(([way]) => `${fixed(p50(way), 1)} ms a frame with ${way}`).join(', ')} (p50).`,
			head: [
				'',
				'',
				'PSNR to the painter',
				"Sobel over the painter's",
				"HF-FFT over the painter's",
				'HF-FFT of clips',
				'warping error',
			],
			rows: values.map((one) => [
				one.style,
				one.way,
				fixed(one.psnrDb, 1),
				fixed(one.sobel),
				fixed(one.hf),
				fixed(one.movingHf),
				fixed(one.warpingError),
			]),
			values: { values, p50Ms: Object.fromEntries(ways.map(([way]) => [way, p50(way)])) },
			verdicts: [
				holds('the moving buffer beside 2 steps', '1.2 times the speed or more', fixed(times), times >= 1.2),
				holds('its paintings', '0.5 dB or less from the painter’s than with 2 steps', fixed(behind), behind <= 0.5),
			],
		},
	];
};

const insideAndOutside = (
	/** @type {Picture} */ a,
	/** @type {Picture} */ b,
	/** @type {Uint32Array | undefined} */ kept,
) => {
	const columns = a.width / 16;
	const isKept = new Set(kept);
	const sums = { inside: 0, outside: 0 };
	const counts = { inside: 0, outside: 0 };
	for (let i = 0; i < a.data.length; i++) {
		const [x, y] = [Math.floor(i / 3) % a.width, Math.floor(i / 3 / a.width)];
		const where = isKept.has(Math.floor(y / 16) * columns + Math.floor(x / 16)) ? 'inside' : 'outside';
		sums[where] += Math.abs(a.data[i] - b.data[i]);
		counts[where]++;
	}
	const share = (/** @type {'inside' | 'outside'} */ where) => sums[where] / Math.max(counts[where], 1) / 255;
	return { inside: share('inside'), outside: share('outside') };
};
