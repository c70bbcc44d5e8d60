// What training never saw, as training/footage.py writes it: pictures, sentences, and the teachers' paintings.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
// Debian's, which has torch and OpenCV.
const PYTHON = '/usr/bin/python3';

/** @typedef {import('./painter.mjs').Picture} Picture */
/** @typedef {{ preset: string, plain: string, modified: Record<string, string[]>, modified_otherwise: Record<string, string[]>, paraphrases: string[], kin: string[] }} Sentences */

/**
 * Makes the footage in `folder`.
 * @param {{ folder: string, data: string[], noise: Float32Array, size?: { width: number, height: number }, counts: Record<string, number> }} settings
 */
export const openFootage = async ({ folder, data, noise, size = { width: 512, height: 288 }, counts }) => {
	const noiseFile = join(folder, 'noise.f32');
	await writeFile(noiseFile, new Uint8Array(noise.buffer, noise.byteOffset, noise.byteLength));
	const sides = `${size.width}x${size.height}`;
	const flags = Object.entries({ noise: noiseFile, out: folder, size: sides, ...counts }).flatMap(([name, value]) => [
		`--${name}`,
		`${value}`,
	]);
	const folders = data.flatMap((path) => ['--data', path]);
	await promisify(execFile)(PYTHON, ['-m', 'training.footage', ...folders, ...flags], { cwd: root });
	const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'));
	const { width, height } = index;
	const layout = {
		format: /** @type {const} */ ('RGB'),
		width,
		height,
		matrix: /** @type {const} */ ('bt709'),
		range: /** @type {const} */ ('full'),
	};

	/** @returns {Promise<Picture[]>} */
	const pictures = async (/** @type {string} */ file) => {
		const bytes = await readFile(join(folder, file));
		const size = 3 * width * height;
		return Array.from({ length: bytes.length / size }, (_, i) => ({
			...layout,
			data: bytes.subarray(i * size, (i + 1) * size),
		}));
	};
	const named = async (/** @type {string} */ under, /** @type {string[]} */ names) =>
		new Map(
			await Promise.all(
				names.map(async (name) => /** @type {const} */ ([name, await pictures(`${under}/${name}.rgb`)])),
			),
		);

	return {
		/** @type {{ width: number, height: number }} */
		size: { width, height },
		/** Whether there were no clips and photographs, so that scenes were drawn. */
		isDrawn: /** @type {boolean} */ (index.isDrawn),
		/** @type {Record<string, Sentences>} */
		styles: index.styles,
		unknown: /** @type {string[]} */ (index.unknown),
		neutral: /** @type {string} */ (index.neutral),
		stillNames: /** @type {string[]} */ (index.stills),
		stills: await pictures('stills.rgb'),
		/** What each style's teacher paints of the stills, from the noise that the product starts from. */
		teachers: await named('teacher', Object.keys(index.styles)),
		clips: await named('clips', index.clips),
		looks: await named('looks', index.looks),
	};
};

/** @typedef {Awaited<ReturnType<typeof openFootage>>} Footage */
