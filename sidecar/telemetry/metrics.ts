import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { TimesObserver } from './report.ts';

/** Numbers of one channel when they are asked for. Counts are of the whole run. */
export interface ChannelNumbers {
	channel: string;
	frames: {
		in: number;
		painted: number;
		/** Shown by the failure policy. */
		unpainted: number;
		repeated: number;
		/** Of those that were painted: shown as the painting before, because the picture had not changed. */
		reused: number;
		dropped: number;
	};
	engineRestarts: number;
	governorLevel?: number;
	fps: number;
	/** Per batch, p50. */
	sideStreamMs: number;
	mainStreamMs: number;
	isReady: boolean;
	/** Frames that wait for the engine, and those that it has. */
	queue: { waiting: number; painting: number };
	/** From render to program, where OBS shows the painting and measures that. */
	glassToGlassMs?: { p50: number; p95: number };
	/** On the 0..255 scale; absent before anything was measured. */
	flicker?: { warpingError: number; sobel: number; sourceSobel: number };
	/** Absent where the engine runs on this machine. */
	remote?: {
		worker: string | undefined;
		roundTripMs: number | undefined;
		framesLate: number;
		placements: number;
		encoding: 'nv12' | 'jpeg';
		linkBitsPerSecond: number | undefined;
	};
	/** Absent where the channel has nothing to do with NDI. */
	ndi?: {
		/** What left, by what it was; `filled` went out while the source gave nothing. */
		sent: { painting: number; source: number; hold: number; slate: number; filled: number };
		/** Frames of the source that never left, and those that left late. */
		dropped: number;
		late: number;
		/** Absent before there was a frame. */
		frameAgeMs?: number;
		delayMs: number;
		connections: number;
		reconnects: number;
	};
}

const LATENCY_BUCKETS_S = [0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5];
const STAGE_BUCKETS_S = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1];

/** Stages that run now and then alone. */
const REFRESHED: Record<string, string> = { te: 'encoder', cond: 'adapter' };

/** What Prometheus reads: base units, and labels whose number is bounded (channels, stages, results). */
export class Metrics {
	readonly #registry = new Registry();
	readonly #numbers: () => readonly ChannelNumbers[];
	readonly #latency: Histogram<'channel'>;
	readonly #stage: Histogram<'channel' | 'stage'>;
	readonly #styleSwitch: Histogram<'channel'>;
	readonly #refreshes: Counter<'channel' | 'of'>;
	readonly #stagesOf = new Map<string, Set<string>>();

