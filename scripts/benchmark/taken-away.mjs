// What makes `lite` fast, taken away one thing at a time, and where the time of a frame goes.
import { join } from 'node:path';
import { fixed, percent } from '../section.mjs';
import { writeContactSheet } from './contact-sheet.mjs';
import { decode, measure, median, native, openStreams, paint, SIZE } from './engine.mjs';
import { writePpm } from './shots.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {import('./engine.mjs').Picture} Picture */
/** @typedef {Awaited<ReturnType<typeof paint>>} Painted */
/** @typedef {Partial<Parameters<typeof paint>[2]>} How */
/** @typedef {{ what: string, session?: import('./engine.mjs').SessionSettings, precision?: string, favours?: 'rate' | 'latency', how?: How }} Variant */
/** @typedef {{ fps: number, ratio: number, cpuMs: number }} Round */

/** How the latents move, from a flow at the picture's size in place of one at a quarter of it. */
const fullSizeMotion = {
	...native,
	opticalFlow: async (
		/** @type {Picture} */ previous,
		/** @type {Picture} */ next,
		/** @type {import('../../sidecar/native.ts').Flow} */ flow,
		/** @type {'dis'} */ method,
	) => {
		const scale = SIZE.width / flow.width;
		const whole = { ...SIZE, data: new Float32Array(2 * SIZE.width * SIZE.height) };
		await native.opticalFlow(previous, next, whole, method);
		for (let at = 0; at < flow.data.length; at++) {
			const cell = at >> 1;
			const [x, y] = [cell % flow.width, Math.floor(cell / flow.width)];
			flow.data[at] = whole.data[2 * scale * (y * SIZE.width + x) + (at & 1)] / scale;
		}
	},
};

/** Every frame moved as little, and enough for the encoder to look again when its turn comes. */
const refreshedByCount = { ...native, meanMotion: async () => 0, thumbnailDifference: async () => 3 };

/** The first is how it starts; each of the others lacks one thing. @type {Variant[]} */
const VARIANTS = [
	{ what: 'as it starts' },
	{ what: 'no int8', precision: 'fp32' },
	{ what: 'no graph optimisation', session: { graphOptimizationLevel: 'disabled' } },
	{ what: 'threads as for a live source', favours: 'latency' },
	{ what: 'streams by turns', how: { overlaps: false } },
	{ what: 'every frame read', how: { tuning: { teRefreshEvery: 1 } } },
	{ what: 'adapter each frame', how: { tuning: { condRefreshEvery: 1 } } },
	{ what: 'refresh by count alone', how: { addon: refreshedByCount } },
	{ what: 'motion at full size', how: { addon: fullSizeMotion } },
];

const STAGES = {
	convert: 'the ring’s pixels, of any format, to RGB at the painted size: one pass',
	flow: 'how the picture moved, coarsely; at a refresh, in full',
	noise: 'noise to start from',
	te: 'text-and-vision encoder',
	vaeEncode: 'autoencoder, encoding; takes the bytes of the picture',
	warp: 'the last painting, moved along for the adapter',
	cond: 'what the adapter makes of it',
	unet: 'denoiser',
	vaeDecode: 'autoencoder, decoding; gives bytes of a picture',
};

/** Mean difference of all pixels, as a share of the full scale. */
const apart = (/** @type {Picture[]} */ some, /** @type {Picture[]} */ others) => {
	let [sum, count] = [0, 0];
	for (const [i, { data }] of some.entries()) {
		for (let at = 0; at < data.length; at++) sum += Math.abs(data[at] - others[i].data[at]);
		count += data.length;
	}
	return sum / count / 255;
};

const spread = (/** @type {number[]} */ values, digits = 2) =>
	`${fixed(median(values), digits)} (${fixed(Math.min(...values), digits)} to ${fixed(Math.max(...values), digits)})`;

/** Milliseconds until the model is open, with a cache that is empty at first. */
const timeOpening = async (/** @type {string} */ cache) => {
	const before = process.env['XDG_CACHE_HOME'];
	process.env['XDG_CACHE_HOME'] = cache;
	const ms = [];
	try {
		for (let time = 0; time < 2; time++) {
			const startMs = performance.now();
			const streams = await openStreams(undefined, 'int8');
			ms.push(performance.now() - startMs);
			await streams[Symbol.asyncDispose]();
		}
	} finally {
		if (before === undefined) delete process.env['XDG_CACHE_HOME'];
		else process.env['XDG_CACHE_HOME'] = before;
	}
	return { made: ms[0], kept: ms[1] };
};

/** The columns: source, then each variant, of the same frames. */
const writeSheet = async (
	/** @type {Picture[]} */ frames,
	/** @type {{ what: string, paintings: Picture[] }[]} */ rows,
	/** @type {{ file: string, folder: string }} */ { file, folder },
) => {
	const shown = [1, 2].map((third) => Math.floor((third * frames.length) / 3));
	const columns = [];
	for (const [column, { what, paintings }] of [{ what: 'source', paintings: frames }, ...rows].entries()) {
		const files = [];
		for (const at of shown) {
			files.push(join(folder, `taken-away-${column}-${at}.ppm`));
			await writePpm(files[files.length - 1], paintings[at]);
		}
		columns.push({ label: what, files });
	}
	await writeContactSheet(columns, file, folder);
};

