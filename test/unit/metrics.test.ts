import { describe, expect, test } from 'vitest';
import { Metrics, WorkerMetrics, type ChannelNumbers } from '../../sidecar/telemetry/metrics.ts';

const numbersOf = (channel: string, over: Partial<ChannelNumbers> = {}): ChannelNumbers => ({
	channel,
	frames: { in: 100, painted: 90, unpainted: 4, repeated: 5, reused: 3, dropped: 6 },
	engineRestarts: 2,
	fps: 24.5,
	sideStreamMs: 12,
	mainStreamMs: 40,
	isReady: true,
	queue: { waiting: 1, painting: 3 },
	...over,
});

const NDI: ChannelNumbers['ndi'] = {
	sent: { painting: 80, source: 7, hold: 2, slate: 1, filled: 0 },
	dropped: 3,
	late: 4,
	frameAgeMs: 20,
	delayMs: 100,
	connections: 2,
	reconnects: 1,
};

const textOf = async (...channels: ChannelNumbers[]): Promise<string[]> =>
	(await new Metrics({ version: '1.2.3', commit: 'abc' }, () => channels).text()).split('\n');

describe('metrics', () => {
	test('give the numbers of each channel in base units', async () => {
		const lines = await textOf(numbersOf('CAM 1'), numbersOf('CAM 2', { fps: 12, isReady: false }));
		expect(lines).toEqual(
			expect.arrayContaining([
				'allaprima_build_info{version="1.2.3",commit="abc"} 1',
				'allaprima_frames_in_total{channel="CAM 1"} 100',
				'allaprima_frames_total{channel="CAM 1",result="painted"} 90',
				'allaprima_frames_reused_total{channel="CAM 1"} 3',
				'allaprima_frames_total{channel="CAM 2",result="dropped"} 6',
				'allaprima_engine_restarts_total{channel="CAM 1"} 2',
				'allaprima_frames_per_second{channel="CAM 2"} 12',
				'allaprima_side_stream_seconds{channel="CAM 1"} 0.012',
				'allaprima_ready{channel="CAM 1"} 1',
				'allaprima_ready{channel="CAM 2"} 0',
			]),
		);
		expect(lines.some((line) => line.startsWith('allaprima_ndi_connections{'))).toBe(false);
	});

	test('have those of NDI where a channel has them', async () => {
		const lines = await textOf(numbersOf('CAM 1', { ndi: NDI }));
		expect(lines).toEqual(
			expect.arrayContaining([
				'allaprima_ndi_frames_sent_total{channel="CAM 1",shown="painting"} 80',
				'allaprima_ndi_frames_sent_total{channel="CAM 1",shown="slate"} 1',
				'allaprima_ndi_frame_age_seconds{channel="CAM 1"} 0.02',
				'allaprima_ndi_connections{channel="CAM 1"} 2',
			]),
		);
	});

	test('have the delay in OBS and the flicker where those are measured', async () => {
		const flicker = { warpingError: 4.5, sobel: 12, sourceSobel: 9 };
		const lines = await textOf(numbersOf('main', { flicker, glassToGlassMs: { p50: 72, p95: 80 } }));
		expect(lines).toEqual(
			expect.arrayContaining([
				'allaprima_queue_frames{channel="main",where="ring"} 1',
				'allaprima_queue_frames{channel="main",where="engine"} 3',
				'allaprima_glass_to_glass_seconds{channel="main",quantile="0.95"} 0.08',
				'allaprima_warping_error_levels{channel="main"} 4.5',
				'allaprima_sobel_levels{channel="main",picture="painting"} 12',
			]),
		);
		expect((await textOf(numbersOf('main'))).filter((line) => /^allaprima_(warping|sobel|glass)/.test(line))).toEqual(
			[],
		);
	});

	test('count the runs of what is refreshed now and then', async () => {
		const metrics = new Metrics({ version: '1', commit: '' }, () => []);
		const times = metrics.timesOf('main');
		for (const stage of ['te', 'unet', 'cond', 'te']) times.stage(stage, 1);
		const text = await metrics.text();
		expect(text).toContain('allaprima_refreshes_total{channel="main",of="encoder"} 2');
		expect(text).toContain('allaprima_refreshes_total{channel="main",of="adapter"} 1');
		metrics.forget('main');
		expect(await metrics.text()).not.toContain('channel="main"');
	});

	test('are asked for each time, and forget channels that are gone', async () => {
		let channels = [numbersOf('CAM 1'), numbersOf('CAM 2')];
		const metrics = new Metrics({ version: '1', commit: '' }, () => channels);
		await metrics.text();
		channels = [numbersOf('CAM 2', { engineRestarts: 3 })];
		const text = await metrics.text();
		expect(text).not.toContain('channel="CAM 1"');
		expect(text).toContain('allaprima_engine_restarts_total{channel="CAM 2"} 3\n');
	});

	test('take each latency into the buckets it belongs to', async () => {
		const metrics = new Metrics({ version: '1', commit: '' }, () => []);
		const times = metrics.timesOf('main');
		for (const ms of [8, 60, 60, 9000]) times.latency(ms);
		times.stage('unet', 18);
		times.styleSwitch(80);
		const lines = (await metrics.text()).split('\n');
		expect(lines).toEqual(
			expect.arrayContaining([
				'allaprima_latency_seconds_bucket{le="0.01",channel="main"} 1',
				'allaprima_latency_seconds_bucket{le="0.075",channel="main"} 3',
				'allaprima_latency_seconds_bucket{le="5",channel="main"} 3',
				'allaprima_latency_seconds_bucket{le="+Inf",channel="main"} 4',
				'allaprima_stage_seconds_bucket{le="0.02",channel="main",stage="unet"} 1',
				'allaprima_style_switch_seconds_count{channel="main"} 1',
			]),
		);
	});

	test('forget the times of a channel that is no more, and keep those of the others', async () => {
		const metrics = new Metrics({ version: '1', commit: '' }, () => []);
		for (const channel of ['CAM 1', 'CAM 2']) {
			const times = metrics.timesOf(channel);
			times.latency(8);
			times.stage('unet', 18);
			times.styleSwitch(80);
		}
		metrics.forget('CAM 1');
		const text = await metrics.text();
		expect(text).not.toContain('CAM 1');
		expect(text).toContain('allaprima_stage_seconds_count{channel="CAM 2",stage="unet"} 1');
	});

	test('quote whatever a channel is called', async () => {
		const text = (await textOf(numbersOf('a"b\\c\nd'))).join('\n');
		expect(text).toContain('allaprima_ready{channel="a\\"b\\\\c\\nd"} 1');
	});
});

