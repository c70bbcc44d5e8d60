// Contact sheets for the eye: a frame and its paintings at full size, three in a row, after the adapter has settled.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** @typedef {import('./painter.mjs').Painter} Painter */
/** @typedef {import('./painter.mjs').Picture} Picture */
/** @typedef {import('./footage.mjs').Footage} Footage */

const COLUMNS = 3;

/** Pictures of one size as one, `COLUMNS` in a row; white where there is none. @returns {Picture} */
const tile = (/** @type {Picture[]} */ pictures) => {
	const { width, height } = pictures[0];
	const rows = Math.ceil(pictures.length / COLUMNS);
	const data = new Uint8Array(3 * COLUMNS * width * rows * height).fill(255);
	for (const [i, picture] of pictures.entries())
		for (let y = 0; y < height; y++) {
			const to = 3 * ((Math.floor(i / COLUMNS) * height + y) * COLUMNS + (i % COLUMNS)) * width;
			data.set(picture.data.subarray(3 * y * width, 3 * (y + 1) * width), to);
		}
	return { ...pictures[0], width: COLUMNS * width, height: rows * height, data };
};

const writePng = async (/** @type {Picture} */ { data, width, height }, /** @type {string} */ path) => {
	const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${width}x${height}`, '-i', '-'];
	const child = spawn('ffmpeg', ['-v', 'error', '-y', ...input, '-frames:v', '1', path], {
		stdio: ['pipe', 'inherit', 'inherit'],
	});
	child.stdin.end(data);
	const [code] = await once(child, 'close');
	if (code !== 0) throw new Error(`ffmpeg could not write ${path}`);
};

/** FOLDER/CLIP.png for each clip, painted as the model starts: the source, then the styles in the order of index.txt. */
export const writeSheets = async (
	/** @type {Painter} */ painter,
	/** @type {Footage} */ { looks, styles },
	/** @type {string} */ folder,
) => {
	await mkdir(folder, { recursive: true });
	const prompts = Object.values(styles).map(({ preset }) => preset);
	for (const [name, frames] of looks) {
		const painted = await painter.paintAll(prompts.map((prompt) => ({ frames, prompt })));
		const last = [frames, ...painted].map((pictures) => pictures[pictures.length - 1]);
		await writePng(tile(last), join(folder, `${name}.png`));
	}
	await writeFile(join(folder, 'index.txt'), `${['source', ...Object.keys(styles)].join('\n')}\n`);
};
