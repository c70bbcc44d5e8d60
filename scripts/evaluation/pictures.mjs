// Judgements of single pictures: detail beside the teacher's, steps, modifiers, sentences, styles nobody named, mixtures.
import { apart, character, detailOf, mean } from './measures.mjs';
import { native, STILL } from './painter.mjs';
import { holds, fixed, percent, shareOf } from '../section.mjs';

/** @typedef {import('./painter.mjs').Painter} Painter */
/** @typedef {import('./painter.mjs').Picture} Picture */
/** @typedef {import('./footage.mjs').Footage} Footage */
/** @typedef {import('../section.mjs').Section} Section */

/** @typedef {{ of: number, prompt?: string, conditioning?: { prompt: string, weight: number }[], steps?: 1 | 2 | 4 }} Order */

/** Paints stills, each afresh. @returns {Promise<Picture[]>} */
const paintStills = async (
	/** @type {Painter} */ painter,
	/** @type {Picture[]} */ stills,
	/** @type {Order[]} */ orders,
) => {
	const shots = orders.map(({ of, steps = 1, ...said }) => ({
		frames: [stills[of]],
		...said,
		tuning: { ...STILL, steps },
	}));
	return (await painter.paintAll(shots)).map(([painting]) => painting);
};

/** @returns {Promise<Section[]>} */
export const judgeDetail = async (
	/** @type {Painter} */ painter,
	/** @type {Footage} */ { styles, stills, teachers },
) => {
	/** @type {Record<string, Record<string, { psnrDb: number, sobel: number, hf: number }>>} */
	const values = {};
	for (const [style, { preset }] of Object.entries(styles)) {
		const taught = teachers.get(style) ?? [];
		const expected = await Promise.all(taught.map((picture) => native.pictureDetail(picture)));
		values[style] = {};
		for (const steps of /** @type {const} */ ([1, 2, 4])) {
			const painted = await paintStills(
				painter,
				stills,
				stills.map((_, of) => ({ of, prompt: preset, steps })),
			);
			const rows = await Promise.all(
				painted.map(async (painting, i) => {
					const { sobel, hfFft } = await native.pictureDetail(painting);
					const { psnrDb } = await native.pictureDifference(painting, taught[i]);
					return { psnrDb, sobel: sobel / expected[i].sobel, hf: hfFft / expected[i].hfFft };
				}),
			);
			values[style][steps] = {
				psnrDb: mean(rows.map(({ psnrDb }) => psnrDb)),
				sobel: mean(rows.map(({ sobel }) => sobel)),
				hf: mean(rows.map(({ hf }) => hf)),
			};
		}
	}
	const all = Object.entries(values);
	const least = (/** @type {'sobel' | 'hf'} */ what) => all.reduce((a, b) => (a[1][1][what] < b[1][1][what] ? a : b));
	return [
		{
			name: 'detail',
			title: 'Beside the teacher',
			text: `${stills.length} pictures; the teachers painted the same ones from the same noise. Ratios are the painting's over the teacher's.`,
			head: ['', 'PSNR', 'Sobel', 'HF-FFT', '2 steps: PSNR, Sobel, HF-FFT', '4 steps: PSNR, Sobel, HF-FFT'],
			rows: all.map(([style, by]) => [
				style,
				`${fixed(by[1].psnrDb, 1)} dB`,
				fixed(by[1].sobel),
				fixed(by[1].hf),
				...[by[2], by[4]].map(({ psnrDb, sobel, hf }) => `${fixed(psnrDb, 1)} dB, ${fixed(sobel)}, ${fixed(hf)}`),
			]),
			values,
			verdicts: [
				holds(
					"Sobel / teacher's, least of the styles",
					'0.80 or more',
					fixed(least('sobel')[1][1].sobel),
					least('sobel')[1][1].sobel >= 0.8,
					least('sobel')[0],
				),
				holds(
					"HF-FFT / teacher's, least of the styles",
					'0.80 or more',
					fixed(least('hf')[1][1].hf),
					least('hf')[1][1].hf >= 0.8,
					least('hf')[0],
				),
			],
		},
	];
};

