// What a user would pick instead, in the same run on the same frames: how fast it is, and what it paints.
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fixed, holds } from '../section.mjs';
import { barsSvg } from './bars.mjs';
import { writeContactSheet } from './contact-sheet.mjs';
import { PEERS, SIZE } from './peer-commands.mjs';
import { measureRow } from './row.mjs';
import { choosePlaces, paintShots, writePpm } from './shots.mjs';
import { watch } from './watched-command.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {import('./peer-commands.mjs').Peer} Peer */
/** @typedef {import('./peer-commands.mjs').Frames} Frames */
/** @typedef {import('./watched-command.mjs').Pace} Pace */
/** @typedef {import('../../sidecar/frame/frame.ts').Picture} Picture */
/** @typedef {{ median: number, low: number, high: number }} Spread */

/**
 * @typedef {{
 *   name: string,
 *   package?: string,
 *   inside: string,
 *   isOurs: boolean,
 *   frames: number,
 *   measure: (count: number) => Promise<{ pace: Pace, cpuMs: number }>,
 *   start: () => Promise<{ cpuMs: number, frames: number }>,
 *   started: { cpuMs: number, frames: number },
 *   rounds: { pace: Pace, cpuMs: number, ratio: number }[],
 * }} Painter `ratio`: frames/s of ours in the same round over its own; a start costs `started`, and paints some frames
 */

const STYLES = ['oil-painting', 'pencil-sketch', 'comic-halftone'];
const CLIP_FRAMES = 480;
const PPM_FRAMES = 24;
const ROUNDS = 3;

/** @returns {Painter} */
const ours = (/** @type {'int8' | 'fp32'} */ precision, /** @type {number} */ frames, /** @type {string} */ clip) => {
	const measure = async (/** @type {number} */ count) => {
		const { report, betweenMs, cpuMs } = await measureRow({
			source: `file:${clip}`,
			sinks: ['null'],
			output: 'source',
			pace: 'max',
			provider: 'cpu',
			style: 'oil-painting',
			size: SIZE,
			frames: count,
			tuning: { precision, batchSize: 1 },
		});
		return { pace: { fps: report.fps, msP50: betweenMs.p50, msP95: betweenMs.p95 }, cpuMs };
	};
	return {
		name: `lite, ${precision}`,
		inside: 'decoding, a pipe, the whole line',
		isOurs: true,
		frames,
		measure,
		start: async () => ({ cpuMs: (await measure(1)).cpuMs, frames: 1 }),
		started: { cpuMs: 0, frames: 0 },
		rounds: [],
	};
};

/** @returns {Painter} */
const theirs = (
	/** @type {Peer} */ peer,
	/** @type {Omit<Frames, 'count'>} */ frames,
	/** @type {boolean} */ small,
) => ({
	...peer,
	isOurs: false,
	frames: small ? peer.smallFrames : peer.frames,
	measure: async (count) => {
		const { lines, cpuMs } = await watch(peer.command({ ...frames, count }));
		return { pace: peer.pace(lines), cpuMs };
	},
	start: async () => ({ cpuMs: (await watch(peer.probe)).cpuMs, frames: 0 }),
	started: { cpuMs: 0, frames: 0 },
	rounds: [],
});

/** @returns {Spread} */
const spreadOf = (/** @type {number[]} */ values) => {
	const sorted = values.toSorted((a, b) => a - b);
	return { median: sorted[Math.floor(sorted.length / 2)], low: sorted[0], high: sorted[sorted.length - 1] };
};

const figuresOf = (/** @type {Painter} */ { name, package: of, inside, isOurs, frames, started, rounds }) => ({
	name,
	package: of,
	inside,
	isOurs,
	frames,
	isInstalled: rounds.length > 0,
	fps: spreadOf(rounds.map(({ pace }) => pace.fps)),
	ratio: spreadOf(rounds.map(({ ratio }) => ratio)),
	msP50: spreadOf(rounds.map(({ pace }) => pace.msP50)).median,
	msP95: spreadOf(rounds.map(({ pace }) => pace.msP95)).median,
	// The clock of the system ticks a hundred times a second.
	cpuMsPerFrame: spreadOf(rounds.map(({ cpuMs }) => Math.max(0, cpuMs - started.cpuMs) / (frames - started.frames)))
		.median,
});

