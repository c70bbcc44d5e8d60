// What the plugin costs OBS, and how long a picture takes through it, with a peer that only inverts. The same OBS in one
// run, in turns: without the filter, with it and no sidecar, "tap only", and in place of the source. For figures:
//   OBS_BENCH_SECONDS=20 OBS_BENCH_ROUNDS=3 node node_modules/.bin/vitest run test/bench/obs.bench.test.ts
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ffmpeg } from '../support/clips.ts';
import { CANVAS, Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';

const seconds = Number(process.env['OBS_BENCH_SECONDS'] ?? 3);
const rounds = Number(process.env['OBS_BENCH_ROUNDS'] ?? 1);

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** Seconds of CPU that a process has used: user and system, in ticks of 10 ms (proc(5)). */
const cpuSeconds = (pid: number): number => {
	const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
	return (Number(fields[11]) + Number(fields[12])) / 100;
};

interface Sample {
	frameMs: number;
	lagged: number;
	cpuPercent: number;
	glassToGlassMs?: number;
	glassToGlassMsP95?: number;
}

/** OBS's own figures over some seconds: the time of a tick is its average of the last second, read once a second. */
const measure = async (obs: Obs): Promise<Sample> => {
	const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
	await sleep(2000);
	const before = await obs.socket.call('GetStats');
	const [cpuBefore, startedMs] = [cpuSeconds(obs.pid), performance.now()];
	const frameMs: number[] = [];
	const delays: { p50: number; p95: number }[] = [];
	for (let second = 0; second < seconds; second++) {
		await sleep(1000);
		frameMs.push((await obs.socket.call('GetStats')).averageFrameRenderTime);
		const [stream] = (await obs.state()).streams;
		if (stream?.glassToGlassMs !== undefined)
			delays.push({ p50: stream.glassToGlassMs, p95: stream.glassToGlassMsP95! });
	}
	const after = await obs.socket.call('GetStats');
	return {
		frameMs: median(frameMs),
		lagged: after.renderSkippedFrames - before.renderSkippedFrames,
		cpuPercent: (100_000 * (cpuSeconds(obs.pid) - cpuBefore)) / (performance.now() - startedMs),
		...(delays.length > 0
			? {
					glassToGlassMs: median(delays.map(({ p50 }) => p50)),
					glassToGlassMsP95: median(delays.map(({ p95 }) => p95)),
				}
			: {}),
	};
};

it(
	'measures OBS with the filter and without',
	async () => {
		await using obs = await Obs.start();
		const clip = join(obs.folder, 'clip.mp4');
		const { width, height, fps } = CANVAS;
		await ffmpeg(
			`-f lavfi -i testsrc2=size=${width}x${height}:rate=${fps}:duration=10 -c:v libx264 -preset ultrafast ${clip}`,
		);
		await obs.socket.call('CreateScene', { sceneName: 'bench' });
		await obs.socket.call('CreateInput', {
			sceneName: 'bench',
			inputName: 'clip',
			inputKind: 'ffmpeg_source',
			inputSettings: { local_file: clip, looping: true },
		});
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'bench' });

		const rows = new Map<string, Sample[]>();
		const record = async (name: string) => rows.set(name, [...(rows.get(name) ?? []), await measure(obs)]);
		for (let round = 0; round < rounds; round++) {
			await record('without the filter');
			await obs.addFilter('clip');
			await record('filter, no sidecar');
			await using _ = await ObsEcho.start(obs.runtimeFolder);
			await obs.shows('clip / Alla Prima', 'painting');
			await obs.setFilter('clip', { mode: 'tap' });
			await record('filter, tap only');
			await obs.setFilter('clip', { mode: 'replace' });
			await record('filter, in place');
			await obs.socket.call('RemoveSourceFilter', { sourceName: 'clip', filterName: 'Alla Prima' });
		}

		const mid = (samples: Sample[], key: keyof Sample) =>
			median(samples.flatMap((sample) => (sample[key] === undefined ? [] : [sample[key]])));
		console.log(
			[
				`OBS, ${width}x${height} at ${fps}, ${rounds} rounds of ${seconds} s; medians`,
				`${''.padEnd(20)}  frame ms   lagged    CPU %  glass to glass ms p50, p95`,
				...[...rows].map(
					([name, samples]) =>
						`${name.padEnd(20)} ${mid(samples, 'frameMs').toFixed(2).padStart(9)} ${String(
							samples.reduce((sum, { lagged }) => sum + lagged, 0),
						).padStart(8)} ${mid(samples, 'cpuPercent').toFixed(0).padStart(8)} ${
							samples[0]?.glassToGlassMs === undefined
								? ''
								: `${mid(samples, 'glassToGlassMs').toFixed(1).padStart(10)} ${mid(samples, 'glassToGlassMsP95').toFixed(1)}`
						}`,
				),
			].join('\n'),
		);
		expect(rows.size).toBe(4);
		for (const samples of rows.values()) for (const { frameMs } of samples) expect(frameMs).toBeGreaterThan(0);
		expect(rows.get('filter, in place')![0]!.glassToGlassMs).toBeGreaterThan(0);
	},
	(60 + 4 * rounds * (seconds + 5)) * 1000,
);
