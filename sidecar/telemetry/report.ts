import { usToMs } from '../frame/clock.ts';
import type { Size } from '../frame/frame.ts';
import { allProcessesRssBytes } from './memory.ts';
import { describeCommit, describeMachine } from './provenance.ts';
import { DurationHistogram, StageTimings } from './stage-timings.ts';

export interface StyleSwitch {
	epoch: number;
	style: string;
	/** From the change of the parameters to the first frame of the new epoch presented. */
	latencyMs: number;
}

/** What `--report FILE` writes. Times in milliseconds; percentiles are within 0.6 %. */
export interface Report {
	model: string;
	provider: string;
	/** Graphs that ran in int8, by role; the others in fp32. */
	int8Graphs: readonly string[];
	/** Painted size. */
	size: Size;
	/** In the end: less than was asked for where memory ran out. */
	batchSize: number;
	steps: number;
	/** Frames that the engine took. */
	framesIn: number;
	framesOut: number;
	/** Before the engine, in the ring, or after it, in the pacer. */
	framesDropped: number;
	framesRepeated: number;
	/** Shown as the painting before, because the picture had not changed. */
	framesReused: number;
	/** Shown by the failure policy, because the engine gave no painting. */
	framesUnpainted: number;
	/** Painted frames a second from the end of the first batch to the last frame; 0 where there was only one batch. */
	fps: number;
	/** Capture stamp to present stamp, every buffer included. */
	latencyMs: { p50: number; p95: number; p99: number; max: number };
	/** From render to program as the plugin in OBS measured it last; absent without OBS. */
	glassToGlassMs?: { p50: number; p95: number };
	stagesMs: Record<string, { p50: number; p95: number }>;
	/** Per batch, p50: the encoder's stream and the denoiser's. The steady period is the longer of the two. */
	sideStreamMs: number;
	mainStreamMs: number;
	styleSwitches: StyleSwitch[];
	engineRestarts: number;
	/** From the start of the process to the first painting presented; 0 where there was none. */
	firstPaintingMs: number;
	/** Highest sum over all our processes, sampled twice a second. */
	rssPeakMiB: number;
	commit: string;
	machine: string;
	/** ISO 8601, when the run began. */
	date: string;
}

/** A run as it goes, for the progress line. */
export interface Progress {
	/** Frames that the engine took. */
	framesIn: number;
	framesOut: number;
	/** Where the source knows its length. */
	framesTotal?: number;
	/** Over the last two seconds or so. */
	fps: number;
	/** Over the same frames. */
	latencyMsP50: number;
	latencyMsP95: number;
}

export interface RunFacts {
	model: string;
	provider: string;
	size: Size;
	batchSize: number;
	steps: number;
}

/** Hears each time as it is taken; for metrics, which keep their own. */
export interface TimesObserver {
	/** From capture to presentation. */
	latency(ms: number): void;
	stage(name: string, ms: number): void;
	/** From the change to the first frame of its epoch. */
	styleSwitch(ms: number): void;
}

/** Where the recorder gets what it does not count itself; tests put their own. */
export interface RecorderWorld {
	nowUs: () => number;
	times?: TimesObserver;
	rssBytes?: () => number;
	sinceProcessStartMs?: () => number;
	date?: Date;
	commit?: string;
	machine?: string;
}

const MEMORY_EVERY_US = 500_000;
const RECENT_US = 2_000_000;
const RECENT_FRAMES = 256;
/** A switch a minute for a day; the oldest go first. */
const STYLE_SWITCHES_KEPT = 1440;

const round = (value: number): number => Math.round(value * 1000) / 1000;

/** Counts and times one run, in memory that does not grow with its length. */
export class Recorder {
	#facts: RunFacts;
	#world: Required<Omit<RecorderWorld, 'times'>>;
	readonly #times: TimesObserver | undefined;
	#framesIn = 0;
	#framesOut = 0;
	#unpainted = 0;
	#unshown = 0;
	#framesRepeated = 0;
	#framesReused = 0;
	#framesUnpainted = 0;
	#engineRestarts = 0;
	#int8Graphs: readonly string[] = [];
	#batchSize: number;
	#firstPaintingMs = 0;
	#glassToGlassMs: { p50: number; p95: number } | undefined;
	#firstBatchEndUs = 0;
	#lastPresentedUs = 0;
	#latency = new DurationHistogram();
	#stages = new StageTimings();
	#side = new DurationHistogram();
	#main = new DurationHistogram();
	#styleSwitches: StyleSwitch[] = [];
	#recent: { presentedUs: number; latencyMs: number }[] = [];
	#rssPeakBytes = 0;
	#memorySampledUs = -Infinity;