/** @type {Record<string, { moves: 'chroma' | 'b' | 'light' | 'strokes', up: boolean }>} */
const NAMED = {
	vibrant: { moves: 'chroma', up: true },
	muted: { moves: 'chroma', up: false },
	monochrome: { moves: 'chroma', up: false },
	warm: { moves: 'b', up: true },
	cool: { moves: 'b', up: false },
	bright: { moves: 'light', up: true },
	dark: { moves: 'light', up: false },
	bold: { moves: 'strokes', up: false },
	fine: { moves: 'strokes', up: true },
};
/** A change that somebody could see: units of CIE Lab, or a share of what is measured of the strokes. */
const NOTICED = { lab: 1, strokes: 0.01 };
const moved = (/** @type {string} */ name, /** @type {number} */ change) =>
	`${change < 0 ? '' : '+'}${NAMED[name].moves === 'strokes' ? percent(change) : fixed(change, 1)}`;
/** The styles whose bold and fine are those of a pen: their painters make its lines thinner, and those of the others their brush. */
const PENNED = ['pencil-sketch', 'anime', 'ukiyo-e', 'comic-halftone'];
const isGrey = (/** @type {string} */ style) => style === 'pencil-sketch';

/** @returns {Promise<Section[]>} */
export const judgeModifiers = async (/** @type {Painter} */ painter, /** @type {Footage} */ { styles, stills }) => {
	/** @type {Record<string, Record<string, { right: number, rightOtherwise: number, change: number }>>} */
	const values = {};
	for (const [style, said] of Object.entries(styles)) {
		const measure = async (/** @type {string[]} */ prompts) => {
			const orders = stills.map((_, of) => ({ of, prompt: prompts[of % prompts.length] }));
			return (await paintStills(painter, stills, orders)).map(character);
		};
		const usual = await measure([said.plain]);
		values[style] = {};
		for (const [name, { moves, up }] of Object.entries(NAMED)) {
			if (isGrey(style) && moves === 'chroma') continue;
			const what = moves !== 'strokes' ? moves : PENNED.includes(style) ? 'thinness' : 'fineness';
			const changes = async (/** @type {string[]} */ prompts) =>
				(await measure(prompts)).map(
					(one, i) => (one[what] - usual[i][what]) / (moves === 'strokes' ? usual[i][what] : 1),
				);
			const isRight = (/** @type {number} */ change) =>
				(up ? change : -change) >= (moves === 'strokes' ? NOTICED.strokes : NOTICED.lab);
			const [known, otherwise] = [await changes(said.modified[name]), await changes(said.modified_otherwise[name])];
			values[style][name] = {
				right: shareOf(known, isRight),
				rightOtherwise: shareOf(otherwise, isRight),
				change: mean(known),
			};
		}
	}
	const all = Object.entries(values);
	return [
		{
			name: 'modifiers',
			title: 'Modifiers',
			text: `Share of ${stills.length} pictures in which words move what they name the right way, by ${NOTICED.lab} or more in chroma, b* or L*, or by ${percent(NOTICED.strokes)} in the fineness of the brush or the thinness of the pen (${PENNED.join(', ')}): two ways to say each that training knows (mean change) / two that were held out. Pencil is grey, so chroma is not asked of it.`,
			head: ['', ...Object.keys(NAMED)],
			rows: all.map(([style, by]) => [
				style,
				...Object.keys(NAMED).map((name) =>
					by[name]
						? `${percent(by[name].right)} (${moved(name, by[name].change)}) / ${percent(by[name].rightOtherwise)}`
						: '',
				),
			]),
			values,
			verdicts: Object.entries(NAMED).map(([name, { moves, up }]) => {
				const of = all.filter(([, by]) => by[name]);
				const failing = of.filter(([, by]) => by[name].right < 0.9).map(([style]) => style);
				return holds(
					`${name} moves ${moves} ${up ? 'up' : 'down'}`,
					'90 % or more in every style',
					`${percent(mean(of.map(([, by]) => by[name].right)))} on average`,
					failing.length === 0,
					failing.length ? `less in ${failing.join(', ')}` : '',
				);
			}),
		},
	];
};