/** @returns {Promise<Section[]>} */
export const measureTakenAway = async (/** @type {Bench} */ { small, folder, clip, say, pictures }) => {
	const frames = await decode(await clip('512x288', small ? 12 : 96));
	const opening = await timeOpening(join(folder, 'cache'));
	/** @type {Map<string, import('./engine.mjs').OpenStreams>} */
	const open = new Map();
	const streamsOf = async (/** @type {Variant} */ { session, precision = 'int8', favours }) => {
		const name = JSON.stringify([session, precision, favours]);
		const streams = open.get(name) ?? (await openStreams(session, precision, favours));
		open.set(name, streams);
		return streams;
	};
	/** @type {{ what: string, rounds: Round[], last: Painted }[]} */
	const rows = [];
	try {
		for (let round = 0; round < (small ? 1 : 3); round++) {
			let usualFps = 0;
			for (const [i, variant] of VARIANTS.entries()) {
				const streams = await streamsOf(variant);
				const before = process.cpuUsage();
				const last = await paint(streams, frames, { tuning: {}, ...variant.how });
				const { user, system } = process.cpuUsage(before);
				if (i === 0) usualFps = last.fps;
				const measured = { fps: last.fps, ratio: last.fps / usualFps, cpuMs: (user + system) / 1000 / frames.length };
				const row = (rows[i] ??= { what: variant.what, rounds: [], last });
				row.rounds.push(measured);
				say(`${variant.what}: ${fixed(last.fps, 1)} frames/s`);
			}
		}
	} finally {
		for (const streams of open.values()) await streams[Symbol.asyncDispose]();
	}
	const usual = rows[0].last;
	const values = [];
	for (const { what, rounds, last } of rows)
		values.push({ what, rounds, apart: apart(last.paintings, usual.paintings), ...(await measure(frames, last.paintings)) }); // prettier-ignore
	const stages = Object.entries(STAGES).map(([stage, what]) => {
		const ms = usual.stagesMs[stage] ?? [];
		return { stage, what, times: ms.length, ms: median(ms), share: ms.reduce((sum, one) => sum + one, 0) / frames.length };
	}); // prettier-ignore
	/** @type {Section['pictures']} */
	const shown = [];
	if (pictures) {
		const sheet = rows.map(({ what, last }) => ({ what, paintings: last.paintings }));
		await writeSheet(frames, sheet, { file: join(pictures, 'benchmark-taken-away.jpg'), folder });
		shown.push({
			file: 'pictures/benchmark-taken-away.jpg',
			caption: `Left to right: source, ${rows.map(({ what }) => what).join(', ')}.`,
		});
	}
	const column = (/** @type {Round[]} */ rounds, /** @type {keyof Round} */ key) => rounds.map((round) => round[key]);
	return [
		{
			name: 'taken-away',
			title: 'What makes it fast, taken away',
			text: `${frames.length} frames of the built-in scene at 512x288, in memory, painted as \`lite\` starts in int8, and with one thing less in each row; by turns, ${rows[0].rounds.length} times round: the median, in brackets the lowest and the highest. Ratios are to the first row of the same round. Apart: the mean difference of all pixels from the first row's paintings. To open the model takes ${fixed(opening.kept, 0)} ms where its optimised graphs are kept, ${fixed(opening.made, 0)} where they are made. What is not painted because nothing changed has a table of its own. Graphs take and give pictures as bytes, and the addon brings any format to RGB at the painted size in one pass; there is no other form of these to take away, and the next table says what they cost.`,
			head: ['', 'frames/s', 'ratio', 'CPU ms/frame', 'apart', 'warping error', 'Sobel', 'HF-FFT'],
			rows: values.map(({ what, rounds, apart: share, warpingError, sobel, hf }) => [
				what,
				spread(column(rounds, 'fps'), 1),
				spread(column(rounds, 'ratio')),
				fixed(median(column(rounds, 'cpuMs')), 1),
				percent(share, 2),
				fixed(warpingError, 3),
				fixed(sobel, 3),
				fixed(hf, 0),
			]),
			values: { opening, rows: values },
			verdicts: [],
			pictures: shown,
		},
		{
			name: 'stages',
			title: 'Where the time goes',
			text: `The last of those runs as it starts: how often each part ran in ${frames.length} frames, how long it took (median), and what that is a frame. Encoder, flow and noise of a frame are computed while the frame before it is denoised, and that while the one before it is decoded; they wait for a core meanwhile: the times add up to more than a frame lasts.`,
			head: ['', 'what', 'times', 'ms', 'ms a frame'],
			rows: stages.map(({ stage, what, times, ms, share }) => [
				`\`${stage}\``,
				what,
				`${times}`,
				fixed(ms, 2),
				fixed(share, 2),
			]),
			values: stages,
			verdicts: [],
		},
	];
};
