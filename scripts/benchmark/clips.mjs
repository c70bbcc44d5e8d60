// The frames that everybody is given: the built-in scene as a clip, so that painters and peers see the same.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const run = promisify(execFile);

/**
 * @typedef {{
 *   small: boolean,
 *   folder: string,
 *   clip: (size: string, frames: number) => Promise<string>,
 *   say: (line: string) => void,
 *   pictures: string | undefined,
 *   data: string | undefined,
 * }} Bench `pictures`: a folder for them, where they are wanted; `data`: a folder of clips to show
 */

/** Clips of the scene by size and length, made when they are first asked for. 24 frames/s, all but lossless. */
export const openClips = (/** @type {string} */ folder) => {
	/** @type {Map<string, Promise<string>>} */
	const made = new Map();
	const make = async (/** @type {string} */ size, /** @type {number} */ frames) => {
		const file = join(folder, `scene-${size}-${frames}.mp4`);
		// A painted size has sides of multiples of 32; other clips are scaled from the next larger.
		const [width, height] = size.split('x').map((side) => 32 * Math.ceil(Number(side) / 32));
		const whole = join(folder, `whole-${size}-${frames}.mkv`);
		const scene = ['--source', 'scene', '--fps', '24', '--style', 'passthrough', '--pace', 'max', '--http', 'off'];
		await run(process.execPath, [cli, 'run', ...scene, '--size', `${width}x${height}`, '--frames', `${frames}`, '--sink', `file:${whole}`, '--log-level', 'error']); // prettier-ignore
		const [w, h] = size.split('x');
		const scaled = [
			'-vf',
			`scale=${w}:${h}`,
			'-c:v',
			'libx264',
			'-crf',
			'10',
			'-preset',
			'fast',
			'-pix_fmt',
			'yuv420p',
		];
		await run('ffmpeg', ['-v', 'error', '-y', '-i', whole, ...scaled, '-an', file]);
		return file;
	};
	return (/** @type {string} */ size, /** @type {number} */ frames) => {
		const name = `${size}-${frames}`;
		if (!made.has(name)) made.set(name, make(size, frames));
		return /** @type {Promise<string>} */ (made.get(name));
	};
};
