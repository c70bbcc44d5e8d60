// What more channels cost, and more pixels: lines in this process, as `allaprima relay` and several filters in OBS have them.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { fixed, holds, percent } from '../section.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {{ width: number, height: number }} Size */

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
const { Streams } = await import(dist('engine/streams.js'));
const { WorkerEngine } = await import(dist('engine/worker-engine.js'));
const { openModelFolder, findModelFolder } = await import(dist('inference/manifest.js'));
const { resolveTuning } = await import(dist('config/schema/manifest.js'));
const { rgbLayout } = await import(dist('frame/frame.js'));
const { loadNative } = await import(dist('native.js'));

const USUAL = { width: 512, height: 288 };
const SIZES = [
	{ width: 256, height: 160 },
	{ width: 384, height: 224 },
	USUAL,
	{ width: 768, height: 448 },
	{ width: 1024, height: 576 },
];
/** Of the clip, which is played round and round. */
const CLIP_FRAMES = 24;

/** How far a size may be from the straight line through all of them. */
const LINEAR = 0.1;

/** Least squares of what the points are apart from it, each as a share of the point. */
const lineThrough = (/** @type {[x: number, y: number][]} */ points) => {
	const sum = (/** @type {(x: number, y: number) => number} */ of) =>
		points.reduce((total, [x, y]) => total + of(x, y) / y ** 2, 0);
	const [weight, x, y] = [sum(() => 1), sum((x) => x), sum((_, y) => y)];
	const slope = (weight * sum((x, y) => x * y) - x * y) / (weight * sum((x) => x * x) - x * x);
	const start = (y - slope * x) / weight;
	return { slope, at: (/** @type {number} */ x) => start + slope * x };
};

const nameOf = (/** @type {Size} */ { width, height }) => `${width}x${height}`;
const pixelsOf = (/** @type {Size} */ { width, height }) => width * height;

