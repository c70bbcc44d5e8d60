import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** Filters of ffmpeg that write a line for each frame's timestamp, in microseconds, on descriptor 3. */
export const FRAME_TIMES = [
	'settb=1/1000000',
	// `print` needs an entry to print, and then says "frame:7 pts:280000 pts_time:0.28".
	'metadata=mode=add:key=allaprima:value=1',
	`metadata=mode=print:key=allaprima:file='pipe\\:3':direct=1`,
].join(',');

/** One value a frame, in order; undefined where the frame has no time. Ends with the pipe, also with one that is destroyed. */
export async function* readFrameTimes(pipe: Readable): AsyncGenerator<number | undefined, void, undefined> {
	const lines = createInterface({ input: pipe });
	// readline hears of an end, but not of a pipe that is destroyed before it, and would wait for ever.
	pipe.once('close', () => lines.close());
	for await (const line of lines) {
		const pts = /^frame:\d+\s+pts:(\S+)/.exec(line)?.[1];
		if (pts !== undefined) yield pts === 'NOPTS' ? undefined : Number(pts);
	}
}
