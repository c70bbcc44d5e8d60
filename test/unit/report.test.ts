import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { allProcessesRssBytes } from '../../sidecar/telemetry/memory.ts';
import { Recorder } from '../../sidecar/telemetry/report.ts';
import { DurationHistogram } from '../../sidecar/telemetry/stage-timings.ts';

describe('percentiles', () => {
	test('of 1 to 100 ms are 50, 95 and 99 ms, to 0.6 %, whatever the order', () => {
		const histogram = new DurationHistogram();
		for (let i = 0; i < 100; i++) histogram.record(((i * 37) % 100) + 1);
		for (const p of [50, 95, 99]) expect(Math.abs(histogram.percentile(p) / p - 1)).toBeLessThan(0.006);
		expect(histogram.percentile(100)).toBe(100);
		expect(histogram.maxMs).toBe(100);
		expect(histogram.percentile(0)).toBeCloseTo(1, 1);
	});

	test('of one value are that value, and of none 0', () => {
		const histogram = new DurationHistogram();
		expect(histogram.percentile(50)).toBe(0);
		histogram.record(33.3);
		expect([50, 95, 99].map((p) => histogram.percentile(p))).toEqual([33.3, 33.3, 33.3]);
	});

	test('take anything a clock may give', () => {
		const histogram = new DurationHistogram();
		for (const ms of [0, -5, 1e-9, 1e12, NaN, Infinity]) histogram.record(ms);
		expect(histogram.count).toBe(4);
		expect(histogram.maxMs).toBe(1e12);
		expect(histogram.percentile(50)).toBeLessThanOrEqual(0.0011);
	});
});

const facts = { model: 'lite', provider: 'cpu', size: { width: 512, height: 288 }, batchSize: 4, steps: 1 };

const openRecorder = (change: Partial<typeof facts> = {}) => {
	const clock = { us: 0 };
	const memory = { bytes: 0 };
	const recorder = new Recorder(
		{ ...facts, ...change },
		{
			nowUs: () => clock.us,
			rssBytes: () => memory.bytes,
			date: new Date('2026-01-02T03:04:05Z'),
			commit: 'abc',
			machine: 'a machine',
			sinceProcessStartMs: () => clock.us / 1000,
		},
	);
	const paint = (sequence: number, presentedUs: number, latencyUs = 80_000) => {
		clock.us = presentedUs;
		recorder.frameIn();
		recorder.frameOut({ sequence, capturedUs: presentedUs - latencyUs, presentedUs });
	};
	return { recorder, clock, memory, paint };
};