/** @typedef {ReturnType<typeof figuresOf>} Figures */

const written = (/** @type {Spread} */ { median, low, high }, /** @type {boolean} */ once) => {
	const digits = median >= 100 ? 0 : median >= 10 ? 1 : 2;
	return once ? fixed(median, digits) : `${fixed(median, digits)} (${fixed(low, digits)} to ${fixed(high, digits)})`;
};

const rowOf = (/** @type {Figures} */ one, /** @type {boolean} */ once) =>
	one.isInstalled
		? [
				one.name,
				written(one.fps, once),
				written(one.ratio, once),
				fixed(one.msP50, 1),
				fixed(one.msP95, 1),
				fixed(one.cpuMsPerFrame, 1),
				`${one.frames}`,
				one.inside,
			]
		: [one.name, `not installed: apt-get install ${one.package}`, '', '', '', '', '', ''];

const isInstalled = (/** @type {Peer} */ { probe }) =>
	watch(probe).then(
		() => true,
		() => false,
	);

/** Frames of the clip from its first on, decoded, for programs that read pictures. */
const writePictures = async (/** @type {string} */ clip, /** @type {number} */ count, /** @type {string} */ folder) => {
	const frames = ['-frames:v', `${count}`, '-fps_mode', 'passthrough', join(folder, 'frame-%d.ppm')];
	await promisify(execFile)('ffmpeg', ['-v', 'error', '-nostdin', '-y', '-i', clip, ...frames]);
	return Array.from({ length: count }, (_, i) => join(folder, `frame-${i + 1}.ppm`));
};

/** Measures all in turn, `rounds` times. */
const measureRounds = async (
	/** @type {Painter[]} */ painters,
	/** @type {number} */ rounds,
	/** @type {Bench['say']} */ say,
) => {
	for (const painter of painters) painter.started = await painter.start();
	for (let round = 1; round <= rounds; round++) {
		const measured = [];
		for (const painter of painters) measured.push(await painter.measure(painter.frames));
		for (const [i, { pace, cpuMs }] of measured.entries())
			painters[i].rounds.push({ pace, cpuMs, ratio: measured[0].pace.fps / pace.fps });
		const said = painters.map(({ name }, i) => `${name} ${fixed(measured[i].pace.fps, 1)}`);
		say(`frames/s, round ${round} of ${rounds}: ${said.join(', ')}`);
	}
};

/** The columns of the sheet: source, ours, and what each peer paints. */
const paintColumns = async (
	/** @type {Peer[]} */ peers,
	/** @type {Picture[]} */ sources,
	/** @type {Map<string, Picture[]>} */ paintings,
	/** @type {{ folder: string, style: string }} */ { folder, style },
) => {
	const write = (/** @type {string} */ name, /** @type {Picture[]} */ pictures) =>
		Promise.all(
			pictures.map(async (picture, i) => {
				const file = join(folder, `${name}-${i + 1}.ppm`);
				await writePpm(file, picture);
				return file;
			}),
		);
	const files = await write('source', sources);
	const columns = [{ label: 'source', files }];
	for (const [name, painted] of paintings)
		columns.push({ label: `our ${name}`, files: await write(name, painted.slice(0, files.length)) });
	for (const [i, peer] of peers.entries()) {
		const out = join(folder, `peer-${i}-%d.png`);
		const clip = join(folder, 'source-%d.ppm');
		await watch(peer.command({ clip, pictures: files, count: files.length, style, out }));
		columns.push({ label: peer.name, files: files.map((_, at) => out.replace('%d', `${at + 1}`)) });
	}
	return columns;
};

const textOf = (/** @type {Figures[]} */ values, /** @type {number} */ rounds) => {
	const often =
		rounds === 1
			? 'once'
			: `${rounds} times round: figures are the median of the rounds, in brackets the lowest and the highest`;
	const faster = values.filter(({ isOurs, isInstalled: is, ratio }) => !isOurs && is && ratio.median < 1);
	const named = faster.map(({ name, ratio }) => `${name} (${fixed(1 / ratio.median, 1)} times)`);
	return [
		`The first frames of one clip of the built-in scene at 512x288, as many as the column says, painted one by one with two threads at most, one program after the other, ${often}. The time until the first frame is done is left out, and of the CPU time what a start takes. Ours over theirs: frames/s of lite in int8 over theirs, in the same round. p50 and p95 are from one finished frame to the next.`,
		"Nobody writes what was painted. OpenCV and lite get frames from a decoder through a pipe; frei0r works within the ffmpeg that decodes; ImageMagick and G'MIC read frames that were decoded before, which is in their favour. `stylize` paints in the style of a picture, here our oil painting of another frame.",
		`**Faster than ours: ${named.join(', ') || 'none of them in this run'}.** Each peer but \`stylize\` has one look, and none of them knows of the frame before.`,
	].join('\n\n');
};

