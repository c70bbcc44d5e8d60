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
		dropped: number;
	};
	engineRestarts: number;
	fps: number;
	/** Per batch, p50. */
	sideStreamMs: number;
	mainStreamMs: number;
	isReady: boolean;
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

/** What Prometheus reads: base units, and labels whose number is bounded (channels, stages, results). */
export class Metrics {
	readonly #registry = new Registry();
	readonly #numbers: () => readonly ChannelNumbers[];
	readonly #latency: Histogram<'channel'>;
	readonly #stage: Histogram<'channel' | 'stage'>;
	readonly #styleSwitch: Histogram<'channel'>;
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
		this.#count('frames_in_total', 'Frames of the source that the engine took.', ({ frames }) => frames.in);
		this.#countBy('frames_total', 'Frames shown or lost, by what became of them.', 'result', ({ frames }) => ({
			painted: frames.painted,
			unpainted: frames.unpainted,
			repeated: frames.repeated,
			dropped: frames.dropped,
		}));
		this.#count('engine_restarts_total', 'Engines that were started again.', ({ engineRestarts }) => engineRestarts);
		this.#gauge('ready', '1 where the channel has a picture to show.', ({ isReady }) => Number(isReady));
		this.#gauge('frames_per_second', 'Painted frames a second, over the last seconds.', ({ fps }) => fps);
		this.#gauge('side_stream_seconds', 'Busy time of the encoder per batch, median.', (c) => c.sideStreamMs / 1000);
		this.#gauge('main_stream_seconds', 'Busy time of the denoiser per batch, median.', (c) => c.mainStreamMs / 1000);
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
		return {
			latency: (ms) => this.#latency.observe({ channel }, ms / 1000),
			stage: (stage, ms) => {
				stages.add(stage);
				this.#stage.observe({ channel, stage }, ms / 1000);
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