describe('metrics of the fleet', () => {
	test('say where a channel is painted, and nothing where that is here', async () => {
		const link = { encoding: 'jpeg' as const, linkBitsPerSecond: 2e7 };
		const remote = { worker: 'rig', roundTripMs: 2, framesLate: 3, placements: 2, ...link };
		const lines = await textOf(numbersOf('far', { remote }), numbersOf('here'));
		expect(lines).toEqual(
			expect.arrayContaining([
				'allaprima_fleet_painted{channel="far"} 1',
				'allaprima_fleet_round_trip_seconds{channel="far"} 0.002',
				'allaprima_fleet_frames_late_total{channel="far"} 3',
				'allaprima_fleet_placements_total{channel="far"} 2',
				'allaprima_fleet_jpeg{channel="far"} 1',
				'allaprima_fleet_link_bits_per_second{channel="far"} 20000000',
			]),
		);
		expect(lines.filter((line) => line.startsWith('allaprima_fleet_') && line.includes('here'))).toEqual([]);
		const lost = numbersOf('far', { remote: { ...remote, worker: undefined, roundTripMs: undefined } });
		expect(await textOf(lost)).toContain('allaprima_fleet_painted{channel="far"} 0');
	});

	test('of a worker are its own, with no stream in a label', async () => {
		const metrics = new WorkerMetrics({ version: '1.2.3', commit: 'abc' }, () => ({
			worker: 'rig',
			isDraining: false,
			capacity: 4e6,
			load: 1e6,
			linesMax: 16,
			lines: [
				{ isLeased: true, fps: 24 },
				{ isLeased: false, fps: 0 },
			],
			framesPainted: 100,
			framesDropped: 5,
			leasesLost: 1,
			frameMs: { p50: 50, p95: 80 },
			queueMs: { p50: 4, p95: 20 },
		}));
		await metrics.text();
		const lines = (await metrics.text()).split('\n');
		expect(lines).toEqual(
			expect.arrayContaining([
				'allaprima_build_info{version="1.2.3",commit="abc"} 1',
				'allaprima_worker_capacity_pixels_per_second{worker="rig"} 4000000',
				'allaprima_worker_lines{worker="rig"} 2',
				'allaprima_worker_leases{worker="rig"} 1',
				'allaprima_worker_frames_per_second{worker="rig"} 24',
				'allaprima_worker_frames_painted_total{worker="rig"} 100',
				'allaprima_worker_draining{worker="rig"} 0',
				'allaprima_worker_frame_seconds{worker="rig",quantile="0.5"} 0.05',
				'allaprima_worker_queue_seconds{worker="rig",quantile="0.95"} 0.02',
			]),
		);
	});
});
