import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ffmpeg } from './clips.ts';
import type { Obs } from './obs.ts';
import { readBlocks, record } from './obs-recording.ts';

/**
 * A clip whose frames carry their number, and what of it arrives. The number is ten bits in blocks of 64 pixels, white
 * above black for one and black above white for none, so that it is read by comparing and survives a change of colours.
 */

const BITS = 10;
/** After the last comes the first. */
export const NUMBERS_COUNT = 1 << BITS;

const NUMBERS = 'numbers';
/** The scene that the numbers are in, and that the filter is on. */
export const STRIP = 'strip';

/**
 * The program becomes the numbers as the source gives them, above, and as the filter shows them, below. Both are rendered
 * in the same tick of OBS.
 */
export const showNumbers = async (obs: Obs): Promise<void> => {
	const pixels = new Uint8Array(NUMBERS_COUNT * BITS * 2);
	for (let number = 0; number < NUMBERS_COUNT; number++)
		for (let bit = 0; bit < BITS; bit++) {
			const at = number * BITS * 2 + bit;
			const isOne = (number >> (BITS - 1 - bit)) & 1;
			pixels[at] = isOne ? 255 : 0;
			pixels[at + BITS] = isOne ? 0 : 255;
		}
	const raw = join(obs.folder, 'numbers.raw');
	const clip = join(obs.folder, 'numbers.mkv');
	await writeFile(raw, pixels);
	await ffmpeg(
		`-f rawvideo -pix_fmt gray -s ${BITS}x2 -r 30 -i ${raw} -vf scale=640:360:flags=neighbor -c:v mjpeg -q:v 2 ${clip}`,
	);
	await obs.socket.call('CreateScene', { sceneName: STRIP });
	await obs.socket.call('CreateInput', {
		sceneName: STRIP,
		inputName: NUMBERS,
		inputKind: 'ffmpeg_source',
		inputSettings: { local_file: clip, looping: true },
	});
	await obs.addFilter(STRIP);
	await obs.socket.call('CreateScene', { sceneName: 'both' });
	for (const [y, sourceName] of [NUMBERS, STRIP].entries()) {
		const { sceneItemId } = await obs.socket.call('CreateSceneItem', { sceneName: 'both', sourceName });
		await obs.socket.call('SetSceneItemTransform', {
			sceneName: 'both',
			sceneItemId,
			sceneItemTransform: {
				positionY: 180 * y,
				boundsType: 'OBS_BOUNDS_STRETCH',
				boundsWidth: 640,
				boundsHeight: 180,
			} as never,
		});
	}
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'both' });
};

/** One frame of the program: the number in the source, and in what the filter shows. */
export interface Numbered {
	source: number;
	shown: number;
}

const numberAt = (blocks: Uint8Array, row: number): number => {
	const at = (bit: number, below: number) => blocks[3 * ((row + below) * BITS + bit)]!;
	let number = 0;
	for (let bit = 0; bit < BITS; bit++) number = 2 * number + (at(bit, 0) > at(bit, 1) ? 1 : 0);
	return number;
};

/** The program's frames while `during` runs; an `inverting` peer gives each number's complement. */
export const readNumbers = async (obs: Obs, inverting: boolean, during: () => Promise<void>): Promise<Numbered[]> => {
	const frames = await readBlocks(await record(obs, during), BITS, 4);
	return frames.map((blocks) => {
		const shown = numberAt(blocks, 2);
		return { source: numberAt(blocks, 0), shown: inverting ? NUMBERS_COUNT - 1 - shown : shown };
	});
};

/** Longest delay that is looked for. */
const DELAY_MAX = 60;

/** How far `number` is after `other`; negative where it is before. */
export const stepsFrom = (other: number, number: number): number => {
	const steps = (number - other + NUMBERS_COUNT) % NUMBERS_COUNT;
	return steps < NUMBERS_COUNT / 2 ? steps : steps - NUMBERS_COUNT;
};

/**
 * Frames from the first one in which the source had come to a number to the first one that shows it painted, for each number
 * that is shown. On a busy machine a recording lacks frames, so the source may never be seen with just that number.
 * Undefined where the source had not come to it.
 */
export const delaysOf = (frames: readonly Numbered[]): (number | undefined)[] => {
	const delays: (number | undefined)[] = [];
	for (let i = DELAY_MAX; i < frames.length; i++) {
		const { shown } = frames[i]!;
		if (shown === frames[i - 1]!.shown) continue;
		const rendered = frames.findIndex(
			({ source }, at) => at > i - DELAY_MAX && at <= i && stepsFrom(shown, source) >= 0,
		);
		delays.push(rendered < 0 ? undefined : i - rendered);
	}
	return delays;
};
