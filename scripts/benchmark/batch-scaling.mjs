// What a frame costs in batches: each graph by itself.
import { fixed } from '../section.mjs';
import { decode, median, openStreams, paint, timeGraph } from './engine.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */

const BATCHES = [1, 2, 4, 8];

/** The roles whose graphs run, and the stage that the engine times. */
const PARTS = [
	{ what: 'text-and-vision encoder', roles: ['te_vision', 'te_text'], stage: 'te' },
	{ what: 'autoencoder, encoding', roles: ['vae_encoder'], stage: 'vaeEncode' },
	{ what: 'adapter', roles: ['lllite_cond'], stage: 'cond' },
	{ what: 'denoiser', roles: ['unet'], stage: 'unet' },
	{ what: 'autoencoder, decoding', roles: ['vae_decoder'], stage: 'vaeDecode' },
];

/** arXiv 2606.05981, Table V: milliseconds a batch. */
const PAPER = [
	{ what: 'the paper: text-and-vision encoder', ms: [125, 136, 153, 233] },
	{ what: 'the paper: denoiser', ms: [23, 41, 74, 142] },
];

/** @returns {Promise<Section>} */
export const measureBatchScaling = async (/** @type {Bench} */ { small, clip, say }) => {
	const runs = small ? 1 : 5;
	/** @type {Record<string, number[]>} */
	const graphs = {};
	for (const { what, roles } of PARTS) {
		const each = [];
		for (const role of roles) each.push(await timeGraph(role, { batches: BATCHES, runs }));
		graphs[what] = BATCHES.map((batch, i) => each.reduce((sum, ms) => sum + ms[i], 0) / batch);
	}
	const frames = await decode(await clip('512x288', small ? 12 : 96));
	const streams = await openStreams(undefined);
	/** @type {Record<string, number[]>} */
	const engine = Object.fromEntries(PARTS.map(({ what }) => [what, []]));
	try {
		for (const batchSize of BATCHES) {
			// Whole batches, and two: the adapter has nothing to go on in the first.
			const count = batchSize * Math.max(2, Math.floor((small ? 12 : 48) / batchSize));
			const some = Array.from({ length: count }, (_, i) => frames[i % frames.length]);
			const tuning = { batchSize, teRefreshEvery: 1, teBatchOne: false, condRefreshEvery: 1 };
			const { stagesMs } = await paint(streams, some, { tuning, overlaps: false });
			for (const { what, stage } of PARTS) engine[what].push(median(stagesMs[stage]) / batchSize);
		}
	} finally {
		await streams[Symbol.asyncDispose]();
	}
	const cells = (/** @type {number[]} */ ms) => ms.map((value) => fixed(value, 1));
	say(`a frame in batches of ${BATCHES.join(', ')}: denoiser ${cells(graphs['denoiser']).join(', ')} ms`);
	return {
		name: 'batches',
		title: 'What a batch costs',
		text: `arXiv 2606.05981, Table V: milliseconds a frame, each part by itself, in fp32. First the graphs in one run for all frames of the batch, then as the engine does it on a CPU, frame after frame. In the engine the encoder's thread has a lower priority, which other work on the machine makes felt. On the paper's GPU, whose batches are one run of a graph, a batch pays; on a CPU a frame costs what it costs.`,
		head: ['', ...BATCHES.map((batch) => `one run of ${batch}`), ...BATCHES.map((batch) => `engine, ${batch}`)],
		rows: [
			...PARTS.map(({ what }) => [what, ...cells(graphs[what]), ...cells(engine[what])]),
			...PAPER.map(({ what, ms }) => [
				what,
				...cells(ms.map((value, i) => value / BATCHES[i])),
				...BATCHES.map(() => ''),
			]),
		],
		values: { batches: BATCHES, graphs, engine },
		verdicts: [],
	};
};