const verdictsOf = (/** @type {Figures[]} */ values, /** @type {boolean} */ once) => {
	const verdict = (/** @type {string} */ name, /** @type {number} */ least, note = '') => {
		const one = /** @type {Figures} */ (values.find((each) => each.name.startsWith(name)));
		const said = one.isInstalled ? written(one.ratio, once) : 'not installed';
		const isSo = one.isInstalled && one.ratio.median >= least;
		return holds(`frames/s over ${name}`, `${fixed(least, 1)} times or more`, said, isSo, note);
	};
	return [
		verdict('OpenCV stylization', 3),
		verdict('OpenCV pencilSketch', 1),
		verdict('OpenCV xphoto.oilPainting', 1.3, 'a goal, not a must'),
	];
};

/** @returns {Promise<Section[]>} */
export const measurePeers = async (
	/** @type {Bench} */ { small, folder: whole, clip: openClip, say, pictures, data },
) => {
	const folder = join(whole, 'peers');
	await mkdir(folder, { recursive: true });
	const frames = small ? 12 : CLIP_FRAMES;
	const clip = await openClip('512x288', frames);

	const places = await choosePlaces({ clip, frames, data });
	const { sources, paintings } = await paintShots({
		places: [...places.shown, places.style],
		styles: pictures ? STYLES : STYLES.slice(0, 1),
		size: SIZE,
	});
	const style = join(folder, 'style.ppm');
	await writePpm(style, /** @type {Picture[]} */ (paintings.get(STYLES[0]))[places.shown.length]);
	const given = { clip, pictures: await writePictures(clip, Math.min(frames, PPM_FRAMES), folder), style };

	/** @type {Peer[]} */
	const installed = [];
	for (const peer of PEERS) if (await isInstalled(peer)) installed.push(peer);
	const painters = [
		ours('int8', small ? 12 : 160, clip),
		ours('fp32', small ? 12 : 120, clip),
		...PEERS.map((peer) => theirs(peer, given, small)),
	];
	const there = painters.filter(({ name, isOurs }) => isOurs || installed.some((peer) => peer.name === name));
	const rounds = small ? 1 : ROUNDS;
	await measureRounds(there, rounds, say);
	const values = painters.map(figuresOf);

	/** @type {{ file: string, caption: string }[]} */
	const shown = [];
	if (pictures) {
		const bars = values
			.filter((one) => one.isInstalled)
			.map(({ name, isOurs, fps: { median, low, high } }) => ({ name, isOurs, value: median, low, high }));
		await writeFile(join(pictures, 'benchmark-peers.svg'), barsSvg('frames/s at 512x288, two threads', bars));
		const columns = await paintColumns(installed, sources.slice(0, places.shown.length), paintings, { folder, style });
		await writeContactSheet(columns, join(pictures, 'benchmark-peers.jpg'), folder);
		const labels = columns.map(({ label }) => label).join(', ');
		say(`contact sheet: ${labels}`);
		shown.push(
			{ file: 'pictures/benchmark-peers.svg', caption: 'Frames a second, on a logarithmic axis.' },
			{ file: 'pictures/benchmark-peers.jpg', caption: `Left to right: ${labels}.` },
		);
	}
	return [
		{
			name: 'peers',
			title: 'Beside what needs no model',
			text: textOf(values, rounds),
			head: ['', 'frames/s', 'ours over theirs', 'p50 ms', 'p95 ms', 'CPU ms/frame', 'frames', 'what is measured'],
			rows: values.map((one) => rowOf(one, rounds === 1)),
			values,
			verdicts: verdictsOf(values, rounds === 1),
			pictures: shown,
		},
	];
};
