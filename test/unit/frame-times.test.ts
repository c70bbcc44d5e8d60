import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { readFrameTimes } from '../../sidecar/ingest/frame-times.ts';
import { collect } from '../support/frames.ts';

describe('the times of frames, as ffmpeg writes them', () => {
	it('come in order, without what else it writes, and undefined where a frame has none', async () => {
		const pipe = new PassThrough();
		pipe.end('frame:0 pts:0 pts_time:0\nallaprima=1\nframe:1 pts:NOPTS pts_time:NOPTS\nframe:2 pts:80000');
		expect(await collect(readFrameTimes(pipe))).toEqual([0, undefined, 80_000]);
	});

	it('end with a pipe that is destroyed while one is waited for', async () => {
		const pipe = new PassThrough();
		pipe.write('frame:0 pts:0 pts_time:0\n');
		const times = readFrameTimes(pipe);
		expect((await times.next()).value).toBe(0);
		const next = times.next();
		setImmediate(() => pipe.destroy());
		expect(await next).toEqual({ done: true, value: undefined });
	});
});
