// ffmpeg dies under a live run: the real line, the real ffmpeg, SIGKILL.
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { WatchedRun } from '../support/watched-run.ts';

const SMALL = ['--size', '256x160', '--fps', '12'];

/** Of the processes that the run started. */
const ffmpegOf = (run: WatchedRun): number | undefined =>
	readdirSync(`/proc/${run.pid}/task`)
		.flatMap((thread) => readFileSync(`/proc/${run.pid}/task/${thread}/children`, 'utf8').split(' '))
		.filter(Boolean)
		.map(Number)
		.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('ffmpeg'));

it('while a file is written: the run ends with its reason, and the file that was there before is untouched', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'allaprima-ffmpeg-'));
	const path = join(folder, 'show.mp4');
	writeFileSync(path, 'what was there before');
	await using run = await WatchedRun.start([...SMALL, '--sink', `file:${path}`], { folder });
	await run.more(12);
	const exited = once(run.process, 'exit');
	process.kill(ffmpegOf(run)!, 'SIGKILL');
	expect(await exited).toEqual([1, null]);
	expect(run.log).toMatch(/show\.mp4: writing failed after \d+ frames \(ffmpeg was ended by SIGKILL\)/);
	expect(run.log).not.toMatch(/^\s+at .*\d+:\d+/m);
	expect(readFileSync(path, 'utf8')).toBe('what was there before');
	expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
});

it('while a recording is kept: painting goes on, and the run says so at its end', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'allaprima-ffmpeg-'));
	await using run = await WatchedRun.start([...SMALL, '--record', join(folder, 'recording')], { folder });
	await run.more(12);
	process.kill(ffmpegOf(run)!, 'SIGKILL');
	await run.until(() => run.log.includes('"msg":"recording stopped"'));
	await run.more(12);
	const exited = once(run.process, 'exit');
	run.process.kill('SIGINT');
	expect(await exited).toEqual([1, null]);
	expect(run.log).toMatch(/allaprima: .*recording stopped after \d+ frames \(ffmpeg was ended by SIGKILL\)/);
	expect(existsSync(join(folder, 'recording/events.jsonl'))).toBe(true);
});
