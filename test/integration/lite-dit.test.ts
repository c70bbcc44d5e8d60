// The causal transformer that comes with the project, by the command: told in words, shown a picture. Runs dist/.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const CLIP = 'testsrc2=size=256x144:rate=24:duration=0.5';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
	await ffmpeg(`-f lavfi -i ${CLIP} -c:v ffv1 ${folder.at('clip.mkv')}`);
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

/** The paintings' bytes, RGB. */
const painted = async (name: string, ...style: string[]): Promise<Buffer> => {
	const [source, sink] = [`file:${folder.at('clip.mkv')}`, folder.at(`${name}.mkv`)];
	const flags = ['--model', 'lite-dit', '--source', source, '--sink', `file:${sink}`, '--pace', 'max', ...style];
	await promisify(execFile)(process.execPath, [CLI, 'run', ...flags], { timeout: 60_000 });
	return await ffmpeg(`-i ${sink} -f rawvideo -pix_fmt rgb24 -`);
};

/** Mean distance of red, green and blue from their mean, 0..255. */
const colourOf = (bytes: Buffer): number => {
	let sum = 0;
	for (let i = 0; i < bytes.length; i += 3) {
		const grey = (bytes[i]! + bytes[i + 1]! + bytes[i + 2]!) / 3;
		for (let c = 0; c < 3; c++) sum += Math.abs(bytes[i + c]! - grey);
	}
	return sum / bytes.length;
};

it('paints every frame in the style that it is told, and in the style of a picture', async () => {
	const source = await ffmpeg(`-i ${folder.at('clip.mkv')} -f rawvideo -pix_fmt rgb24 -`);
	const comic = await painted('comic', '--style', 'comic-halftone');
	const pencil = await painted('pencil', '--style', 'pencil-sketch');
	expect([comic.length, pencil.length]).toEqual([source.length, source.length]);
	expect(colourOf(comic)).toBeGreaterThan(0.5 * colourOf(source));
	expect(colourOf(pencil)).toBeLessThan(0.25 * colourOf(source));

	await ffmpeg(`-i ${folder.at('pencil.mkv')} -frames:v 1 ${folder.at('pencil.png')}`);
	await ffmpeg(`-i ${folder.at('comic.mkv')} -frames:v 1 ${folder.at('comic.png')}`);
	// Drawn in pencil, the preset's own words are those of a comic.
	const shown = await painted('shown', '--style', 'comic-halftone', '--reference', folder.at('pencil.png'));
	expect(colourOf(shown)).toBeLessThan(0.25 * colourOf(source));
	const other = await painted('other', '--style', 'pencil-sketch', '--reference', folder.at('comic.png'));
	expect(colourOf(other)).toBeGreaterThan(0.5 * colourOf(source));
});

it('paints of a frame what is seen of it, much as in a frame that is painted as a whole', async () => {
	const [left, top, width, height] = [96, 48, 64, 48];
	const box = `drawbox=x=${left}:y=${top}:w=${width}:h=${height}:c=white:t=fill`;
	await ffmpeg(`-f lavfi -i color=black:size=256x144 -vf ${box} -frames:v 1 ${folder.at('box.png')}`);
	const source = await ffmpeg(`-i ${folder.at('clip.mkv')} -f rawvideo -pix_fmt rgb24 -`);
	const whole = await painted('whole', '--style', 'comic-halftone');
	const part = await painted('part', '--style', 'comic-halftone', '--region', folder.at('box.png'));
	// Under slate the whole of a painting is shown, and painted.
	const slate = ['--region', folder.at('box.png'), '--failure', 'slate'];
	expect(await painted('slate', '--style', 'comic-halftone', ...slate)).toEqual(whole);

	/** Mean differences in the box and around it, for each frame. */
	const differences = (a: Buffer, b: Buffer) => {
		const pixels = 256 * 144;
		return Array.from({ length: a.length / (3 * pixels) }, (_, frame) => {
			let [inside, outside] = [0, 0];
			for (let pixel = 0; pixel < pixels; pixel++) {
				const [x, y] = [pixel % 256, Math.floor(pixel / 256)];
				const isInside = x >= left && x < left + width && y >= top && y < top + height;
				for (let at = 3 * (frame * pixels + pixel), c = 0; c < 3; c++, at++)
					if (isInside) inside += Math.abs(a[at]! - b[at]!);
					else outside += Math.abs(a[at]! - b[at]!);
			}
			return { inside: inside / (3 * width * height), outside: outside / (3 * (pixels - width * height)) };
		});
	};
	const style = differences(source, whole);
	const kept = differences(source, part);
	// Of which two levels are the encoder's.
	for (const [frame, { inside }] of differences(whole, part).entries()) {
		expect(inside, `frame ${frame}`).toBeLessThan(0.25 * style[frame]!.inside);
		expect(kept[frame]!.outside, `frame ${frame}`).toBeLessThan(0.1 * style[frame]!.outside);
	}
});
