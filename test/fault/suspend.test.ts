// The machine is suspended: sidecar and engine stand still together, and go on.
//
//   scripts/soak suspend 60      the long one, on a machine that is idle
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { latencyOf, WatchedRun, type Seen } from '../support/watched-run.ts';

const SUSPEND_S = Number(process.env['SUSPEND_S'] ?? 8);
const FPS = 24;

it(
	`suspended for ${SUSPEND_S} s: what is shown afterwards is of now, as late as before, and nothing is made up for`,
	async () => {
		await using run = await WatchedRun.start(['--fps', String(FPS), '--size', '512x288']);
		// What the start took has worn off: the pacer gives back 2 % of the time that passes.
		await run.more(10 * FPS);
		const before = await run.more(2 * FPS);
		const { run: ran } = await run.state();

		run.signal('SIGSTOP');
		const stood = run.seen.length;
		await sleep(SUSPEND_S * 1000);
		// What was on its way came, and nothing else.
		expect(run.seen.length - stood).toBeLessThan(4);
		const from = run.seen.length;
		run.signal('SIGCONT');
		await run.more(3 * FPS);
		// Frames that were in the line when it stopped are as old as that; none is painted in the meantime's stead.
		const after = run.seen.slice(from);
		const isOfNow = ({ latencyMs }: Seen) => latencyMs < (SUSPEND_S * 1000) / 2;
		const first = after.findIndex(isOfNow);
		expect(first).toBeLessThan(6);
		expect(after.slice(first).every(isOfNow)).toBe(true);
		const sinceMs = ({ atMs }: Seen) => atMs - after[0]!.atMs;
		const ofFirst = after.filter((frame) => sinceMs(frame) < 1000);
		const ofSecond = after.filter((frame) => sinceMs(frame) >= 1000 && sinceMs(frame) < 2000);
		const [was, isAtFirst, is] = [before, ofFirst, ofSecond].map(latencyOf) as [number, number, number];
		console.log(
			`latency, p50: ${was} ms; after ${SUSPEND_S} s of standing still: ${isAtFirst} ms in the first second, ${is} in the next`,
		);
		// What a busy machine does to it is far less than the standing still; on an idle one nothing is left of it.
		expect(is).toBeLessThan(SUSPEND_S >= 60 ? 1.2 * was + 10 : Math.max(3 * was, 500));

		const sequences = run.seen.map(({ sequence }) => sequence);
		expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
		const { run: runs } = await run.state();
		expect(runs.framesRepeated - ran.framesRepeated).toBeLessThan((SUSPEND_S * FPS) / 2);
		expect(runs.engine).toMatchObject({ restarts: 0, state: 'painting' });
		expect((await run.finish()).code).toBe(0);
	},
	(SUSPEND_S + 120) * 1000,
);
