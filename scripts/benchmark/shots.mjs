// Frames for a contact sheet, and what lite paints of them: each the last of a few, so that nothing is painted for the first time.
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { extname, join, parse } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** @typedef {import('../../sidecar/frame/frame.ts').Picture} Picture */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ file: string, at: number }} Place A frame of a clip, counted from 0 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const VIDEOS = new Set(['.mp4', '.mkv', '.mov', '.webm']);
const BEFORE = 7;
const AT_OF_OTHERS = 48;

/** Clips of a folder: those that training was not shown, where it has such, as scripts/evaluate takes them. */
const clipsOf = async (/** @type {string} */ folder) => {
	const names = (await readdir(folder)).filter((name) => VIDEOS.has(extname(name))).toSorted();
	const heldOut = await readFile(join(root, 'training/held_out.py'), 'utf8');
	const unseen = names.filter((name) => heldOut.includes(`"${parse(name).name}"`));
	return (unseen.length >= 3 ? unseen : names).map((name) => join(folder, name));
};

/**
 * Three frames for the sheet and one whose painting is a style: of the clip, or of three clips of `data`.
 * @returns {Promise<{ shown: Place[], style: Place }>}
 */
export const choosePlaces = async (
	/** @type {{ clip: string, frames: number, data: string | undefined }} */ { clip, frames, data },
) => {
	const at = (/** @type {number} */ sixths) => ({ file: clip, at: Math.floor((sixths * frames) / 6) });
	if (data === undefined) return { shown: [1, 3, 5].map(at), style: at(2) };
	const clips = await clipsOf(data);
	if (clips.length < 3)
		throw new Error(`${data} has ${clips.length} clips (${[...VIDEOS].join(', ')}); the sheet wants three`);
	const shown = clips.slice(0, 3).map((file) => ({ file, at: AT_OF_OTHERS }));
	return { shown, style: { file: clips[0], at: AT_OF_OTHERS / 2 } };
};

/** The frame of a place after those before it, cut to the size. @returns {Promise<Picture[]>} */
const readShot = async (/** @type {Place} */ { file, at }, /** @type {Size} */ { width, height }) => {
	const cover = `scale=${width}:${height}:force_original_aspect_ratio=increase,crop=${width}:${height}`;
	const from = Math.max(0, at - BEFORE);
	const filters = ['-vf', `select=between(n\\,${from}\\,${at}),${cover}`, '-frames:v', `${at - from + 1}`];
	const output = ['-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
	const { stdout } = await promisify(execFile)(
		'ffmpeg',
		['-v', 'error', '-nostdin', '-i', file, ...filters, ...output],
		{
			encoding: 'buffer',
			maxBuffer: 1 << 26,
		},
	);
	const bytes = 3 * width * height;
	if (stdout.length < bytes * (at - from + 1)) throw new Error(`${file} has no frame ${at}; a longer clip is wanted`);
	return Array.from({ length: at - from + 1 }, (_, i) => ({
		format: 'RGB',
		width,
		height,
		matrix: 'bt709',
		range: 'full',
		data: stdout.subarray(i * bytes, (i + 1) * bytes),
	}));
};

export const writePpm = (/** @type {string} */ path, /** @type {Picture} */ { data, width, height }) =>
	writeFile(path, Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), data]));

/** The places' frames, and what the product's engine paints of each in each style, as it starts. */
export const paintShots = async (
	/** @type {{ places: Place[], styles: string[], size: Size }} */ { places, styles, size },
) => {
	const { openPainter } = await import('../evaluation/painter.mjs');
	const shots = await Promise.all(places.map((place) => readShot(place, size)));
	const last = (/** @type {Picture[]} */ pictures) => pictures[pictures.length - 1];
	const painter = await openPainter({ model: 'lite', precision: 'auto', size });
	try {
		/** @type {Map<string, Picture[]>} */
		const paintings = new Map();
		for (const style of styles) {
			const { prompt } = JSON.parse(await readFile(join(root, `presets/${style}.style.json`), 'utf8'));
			paintings.set(style, (await painter.paintAll(shots.map((frames) => ({ frames, prompt })))).map(last));
		}
		return { sources: shots.map(last), paintings };
	} finally {
		await painter.close();
	}
};
