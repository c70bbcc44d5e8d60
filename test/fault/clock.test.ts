// The system's clock jumps under a live run, which libfaketime makes believe (scripts/setup --tests unpacks it). The wall clock
// alone is moved, as by NTP or by hand: the monotonic one goes on, as the kernel has it.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { enginePids } from '../support/engines.ts';
import { FAKE_CLOCK } from '../support/faketime.ts';
import { CLI, latencyOf, WatchedRun, type Seen } from '../support/watched-run.ts';

const DAY_S = 86_400;
const JUMPS: readonly [what: string, aheadS: number][] = [
	['a day ahead', DAY_S],
	['a day behind', -DAY_S],
	['a second ahead', 1],
	['a second behind', -1],
	['in 1970', 1000 - Math.floor(Date.now() / 1000)],
	['right again', 0],
];
const FRAMES = 24;

const spanMsOf = (frames: readonly Seen[]) => frames.at(-1)!.atMs - frames[0]!.atMs;
const linesOf = (path: string) => readFileSync(path, 'utf8').trim().split('\n');

/** A moving clock, of every process that is started with its environment. */
const openClock = (file: string) => {
	const set = (aheadS: number) => writeFileSync(file, `${aheadS < 0 ? '' : '+'}${aheadS}\n`);
	set(0);
	const environment = {
		...FAKE_CLOCK,
		FAKETIME_TIMESTAMP_FILE: file,
		FAKETIME_NO_CACHE: '1',
	};
	return { set, environment };
};

/** Values of /metrics by name, with their labels. */
const metricsOf = (text: string): Map<string, number> => {
	const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
	return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
};

it('paintings, latency, beats, presets and the recording go on as if nothing had been, whatever the clock says', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'allaprima-clock-'));
	const clock = openClock(join(folder, 'clock'));
	const recording = join(folder, 'recording');
	const args = ['--size', '256x160', '--fps', '12', '--record', recording];
	await using run = await WatchedRun.start(args, { folder, environment: clock.environment });
	for (const pid of [run.pid, ...enginePids(run.pid)])
		expect(readFileSync(`/proc/${pid}/maps`, 'utf8')).toContain('libfaketime');

	/** As its answers say, by the second: up to one less than it is, and a little more that an answer takes. */
	const says = async (aheadS: number) => {
		const date = Date.parse((await run.get('/healthz')).headers.get('date')!);
		const saidS = (date - Date.now()) / 1000;
		return saidS > aheadS - 1.3 && saidS < aheadS + 0.3;
	};
	const presets = join(folder, '.local/share/allaprima/presets');
	mkdirSync(presets, { recursive: true });
	const keepPreset = async (name: string) => {
		const preset = { format: 'allaprima-style', formatVersion: 1, name, title: name, model: 'lite', prompt: name };
		writeFileSync(join(presets, `${name}.style.json`), JSON.stringify(preset));
		await run.until(async () => (await (await run.get('/api/presets')).text()).includes(`"${name}"`));
	};

	await run.ask({ type: 'tempo', bpm: 200 });
	await run.ask({ type: 'quantise', to: 'beat' });
	await run.more(FRAMES);
	const before = await run.more(FRAMES);
	let painted = 0;
	for (const [index, [what, aheadS]] of JUMPS.entries()) {
		clock.set(aheadS);
		await run.until(() => says(aheadS));
		await run.more(FRAMES);
		// Other work on the machine may hold some of them up for a while, a clock that mattered all of them.
		const isAsBefore = (newest: readonly Seen[]) =>
			latencyOf(newest) < 3 * latencyOf(before) && spanMsOf(newest) < 2 * spanMsOf(before);
		await run
			.until(() => isAsBefore(run.seen.slice(-FRAMES)))
			.catch((cause: unknown) => {
				throw new Error(`${what}: frames come later or more slowly than before`, { cause });
			});

		const { epoch } = run.seen.at(-1)!;
		await run.ask({ type: 'next' }); // on the beat
		await run.until(() => run.seen.at(-1)!.epoch > epoch);
		await keepPreset(`kept-${index}`);

		const metrics = metricsOf(await (await run.get('/metrics')).text());
		for (const [name, value] of metrics) expect(value, `${name}, ${what}`).toBeGreaterThanOrEqual(0);
		const frames = metrics.get('allaprima_frames_total{channel="main",result="painted"}')!;
		expect(frames, what).toBeGreaterThanOrEqual(painted + FRAMES);
		painted = frames;
	}
	const sequences = run.seen.map(({ sequence }) => sequence);
	expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
	const { code, report } = await run.finish();
	expect({ code, ...report }).toMatchObject({ code: 0, engineRestarts: 0, framesUnpainted: 0 });

	const kept = linesOf(join(recording, 'events.jsonl')).map(
		(line) => JSON.parse(line) as { type: string; atUs: number },
	);
	const frames = kept.filter(({ type }) => type === 'frame');
	const times = frames.map(({ atUs }) => atUs);
	expect(times).toEqual([...times].sort((a, b) => a - b));
	const again = join(folder, 'again.json');
	const replay = `run --source replay:${recording} --sink null --pace max --provider cpu --http off --report ${again}`;
	await promisify(execFile)(process.execPath, [CLI, ...replay.split(' ')]);
	expect((JSON.parse(readFileSync(again, 'utf8')) as Report).framesOut).toBe(frames.length);
}, 300_000);