/** @returns {Promise<Section[]>} */
export const judgeSentences = async (/** @type {Painter} */ painter, /** @type {Footage} */ footage) => {
	const { stills, unknown } = footage;
	const styles = Object.entries(footage.styles);
	const plain = new Map();
	for (const [style, said] of styles)
		plain.set(
			style,
			await paintStills(
				painter,
				stills,
				stills.map((_, of) => ({ of, prompt: said.plain })),
			),
		);

	/** How far the painting of a sentence is from that of each style, on pictures spread over the stills. */
	const distances = async (/** @type {string[]} */ sentences, each = 3) => {
		const orders = sentences.flatMap((prompt, i) =>
			Array.from({ length: Math.min(each, stills.length) }, (_, j) => ({ of: (i + j * 4) % stills.length, prompt })),
		);
		const painted = await paintStills(painter, stills, orders);
		const per = orders.length / sentences.length;
		return await Promise.all(
			sentences.map(async (sentence, i) => {
				const own = orders.slice(i * per, (i + 1) * per).map(({ of }, j) => ({ of, painting: painted[i * per + j] }));
				const to = async (/** @type {Picture[]} */ pictures) =>
					mean(await Promise.all(own.map(({ of, painting }) => apart(painting, pictures[of]))));
				const from = await Promise.all(
					[...plain].map(async ([style, pictures]) => ({ style, apart: await to(pictures) })),
				);
				return { sentence, source: await to(stills), from: from.toSorted((a, b) => a.apart - b.apart) };
			}),
		);
	};

	/** @type {Record<string, { within: number, mean: number, worst: number, worstSentence: string }>} */
	const paraphrases = {};
	/** @type {Record<string, any[]>} */
	const kin = {};
	for (const [style, said] of styles) {
		const orders = said.paraphrases.map((prompt, i) => ({ of: i % stills.length, prompt }));
		const painted = await paintStills(painter, stills, orders);
		const off = await Promise.all(painted.map((painting, i) => apart(painting, plain.get(style)[orders[i].of])));
		const worst = Math.max(...off);
		paraphrases[style] = {
			within: shareOf(off, (d) => d <= 0.01),
			mean: mean(off),
			worst,
			worstSentence: said.paraphrases[off.indexOf(worst)],
		};
		kin[style] = await distances(said.kin);
	}
	const nearestIs = (/** @type {string} */ style) => shareOf(kin[style], ({ from }) => from[0].style === style);
	const strange = await distances(unknown);
	const within = mean(Object.values(paraphrases).map((one) => one.within));
	const worst = Object.entries(paraphrases).reduce((a, b) => (a[1].mean > b[1].mean ? a : b));
	return [
		{
			name: 'sentences',
			title: 'Paraphrases and kin',
			text: 'Sentences held out of training against the style\'s own, as mean difference of the paintings; kin are other styles that training calls by the name of the nearest ("manga" is anime), in sentences held out too.',
			head: [
				'',
				'within 1 %',
				'mean',
				'worst',
				'worst sentence',
				'kin: nearest is the one meant',
				'kin: mean difference',
			],
			rows: Object.entries(paraphrases).map(([style, { within: share, mean: average, worst: most, worstSentence }]) => [
				style,
				percent(share),
				percent(average, 2),
				percent(most, 1),
				worstSentence,
				percent(nearestIs(style)),
				percent(
					mean(
						kin[style].map(
							({ from }) => from.find((/** @type {{ style: string }} */ one) => one.style === style).apart,
						),
					),
					2,
				),
			]),
			values: { paraphrases, kin },
			verdicts: [
				holds(
					'a paraphrase gives the same painting: mean difference, largest of the styles',
					'1 % or less',
					percent(worst[1].mean, 2),
					worst[1].mean <= 0.01,
					worst[0],
				),
				holds('paraphrases within 1 %', '90 % or more', percent(within), within >= 0.9, 'every style alike'),
			],
		},
		{
			name: 'unknown',
			title: 'Styles that nobody named',
			text: 'How far the painting of an unknown style is from that of each known one and from the source, as mean difference.',
			head: ['', 'nearest', '', 'next', '', 'source'],
			rows: strange.map(({ sentence, from, source }) => [
				sentence,
				...from.slice(0, 2).flatMap(({ style, apart: d }) => [style, percent(d, 1)]),
				percent(source, 1),
			]),
			values: strange,
			verdicts: [],
		},
	];
};

