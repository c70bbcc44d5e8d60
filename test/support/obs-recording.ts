import { ffmpeg } from './clips.ts';
import type { Obs } from './obs.ts';

/** What the program is while `during` runs, as OBS records it; gives the file. */
export const record = async (obs: Obs, during: () => Promise<void>): Promise<string> => {
	const isActive = async () => (await obs.socket.call('GetRecordStatus')).outputActive;
	await obs.socket.call('StartRecord');
	await obs.until(isActive, 'the recording');
	await during();
	const { outputPath } = await obs.socket.call('StopRecord');
	await obs.until(async () => !(await isActive()), 'the end of the recording');
	return outputPath;
};

/** The mean colour of each block of each frame, row by row: `columns` x `rows` times red, green, blue. */
export const readBlocks = async (path: string, columns: number, rows: number): Promise<Uint8Array[]> => {
	const scale = `scale=${columns}:${rows}:flags=area,format=rgb24`;
	const bytes = await ffmpeg(`-i ${path} -an -fps_mode passthrough -vf ${scale} -f rawvideo -`);
	const size = 3 * columns * rows;
	return Array.from({ length: bytes.length / size }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
};