	constructor(build: { version: string; commit: string }, numbers: () => readonly ChannelNumbers[]) {
		this.#numbers = numbers;
		const registers = [this.#registry];
		new Gauge({
			name: 'allaprima_build_info',
			help: 'Always 1; version and commit are labels.',
			labelNames: ['version', 'commit'] as const,
			registers,
		}).set(build, 1);
		this.#latency = new Histogram({
			name: 'allaprima_latency_seconds',
			help: 'From the capture of a frame to the presentation of its painting.',
			labelNames: ['channel'] as const,
			buckets: LATENCY_BUCKETS_S,
			registers,
		});
		this.#stage = new Histogram({
			name: 'allaprima_stage_seconds',
			help: 'How long each stage of the line takes.',
			labelNames: ['channel', 'stage'] as const,
			buckets: STAGE_BUCKETS_S,
			registers,
		});
		this.#styleSwitch = new Histogram({
			name: 'allaprima_style_switch_seconds',
			help: 'From a change of style to the first frame painted in it.',
			labelNames: ['channel'] as const,
			buckets: LATENCY_BUCKETS_S,
			registers,
		});
		this.#refreshes = new Counter({
			name: 'allaprima_refreshes_total',
			help: 'How often the encoder and the conditioning of the temporal adapter were computed anew.',
			labelNames: ['channel', 'of'] as const,
			registers,
		});
		this.#count('frames_in_total', 'Frames of the source that the engine took.', ({ frames }) => frames.in);
		this.#countBy('frames_total', 'Frames shown or lost, by what became of them.', 'result', ({ frames }) => ({
			painted: frames.painted,
			unpainted: frames.unpainted,
			repeated: frames.repeated,
			dropped: frames.dropped,
		}));
		this.#count(
			'frames_reused_total',
			'Painted frames that are the painting before, for the picture had not changed.',
			(c) => c.frames.reused,
		);
		this.#count('engine_restarts_total', 'Engines that were started again.', ({ engineRestarts }) => engineRestarts);
		this.#gauge('ready', '1 where the channel has a picture to show.', ({ isReady }) => Number(isReady));
		this.#gauge('governor_level', 'Steps that are given up to keep up; 0 where nothing is.', (c) => c.governorLevel);
		this.#gauge('frames_per_second', 'Painted frames a second, over the last seconds.', ({ fps }) => fps);
		this.#gauge('side_stream_seconds', 'Busy time of the encoder per batch, median.', (c) => c.sideStreamMs / 1000);
		this.#gauge('main_stream_seconds', 'Busy time of the denoiser per batch, median.', (c) => c.mainStreamMs / 1000);
		this.#gaugeBy('queue_frames', 'Frames on their way, by where they are.', 'where', ({ queue }) => ({
			ring: queue.waiting,
			engine: queue.painting,
		}));
		this.#gaugeBy(
			'glass_to_glass_seconds',
			'From the render of a source in OBS to its painting in the program.',
			'quantile',
			({ glassToGlassMs: ms }) => ms && { 0.5: ms.p50 / 1000, 0.95: ms.p95 / 1000 },
		);
		this.#gauge(
			'warping_error_levels',
			'Mean difference of two successive paintings that motion does not explain, of 255 levels.',
			({ flicker }) => flicker?.warpingError,
		);
		this.#gaugeBy(
			'sobel_levels',
			'Detail: mean absolute mixed derivative of the grey picture, of 255 levels.',
			'picture',
			({ flicker }) => flicker && { source: flicker.sourceSobel, painting: flicker.sobel },
		);
		this.#gauge('fleet_painted', '1 where a worker of the fleet paints the channel.', ({ remote }) =>
			remote ? Number(remote.worker !== undefined) : undefined,
		);
		this.#gauge('fleet_round_trip_seconds', 'To the worker and back, the fastest of the last few.', ({ remote }) =>
			remote?.roundTripMs === undefined ? undefined : remote.roundTripMs / 1000,
		);
		this.#gauge('fleet_jpeg', '1 where frames are sent as JPEG, for the link is narrow.', ({ remote }) =>
			remote ? Number(remote.encoding === 'jpeg') : undefined,
		);
		this.#gauge(
			'fleet_link_bits_per_second',
			'What the link carried of the last frames and paintings, the narrower way.',
			({ remote }) => remote?.linkBitsPerSecond,
		);
		this.#count(
			'fleet_frames_late_total',
			'Frames and paintings that were dropped for being late on their way.',
			({ remote }) => remote?.framesLate,
		);
		this.#count(
			'fleet_placements_total',
			'Workers that took the channel, the first one too.',
			({ remote }) => remote?.placements,
		);
		this.#countBy('ndi_frames_sent_total', 'Frames sent, by what they showed.', 'shown', ({ ndi }) => ndi?.sent);
		this.#count('ndi_frames_dropped_total', 'Frames of the source that never left.', ({ ndi }) => ndi?.dropped);
		this.#count('ndi_frames_late_total', 'Frames that left after their time.', ({ ndi }) => ndi?.late);
		this.#count('ndi_reconnects_total', 'Connections to the source made anew.', ({ ndi }) => ndi?.reconnects);
		this.#gauge('ndi_frame_age_seconds', 'Since the newest frame of the source.', ({ ndi }) =>
			ndi?.frameAgeMs === undefined ? undefined : ndi.frameAgeMs / 1000,
		);
		this.#gauge('ndi_delay_seconds', 'How much later than the source the stream is.', ({ ndi }) =>
			ndi ? ndi.delayMs / 1000 : undefined,
		);
		this.#gauge('ndi_connections', 'Receivers of the painted stream.', ({ ndi }) => ndi?.connections);
	}

	/** Where the times of a channel go. */
	timesOf(channel: string): TimesObserver {
		const stages = new Set<string>();
		this.#stagesOf.set(channel, stages);
		// A rate is of a counter that was 0 once.
		this.#latency.zero({ channel });
		this.#styleSwitch.zero({ channel });
		for (const of of Object.values(REFRESHED)) this.#refreshes.inc({ channel, of }, 0);
		return {
			latency: (ms) => this.#latency.observe({ channel }, ms / 1000),
			stage: (stage, ms) => {
				stages.add(stage);
				this.#stage.observe({ channel, stage }, ms / 1000);
				const of = REFRESHED[stage];
				if (of) this.#refreshes.inc({ channel, of });
			},
			styleSwitch: (ms) => this.#styleSwitch.observe({ channel }, ms / 1000),
		};
	}

	/** The channel is no more, and neither are its times. */
	forget(channel: string): void {
		for (const stage of this.#stagesOf.get(channel) ?? []) this.#stage.remove({ channel, stage });
		this.#stagesOf.delete(channel);
		this.#latency.remove({ channel });
		this.#styleSwitch.remove({ channel });
		for (const of of Object.values(REFRESHED)) this.#refreshes.remove({ channel, of });
	}

	text(): Promise<string> {
		return this.#registry.metrics();
	}

	#gauge(name: string, help: string, valueOf: (channel: ChannelNumbers) => number | undefined): void {
		const gauge: Gauge<'channel'> = new Gauge({
			name: `allaprima_${name}`,
			help,
			labelNames: ['channel'] as const,
			registers: [this.#registry],
			collect: () => {
				gauge.reset();
				for (const numbers of this.#numbers()) {
					const value = valueOf(numbers);
					if (value !== undefined) gauge.set({ channel: numbers.channel }, value);
				}
			},
		});
	}

	#gaugeBy<Label extends string>(
		name: string,
		help: string,
		label: Label,
		valuesOf: (channel: ChannelNumbers) => Record<string, number> | undefined,
	): void {
		const gauge: Gauge<string> = new Gauge({
			name: `allaprima_${name}`,
			help,
			labelNames: ['channel', label],
			registers: [this.#registry],
			collect: () => {
				gauge.reset();
				for (const numbers of this.#numbers())
					for (const [kind, value] of Object.entries(valuesOf(numbers) ?? {}))
						gauge.set({ channel: numbers.channel, [label]: kind }, value);
			},
		});
	}

	/** The totals are counted elsewhere; each time they are asked for the counter takes them over. */
	#count(name: string, help: string, totalOf: (channel: ChannelNumbers) => number | undefined): void {
		const counter: Counter<'channel'> = new Counter({
			name: `allaprima_${name}`,
			help,
			labelNames: ['channel'] as const,
			registers: [this.#registry],
			collect: () => {
				counter.reset();
				for (const numbers of this.#numbers()) {
					const total = totalOf(numbers);
					if (total !== undefined) counter.inc({ channel: numbers.channel }, total);
				}
			},
		});
	}

	#countBy<Label extends string>(
		name: string,
		help: string,
		label: Label,
		totalsOf: (channel: ChannelNumbers) => Record<string, number> | undefined,
	): void {
		const counter: Counter<string> = new Counter({
			name: `allaprima_${name}`,
			help,
			labelNames: ['channel', label],
			registers: [this.#registry],
			collect: () => {
				counter.reset();
				for (const numbers of this.#numbers())
					for (const [kind, total] of Object.entries(totalsOf(numbers) ?? {}))
						counter.inc({ channel: numbers.channel, [label]: kind }, total);
			},
		});
	}
}

/** What a worker of the fleet says of itself when it is asked. */
export interface WorkerNumbers {
	worker: string;
	isDraining: boolean;
	capacity: number;
	load: number;
	linesMax: number;
	lines: readonly { isLeased: boolean; fps: number }[];
	framesPainted: number;
	framesDropped: number;
	leasesLost: number;
	/** Of its last frames; absent before there were any. */
	frameMs?: { p50: number; p95: number };
	queueMs?: { p50: number; p95: number };
}

/** As `Metrics`, of a worker. Streams are no label: there is a new one each time that a sidecar starts. */
export class WorkerMetrics {
	readonly #registry = new Registry();

	constructor(build: { version: string; commit: string }, numbers: () => WorkerNumbers) {
		const registers = [this.#registry];
		const labelNames = ['worker'] as const;
		new Gauge({
			name: 'allaprima_build_info',
			help: 'Always 1; version and commit are labels.',
			labelNames: ['version', 'commit'] as const,
			registers,
		}).set(build, 1);
		const gauge = (name: string, help: string, valueOf: (numbers: WorkerNumbers) => number): void => {
			const made: Gauge<'worker'> = new Gauge({
				name: `allaprima_worker_${name}`,
				help,
				labelNames,
				registers,
				collect: () => made.set({ worker: numbers().worker }, valueOf(numbers())),
			});
		};
		const count = (name: string, help: string, totalOf: (numbers: WorkerNumbers) => number): void => {
			const made: Counter<'worker'> = new Counter({
				name: `allaprima_worker_${name}_total`,
				help,
				labelNames,
				registers,
				collect: () => {
					made.reset();
					made.inc({ worker: numbers().worker }, totalOf(numbers()));
				},
			});
		};
		const quantiles = (name: string, help: string, valuesOf: (numbers: WorkerNumbers) => WorkerNumbers['queueMs']) => {
			const made: Gauge<'worker' | 'quantile'> = new Gauge({
				name: `allaprima_worker_${name}`,
				help,
				labelNames: ['worker', 'quantile'] as const,
				registers,
				collect: () => {
					const now = numbers();
					const ms = valuesOf(now);
					if (!ms) return;
					made.set({ worker: now.worker, quantile: '0.5' }, ms.p50 / 1000);
					made.set({ worker: now.worker, quantile: '0.95' }, ms.p95 / 1000);
				},
			});
		};
		gauge('capacity_pixels_per_second', 'What it can paint, measured when it began.', ({ capacity }) => capacity);
		gauge('load_pixels_per_second', 'What its streams take, or are taken to want.', ({ load }) => load);
		gauge('lines', 'Streams that are open here.', ({ lines }) => lines.length);
		gauge('lines_max', 'Streams that may be open here.', ({ linesMax }) => linesMax);
		gauge('leases', 'Streams that it has the lease of.', ({ lines }) => lines.filter((line) => line.isLeased).length);
		gauge('frames_per_second', 'Frames painted a second, over the last three, of all streams.', ({ lines }) =>
			lines.reduce((sum, { fps }) => sum + fps, 0),
		);
		gauge('draining', '1 where it takes no new streams.', ({ isDraining }) => Number(isDraining));
		quantiles('frame_seconds', 'From the arrival of a frame to its answer.', ({ frameMs }) => frameMs);
		quantiles('queue_seconds', 'Of that, what it waited, mostly for other streams.', ({ queueMs }) => queueMs);
		count('frames_painted', 'Frames painted.', ({ framesPainted }) => framesPainted);
		count('frames_dropped', 'Frames that came too late to be painted.', ({ framesDropped }) => framesDropped);
		count('leases_lost', 'Leases that were taken away, or not renewed in time.', ({ leasesLost }) => leasesLost);
	}

	text(): Promise<string> {
		return this.#registry.metrics();
	}
}