/** @returns {Promise<Section[]>} */
export const judgeMixtures = async (/** @type {Painter} */ painter, /** @type {Footage} */ footage) => {
	const some = footage.stills.filter((_, i) => i % 5 === 0);
	const styles = Object.entries(footage.styles);
	const paint = (/** @type {{ prompt: string, weight: number }[]} */ conditioning) =>
		paintStills(
			painter,
			some,
			some.map((_, of) => ({ of, conditioning })),
		);
	const pure = new Map();
	for (const [style, { plain }] of styles) {
		const painted = await paint([{ prompt: plain, weight: 1 }]);
		pure.set(style, { painted, ...(await detailOf(painted)) });
	}
	const values = [];
	for (const [i, [a, { plain: one }]] of styles.entries())
		for (const [b, { plain: other }] of styles.slice(i + 1)) {
			const [from, to] = [pure.get(a), pure.get(b)];
			const mixed = await paint([one, other].map((prompt) => ({ prompt, weight: 0.5 })));
			const { sobel, hf } = await detailOf(mixed);
			const between = async (/** @type {Picture[]} */ p, /** @type {Picture[]} */ q) =>
				mean(await Promise.all(p.map((picture, j) => apart(picture, q[j]))));
			const whole = await between(from.painted, to.painted);
			values.push({
				pair: `${a} + ${b}`,
				sobel: sobel / Math.min(from.sobel, to.sobel),
				hf: hf / Math.min(from.hf, to.hf),
				toA: (await between(mixed, from.painted)) / whole,
				toB: (await between(mixed, to.painted)) / whole,
			});
		}
	const least = (/** @type {'sobel' | 'hf'} */ what) => values.reduce((a, b) => (a[what] < b[what] ? a : b));
	const far = values.filter(({ toA, toB }) => Math.max(toA, toB) > 1);
	return [
		{
			name: 'mixtures',
			title: 'Halfway between two styles',
			text: `All ${values.length} pairs on ${some.length} pictures: Sobel and HF-FFT over the lower of the two styles', and the distances to both, over theirs from each other. The six with the least detail:`,
			head: ['', 'Sobel', 'HF-FFT', 'to the first', 'to the second'],
			rows: values
				.toSorted((a, b) => Math.min(a.sobel, a.hf) - Math.min(b.sobel, b.hf))
				.slice(0, 6)
				.map(({ pair, sobel, hf, toA, toB }) => [pair, ...[sobel, hf, toA, toB].map((value) => fixed(value))]),
			values,
			verdicts: [
				holds(
					"Sobel of a mixture / the lower of the two styles', least",
					'0.80 or more',
					fixed(least('sobel').sobel),
					least('sobel').sobel >= 0.8,
					least('sobel').pair,
				),
				holds(
					"HF-FFT of a mixture / the lower of the two styles', least",
					'0.80 or more',
					fixed(least('hf').hf),
					least('hf').hf >= 0.8,
					least('hf').pair,
				),
				holds(
					'mixtures that lie between their styles',
					'all',
					`${values.length - far.length} of ${values.length}`,
					far.length === 0,
					far.map(({ pair }) => pair).join(', '),
				),
			],
		},
	];
};
