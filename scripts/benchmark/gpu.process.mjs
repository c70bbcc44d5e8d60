// One provider with one model, in a process of its own, for what a driver takes comes back with its end:
// `node gpu.process.mjs FOLDER PROVIDER BATCH,... RUNS FRAMES` prints JSON, a row for each batch.
const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
const { resolveTuning } = await import(dist('config/schema/manifest.js'));
const { Streams } = await import(dist('engine/streams.js'));
const { WorkerEngine } = await import(dist('engine/worker-engine.js'));
const { pictureByteLength, rgbLayout } = await import(dist('frame/frame.js'));
const { openGraph, openModelFolder } = await import(dist('inference/manifest.js'));
const { loadNative } = await import(dist('native.js'));
const { resolveParameters } = await import(dist('parameters.js'));
const { setLog } = await import(dist('telemetry/logger.js'));
setLog({ level: 'error' });

/** What runs in a stage, as the PyTorch pipeline has it: training/dreamlite/pipeline.py. */
const STAGES = {
	te: ['te_vision', 'te_text'],
	vaeEncode: ['vae_encoder'],
	cond: ['lllite_cond'],
	unet: ['unet'],
	vaeDecode: ['vae_decoder'],
};
const SIDE = ['te', 'vaeEncode'];
const MAIN = ['unet', 'vaeDecode'];
/** Runs before the clock is looked at: kernels are compiled and chosen. */
const WARM_UP_RUNS = 2;
const PRESET = {
	format: 'allaprima-style',
	formatVersion: 2,
	name: 'bench',
	title: 'Bench',
	model: 'bench',
	prompt: 'transfer this to oil painting style, vibrant colors',
	strength: 1,
	seed: 42,
};

const [path = '', provider = 'cpu', batchList = '1', runs = '10', frames = '96'] = process.argv.slice(2);
const batches = batchList.split(',').map(Number);
const folder = await openModelFolder(path);
const { size } = folder.manifest;
const [width, height] = 'fixed' in size ? size.fixed : size.default;
const painted = { width, height };

const median = (/** @type {number[]} */ values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const isNoRoom = (/** @type {unknown} */ error) =>
	error instanceof Error && 'code' in error && error.code === 'ERR_MEMORY';

/** Milliseconds of each batch by itself, input from memory and output to memory as the engine has it; undefined where there is no room. */
const timeGraph = async (/** @type {string} */ role) => {
	/** @type {(number | undefined)[]} */
	const ms = [];
	let graph;
	try {
		graph = await openGraph(folder, role, provider);
		for (const batch of batches) {
			const times = [];
			for (let run = 0; run < WARM_UP_RUNS + Number(runs); run++) {
				const startMs = performance.now();
				await graph.warmUp({ batch, ...painted });
				times.push(performance.now() - startMs);
			}
			ms.push(median(times.slice(WARM_UP_RUNS)));
		}
	} catch (error) {
		if (!isNoRoom(error)) throw error;
		while (ms.length < batches.length) ms.push(undefined);
	} finally {
		await graph?.[Symbol.asyncDispose]();
	}
	return ms;
};

/**
 * The whole line, as `--pace max` paints: frames a second after the first two batches, and the busy time of each stream for a batch.
 * @param {import('../../sidecar/engine/streams.ts').Streams} streams
 * @param {number} batchSize
 */
const paint = async (streams, batchSize) => {
	const layout = rgbLayout(painted);
	const pictures = [0, 1].map((shift) =>
		new Uint8Array(pictureByteLength(layout)).map((_, i) => (i * (7 + 4 * shift) + (i >> 9) * 3) % 256),
	);
	// Every frame is looked at by the encoder, as in the paper's table.
	const asked = { batchSize, teRefreshEvery: 1, teBatchOne: false, similarityThreshold: 0 };
	const parameters = resolveParameters(PRESET, resolveTuning(folder.manifest, asked), 0);
	/** @type {{ sideMs: number, mainMs: number }[]} */
	const busy = [];
	const engine = WorkerEngine.on(streams, {
		painted,
		fit: 'stretch',
		ring: { bytes: (/** @type {number} */ slot) => pictures[slot], release: () => {} },
		parametersNow: () => parameters,
		batchDeadlineMs: Infinity,
		native: loadNative(),
		observer: { stage: () => {}, batch: (/** @type {typeof busy[number]} */ times) => void busy.push(times) },
	});
	const count = batchSize * Math.max(4, Math.ceil(Number(frames) / batchSize));
	async function* source() {
		for (let sequence = 0; sequence < count; sequence++) {
			const times = { capturedUs: 0, timestampUs: 40_000 * sequence, durationUs: 40_000 };
			yield { sequence, slot: sequence % 2, ...times, layout };
		}
	}
	const stamps = [];
	try {
		for await (const _ of engine.paint(source())) stamps.push(performance.now());
	} finally {
		await engine[Symbol.asyncDispose]();
	}
	const from = 2 * batchSize - 1;
	return {
		fps: (1000 * (stamps.length - 1 - from)) / (stamps[stamps.length - 1] - stamps[from]),
		sideMs: median(busy.map(({ sideMs }) => sideMs)),
		mainMs: median(busy.map(({ mainMs }) => mainMs)),
	};
};

/** @type {Record<string, (number | undefined)[]>} */
const stages = {};
for (const [stage, roles] of Object.entries(STAGES)) {
	const each = [];
	for (const role of roles) each.push(await timeGraph(role));
	stages[`${stage}Ms`] = batches.map((_, i) =>
		each.every((ms) => ms[i] !== undefined) ? each.reduce((sum, ms) => sum + ms[i], 0) : undefined,
	);
}
/** All graphs are open from here on, as while something is painted; undefined where there is no room for that, or no more. */
let streams = await Streams.open({ folder, provider, precision: 'fp32', painted }).catch(
	(/** @type {unknown} */ error) => {
		if (!isNoRoom(error)) throw error;
	},
);
const rows = [];
for (const [i, batch] of batches.entries()) {
	const times = Object.fromEntries(Object.entries(stages).map(([stage, ms]) => [stage, ms[i]]));
	const memoryMiB = () => process.resourceUsage().maxRSS / 1024;
	if (Object.values(times).some((ms) => ms === undefined)) {
		rows.push({ batch, noRoom: true });
		continue;
	}
	const streamMs = (/** @type {string[]} */ stream) => stream.reduce((sum, stage) => sum + times[`${stage}Ms`], 0);
	const lawFps = (1000 * batch) / Math.max(streamMs(SIDE), streamMs(MAIN));
	try {
		const painted = streams && (await paint(streams, batch));
		rows.push({ batch, ...times, lawFps, ...(painted ? { ...painted, memoryMiB: memoryMiB() } : { noRoom: true }) });
	} catch (error) {
		if (!isNoRoom(error)) throw error;
		streams = undefined; // what follows is larger, or a driver that has nothing more to give
		rows.push({ batch, ...times, lawFps, noRoom: true });
	}
}
process.stdout.write(JSON.stringify(rows));
process.exit(0); // some drivers keep a thread