describe('a report', () => {
	test('has every field of the design, and no other', () => {
		const { recorder } = openRecorder();
		expect(Object.keys(recorder.report())).toEqual(
			(
				'model provider int8Graphs size batchSize steps framesIn framesOut framesDropped framesRepeated framesReused framesUnpainted fps latencyMs stagesMs ' +
				'sideStreamMs mainStreamMs styleSwitches engineRestarts firstPaintingMs rssPeakMiB commit machine date'
			).split(' '),
		);
		expect(recorder.report()).toMatchObject({ commit: 'abc', machine: 'a machine', date: '2026-01-02T03:04:05.000Z' });
	});

	test('leaves the first batch out of the rate', () => {
		const { recorder, paint } = openRecorder();
		// Four frames after ten seconds of warming up, then eight more at 25 frames/s.
		for (let i = 0; i < 4; i++) paint(i, 10_000_000);
		for (let i = 0; i < 8; i++) paint(4 + i, 10_000_000 + (i + 1) * 40_000);
		expect(recorder.report()).toMatchObject({ framesIn: 12, framesOut: 12, fps: 25 });
	});

	test('says how many frames a batch came to have, and takes the rate as before', () => {
		const { recorder, paint } = openRecorder();
		for (let i = 0; i < 6; i++) paint(i, 1_000_000 + i * 40_000);
		recorder.setEngine({ provider: 'cuda', restarts: 1, batchSize: 2 });
		for (let i = 6; i < 9; i++) paint(i, 1_000_000 + i * 40_000);
		expect(recorder.report()).toMatchObject({ batchSize: 2, fps: 25 });
		expect(openRecorder().recorder.report().batchSize).toBe(4);
	});

	test('gives no rate where there was only one batch', () => {
		const { recorder, paint } = openRecorder();
		for (let i = 0; i < 3; i++) paint(i, 1_000_000 + i);
		expect(recorder.report().fps).toBe(0);
	});

	test('measures latency from capture to presentation, and stages and streams by themselves', () => {
		const { recorder, paint } = openRecorder();
		for (let i = 1; i <= 100; i++) {
			paint(i, i * 40_000, i * 1000);
			recorder.stage('unet', 10);
			recorder.batch({ ...(i % 4 === 0 && { sideMs: 28 }), mainMs: 33 });
		}
		recorder.stage('decode', 2);
		const report = recorder.report();
		expect(Math.abs(report.latencyMs.p50 / 50 - 1)).toBeLessThan(0.006);
		expect(Math.abs(report.latencyMs.p95 / 95 - 1)).toBeLessThan(0.006);
		expect(Math.abs(report.latencyMs.p99 / 99 - 1)).toBeLessThan(0.006);
		expect(report.latencyMs.max).toBe(100);
		expect(report.stagesMs).toEqual({ unet: { p50: 10, p95: 10 }, decode: { p50: 2, p95: 2 } });
		expect(report).toMatchObject({ sideStreamMs: 28, mainStreamMs: 33 });
	});

	test('tells drops, repeats, what went unpainted, restarts and style switches', () => {
		const { recorder } = openRecorder();
		recorder.setFramesDropped({ unpainted: 3, unshown: 0 });
		recorder.setFramesDropped({ unpainted: 5, unshown: 2 });
		recorder.frameRepeated();
		recorder.frameReused();
		recorder.frameReused();
		recorder.frameUnpainted();
		recorder.setEngine({ provider: 'cuda', restarts: 1 });
		recorder.styleSwitched({ epoch: 1, style: 'pencil-sketch', latencyMs: 120.12345 });
		expect(recorder.report()).toMatchObject({
			framesDropped: 7,
			framesRepeated: 1,
			framesReused: 2,
			framesUnpainted: 1,
			provider: 'cuda',
			engineRestarts: 1,
			styleSwitches: [{ epoch: 1, style: 'pencil-sketch', latencyMs: 120.123 }],
		});
	});

	test('tells how long the first painting took from the start of the process', () => {
		const { recorder, paint } = openRecorder();
		paint(0, 2_500_000);
		paint(1, 2_540_000);
		expect(recorder.report().firstPaintingMs).toBe(2500);
	});

	test('keeps the peak of memory, looking twice a second', () => {
		const { recorder, memory, paint } = openRecorder();
		const seen = [100, 900, 300].map((mib) => {
			memory.bytes = mib * 2 ** 20;
			return mib;
		});
		seen.forEach((mib, index) => {
			memory.bytes = mib * 2 ** 20;
			paint(index, index * 600_000);
		});
		memory.bytes = 5000 * 2 ** 20;
		paint(3, 1_210_000); // 10 ms after the last look
		memory.bytes = 0;
		expect(recorder.report().rssPeakMiB).toBe(900);
	});

	test('does not grow over a day of frames', () => {
		const { recorder, paint } = openRecorder();
		for (let i = 0; i < 200_000; i++) {
			paint(i, i * 40_000, (i % 500) * 1000);
			if (i % 50 === 0) recorder.styleSwitched({ epoch: i, style: 'oil-painting', latencyMs: 1 });
		}
		expect(JSON.stringify(recorder.report()).length).toBeLessThan(200_000);
		expect(recorder.report().framesOut).toBe(200_000);
	});
});

test('progress tells the rate and the latency of the last seconds, not of the whole run', () => {
	const { recorder, paint } = openRecorder();
	for (let i = 0; i < 100; i++) paint(i, i * 500_000, 900_000);
	for (let i = 0; i < 100; i++) paint(100 + i, 50_000_000 + i * 40_000, 80_000);
	const progress = recorder.progress(400);
	expect(progress).toMatchObject({ framesIn: 200, framesOut: 200, framesTotal: 400, latencyMsP50: 80 });
	expect(progress.fps).toBeCloseTo(25, 5);
	expect('framesTotal' in recorder.progress()).toBe(false);
});

test.runIf(process.platform === 'linux')('memory counts the processes below ours, such as ffmpeg', async () => {
	const before = allProcessesRssBytes();
	const program = "const b = Buffer.alloc(64 << 20, 1); process.stdout.write('x'); setInterval(() => b, 1e6)";
	const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'ignore'] });
	await once(child.stdout, 'data');
	const during = allProcessesRssBytes();
	child.kill('SIGKILL');
	await once(child, 'exit');
	expect((during - before) / 2 ** 20).toBeGreaterThan(64);
});