/** The frames of a clip as RGB of one size. */
const decode = async (/** @type {string} */ clip, /** @type {Size} */ size) => {
	const to = ['-vf', `scale=${nameOf(size).replace('x', ':')}`, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
	const { stdout } = await promisify(execFile)('ffmpeg', ['-v', 'error', '-i', clip, ...to], {
		encoding: 'buffer',
		maxBuffer: 2 ** 30,
	});
	const bytes = 3 * pixelsOf(size);
	return Array.from(
		{ length: stdout.length / bytes },
		(_, i) => new Uint8Array(stdout.subarray(i * bytes, (i + 1) * bytes)),
	);
};

const cpuMsNow = () => {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1000;
};

const ownMiB = () => Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;

/** So many lines at once, over streams that they share or each over its own; all together. */
const paint = async (
	/** @type {{ lines: number, shared: boolean, painted: Size, frames: number, pictures: Uint8Array[] }} */ {
		lines,
		shared,
		painted,
		frames,
		pictures,
	},
) => {
	const folder = await openModelFolder(await findModelFolder('lite'));
	const tuning = resolveTuning(folder.manifest, { similarityThreshold: 0 });
	const parameters = {
		epoch: 0,
		style: 'oil-painting',
		conditioning: [{ prompt: 'transfer this to oil painting style', weight: 1 }],
		seed: 42,
		tuning,
	};
	const layout = rgbLayout(painted);
	const settings = {
		folder,
		provider: 'cpu',
		painted,
		fit: 'stretch',
		ring: { bytes: (/** @type {number} */ slot) => pictures[slot], release: () => {} },
		parametersNow: () => parameters,
		batchDeadlineMs: Infinity,
		native: loadNative(),
		observer: { stage: () => {}, batch: () => {} },
	};
	const before = ownMiB();
	const common = shared ? await Streams.open({ ...settings, precision: 'int8' }) : undefined;
	const engines = [];
	for (let line = 0; line < lines; line++)
		engines.push(
			common ? WorkerEngine.on(common, settings) : await WorkerEngine.open({ ...settings, int8Graphs: undefined }),
		);
	async function* source() {
		for (let sequence = 0; sequence < frames; sequence++)
			yield {
				sequence,
				slot: sequence % pictures.length,
				capturedUs: 0,
				timestampUs: sequence * 41_667,
				durationUs: 41_667,
				layout,
			};
	}
	const drain = async (/** @type {typeof engines[number]} */ engine, /** @type {AsyncIterable<unknown>} */ given) => {
		for await (const _ of engine.paint(given));
	};
	const [startMs, startCpuMs] = [performance.now(), cpuMsNow()];
	await Promise.all(engines.map((engine) => drain(engine, source())));
	const [ms, cpuMs, memoryMiB] = [performance.now() - startMs, cpuMsNow() - startCpuMs, ownMiB() - before];
	for (const engine of engines) await engine[Symbol.asyncDispose]();
	await common?.[Symbol.asyncDispose]();
	const painting = lines * frames;
	return { fps: (1000 * painting) / ms, msPerFrame: ms / painting, cpuMsPerFrame: cpuMs / painting, memoryMiB };
};

/** @returns {Promise<Section[]>} */
export const measureChannels = async (/** @type {Bench} */ { small, clip, say }) => {
	const file = await clip(nameOf(USUAL), CLIP_FRAMES);
	const usual = await decode(file, USUAL);
	const channels = [];
	for (const lines of small ? [1, 2] : [1, 2, 4])
		for (const shared of lines === 1 ? [true] : [true, false]) {
			const frames = small ? 4 : Math.round(192 / lines);
			const measured = await paint({ lines, shared, painted: USUAL, frames, pictures: usual });
			channels.push({ lines, shared, ...measured });
			say(`${lines} channels${shared ? '' : ', each with an engine'}: ${fixed(measured.fps, 1)} frames/s together`);
		}
	const sizes = [];
	for (const painted of small ? [USUAL, SIZES[0]] : SIZES) {
		const frames = small ? 4 : Math.round((96 * pixelsOf(USUAL)) / pixelsOf(painted));
		const pictures = painted === USUAL ? usual : await decode(file, painted);
		const measured = await paint({ lines: 1, shared: true, painted, frames, pictures });
		sizes.push({ painted, ...measured });
		say(`${nameOf(painted)}: ${fixed(measured.msPerFrame, 1)} ms a frame`);
	}
	const [one] = channels;
	const of512 = sizes.find(({ painted }) => painted === USUAL) ?? sizes[0];
	const perPixel = (/** @type {typeof sizes[number]} */ { msPerFrame, painted }) =>
		msPerFrame / pixelsOf(painted) / (of512.msPerFrame / pixelsOf(USUAL));
	const line = lineThrough(sizes.map(({ msPerFrame, painted }) => [pixelsOf(painted), msPerFrame]));
	const apart = Math.max(
		...sizes.map(({ msPerFrame, painted }) => Math.abs(line.at(pixelsOf(painted)) / msPerFrame - 1)),
	);
	const most = channels.filter(({ shared }) => shared).at(-1) ?? one;
	return [
		{
			name: 'channels',
			title: 'More channels',
			text: 'Lines in one process, at 512x288 in int8, all frames together. They share the two threads and the graphs of one engine, as the channels of a relay and the filters in OBS do, or have an engine each. On a CPU a batch of several channels is no faster than its frames one by one, so what is shared is memory, and threads that would wait for a core.',
			head: ['channels', 'engines', 'frames/s together', 'ratio', 'CPU ms/frame', 'memory, MiB more'],
			rows: channels.map(({ lines, shared, fps, cpuMsPerFrame, memoryMiB }) => [
				`${lines}`,
				shared ? '1' : `${lines}`,
				fixed(fps, 1),
				fixed(fps / one.fps),
				fixed(cpuMsPerFrame, 1),
				fixed(memoryMiB, 0),
			]),
			values: channels,
			verdicts: [
				holds(
					`frames/s of ${most.lines} channels together, of one alone`,
					'0.9 or more',
					fixed(most.fps / one.fps),
					most.fps >= 0.9 * one.fps,
				),
			],
		},
		{
			name: 'pixels',
			title: 'More pixels',
			text: `One line, int8. Per pixel: the time a pixel takes, of that at 512x288. The straight line through these is ${fixed(line.at(0), 1)} ms a frame, whatever its size, and ${fixed(line.slope * 1e5, 1)} ms for 100,000 pixels.`,
			head: ['painted', 'ms a frame', 'frames/s', 'CPU ms/frame', 'per pixel'],
			rows: sizes.map((row) => [
				nameOf(row.painted),
				fixed(row.msPerFrame, 1),
				fixed(row.fps, 1),
				fixed(row.cpuMsPerFrame, 1),
				fixed(perPixel(row)),
			]),
			values: sizes,
			verdicts: [
				{
					...holds(
						'time a frame, furthest from a straight line over its pixels',
						`${percent(LINEAR)} at most`,
						percent(apart),
						apart <= LINEAR,
					),
					isDeviation: true,
				},
			],
		},
	];
};