	constructor(facts: RunFacts, world: RecorderWorld) {
		this.#facts = facts;
		this.#batchSize = facts.batchSize;
		this.#times = world.times;
		this.#world = {
			rssBytes: allProcessesRssBytes,
			sinceProcessStartMs: () => performance.now(),
			date: new Date(),
			commit: describeCommit(),
			machine: describeMachine(),
			...world,
		};
	}

	/** The engine took a frame of the source. */
	frameIn(): void {
		this.#framesIn++;
		this.#sampleMemory();
	}

	/** A painted frame was presented, for the first time. */
	frameOut({ capturedUs, presentedUs }: { capturedUs: number; presentedUs: number; sequence: number }): void {
		this.#framesOut++;
		if (this.#framesOut === 1) this.#firstPaintingMs = this.#world.sinceProcessStartMs();
		if (this.#framesOut === this.#facts.batchSize) this.#firstBatchEndUs = presentedUs;
		this.#lastPresentedUs = presentedUs;
		const latencyMs = usToMs(presentedUs - capturedUs);
		this.#latency.record(latencyMs);
		this.#times?.latency(latencyMs);
		this.#recent.push({ presentedUs, latencyMs });
		while (this.#recent.length > RECENT_FRAMES || presentedUs - this.#recent[0]!.presentedUs > RECENT_US)
			this.#recent.shift();
		this.#sampleMemory();
	}

	/** All of the run so far: frames of the source that were never painted, and paintings that were never shown. */
	setFramesDropped({ unpainted, unshown }: { unpainted: number; unshown: number }): void {
		this.#unpainted = unpainted;
		this.#unshown = unshown;
	}

	/** A painted frame was presented again, because no newer one was there. */
	frameRepeated(): void {
		this.#framesRepeated++;
	}

	/** The painting before was shown again, because the picture had not changed. */
	frameReused(): void {
		this.#framesReused++;
	}

	/** The engine gave no painting, and the frame was shown by the failure policy. */
	frameUnpainted(): void {
		this.#framesUnpainted++;
		this.#sampleMemory();
	}

	stage(name: string, ms: number): void {
		this.#stages.record(name, ms);
		this.#times?.stage(name, ms);
	}

	/** One batch went through the line; `sideMs` is absent where the encoder did not run for it. */
	batch({ sideMs, mainMs }: { sideMs?: number; mainMs: number }): void {
		if (sideMs !== undefined) this.#side.record(sideMs);
		this.#main.record(mainMs);
	}

	styleSwitched(change: StyleSwitch): void {
		this.#times?.styleSwitch(change.latencyMs);
		this.#styleSwitches.push({ ...change, latencyMs: round(change.latencyMs) });
		if (this.#styleSwitches.length > STYLE_SWITCHES_KEPT) this.#styleSwitches.shift();
	}

	setGlassToGlass(ms: { p50: number; p95: number }): void {
		this.#glassToGlassMs = ms;
	}

	setEngine(engine: {
		model?: string;
		provider: string;
		restarts: number;
		int8Graphs?: readonly string[];
		batchSize?: number;
	}): void {
		const { model = this.#facts.model, provider, batchSize = this.#facts.batchSize } = engine;
		this.#facts = { ...this.#facts, model, provider };
		this.#batchSize = batchSize;
		this.#engineRestarts = engine.restarts;
		this.#int8Graphs = engine.int8Graphs ?? [];
	}

	progress(framesTotal?: number): Progress {
		const latencies = this.#recent.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
		const spanUs = this.#recent.length > 1 ? this.#recent.at(-1)!.presentedUs - this.#recent[0]!.presentedUs : 0;
		return {
			framesIn: this.#framesIn + this.#unpainted,
			framesOut: this.#framesOut,
			...(framesTotal === undefined ? {} : { framesTotal }),
			fps: spanUs > 0 ? ((this.#recent.length - 1) * 1e6) / spanUs : 0,
			latencyMsP50: latencies[Math.ceil(latencies.length / 2) - 1] ?? 0,
			latencyMsP95: latencies[Math.ceil(latencies.length * 0.95) - 1] ?? 0,
		};
	}

	report(): Report {
		this.#memorySampledUs = -Infinity;
		this.#sampleMemory();
		const { model, provider, size, batchSize, steps } = this.#facts;
		const steadyUs = this.#lastPresentedUs - this.#firstBatchEndUs;
		const steadyFrames = this.#framesOut - batchSize;
		const p = (histogram: DurationHistogram, percent: number) => round(histogram.percentile(percent));
		return {
			model,
			provider,
			int8Graphs: this.#int8Graphs,
			size,
			batchSize: this.#batchSize,
			steps,
			framesIn: this.#framesIn + this.#unpainted,
			framesOut: this.#framesOut,
			framesDropped: this.#unpainted + this.#unshown,
			framesRepeated: this.#framesRepeated,
			framesReused: this.#framesReused,
			framesUnpainted: this.#framesUnpainted,
			fps: steadyFrames > 0 && steadyUs > 0 ? round((steadyFrames * 1e6) / steadyUs) : 0,
			latencyMs: {
				p50: p(this.#latency, 50),
				p95: p(this.#latency, 95),
				p99: p(this.#latency, 99),
				max: round(this.#latency.maxMs),
			},
			...(this.#glassToGlassMs && { glassToGlassMs: this.#glassToGlassMs }),
			stagesMs: Object.fromEntries(
				[...this.#stages.entries()].map(([stage, times]) => [stage, { p50: p(times, 50), p95: p(times, 95) }]),
			),
			sideStreamMs: p(this.#side, 50),
			mainStreamMs: p(this.#main, 50),
			styleSwitches: [...this.#styleSwitches],
			engineRestarts: this.#engineRestarts,
			firstPaintingMs: round(this.#firstPaintingMs),
			rssPeakMiB: Math.round(this.#rssPeakBytes / 2 ** 20),
			commit: this.#world.commit,
			machine: this.#world.machine,
			date: this.#world.date.toISOString(),
		};
	}

	#sampleMemory(): void {
		const now = this.#world.nowUs();
		if (now - this.#memorySampledUs < MEMORY_EVERY_US) return;
		this.#memorySampledUs = now;
		this.#rssPeakBytes = Math.max(this.#rssPeakBytes, this.#world.rssBytes());
	}
}
