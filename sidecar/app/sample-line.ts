import type { Tuning } from '../config/schema/tuning.ts';
import type { EngineHandle, EngineListener } from '../engine/engine-process.ts';
import { SupervisedEngine } from '../engine/supervised-engine.ts';
import { pictureByteLength, rgbLayout, type Picture, type Size } from '../frame/frame.ts';
import { FrameRing } from '../frame/ring.ts';
import type { Parameters } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import { linkedTo, sleepUs, stopping } from './limits.ts';

export interface SampleLineSettings {
	/** Of each picture. */
	size: Size;
	start: (listener: EngineListener, parameters: Parameters) => EngineHandle;
	nowUs: () => number;
}

/** An engine that has a picture for longer has something better to do. */
const PATIENCE_US = 4_000_000;
/** Whether it answers at all is watched by the channel's own line. */
const CHECK_EVERY_MS = 200;

/** As a picture is painted that stands alone. */
export const samplingTuning = (tuning: Tuning): Tuning => ({
	...tuning,
	batchSize: 1,
	noise: 'fixed',
	temporalMultiplier: 0,
	condRefreshEvery: 0,
	outputBlend: 0,
	teRefreshEvery: 1,
	teBatchOne: true,
	similarityThreshold: 0,
	streamBatch: false,
	movingBuffer: false,
});

/** One more line of a channel's engine, for one picture at a time. It is there until it is disposed of, and idle costs nothing. */
export class SampleLine implements AsyncDisposable {
	readonly #size: Size;
	readonly #nowUs: () => number;
	readonly #ring: FrameRing;
	readonly #engine: SupervisedEngine;
	readonly #stop = new AbortController();
	#parameters: Parameters;
	#sequence = 0;
	#settle: ((painting: Picture | undefined) => void) | undefined;
	#failure: { error: unknown } | undefined;

	constructor({ size, start, nowUs }: SampleLineSettings, parameters: Parameters) {
		this.#size = size;
		this.#nowUs = nowUs;
		this.#parameters = parameters;
		this.#ring = new FrameRing({
			slotCount: 3,
			slotBytes: pictureByteLength(rgbLayout(size)),
			mode: 'newest-wins',
			waitingMax: 1,
		});
		this.#engine = new SupervisedEngine({
			start: (listener, { parameters: first }) => start(listener, first),
			hasFallback: false,
			ring: this.#ring,
			parametersNow: () => this.#parameters,
			batchSize: 1,
			keepsAll: false,
			limits: { staleAfterUs: PATIENCE_US, stuckAfterUs: Infinity },
			observer: { stage: () => {}, batch: () => {} },
			nowUs,
			every: (_, work) => stopping(setInterval(work, CHECK_EVERY_MS)),
			after: (us, work) => stopping(setTimeout(work, us / 1000)),
		});
		void this.#run();
	}

	/** Of the process that it has its place in. */
	get pid(): number | undefined {
		return this.#engine.pid;
	}

	/** It paints no more; another line may. */
	get isLost(): boolean {
		return this.#failure !== undefined;
	}

	/** Undefined where the engine gives no painting now. Errors: ERR_MODEL, where it never will. */
	async paint({ data }: { data: Uint8Array }, parameters: Parameters): Promise<Picture | undefined> {
		if (this.#failure) throw this.#failure.error;
		const waiting = linkedTo(this.#stop.signal);
		const patience = sleepUs(PATIENCE_US, waiting.signal);
		try {
			await Promise.race([this.#engine.ready, patience]);
			if (this.#engine.state !== 'painting') return undefined;
			const slot = await this.#ring.acquire(this.#stop.signal);
			if (slot === undefined) return undefined;
			this.#ring.bytes(slot).set(data);
			this.#parameters = parameters;
			const painting = new Promise<Picture | undefined>((resolve) => (this.#settle = resolve));
			const capturedUs = this.#nowUs();
			const sequence = ++this.#sequence;
			this.#ring.offer({ sequence, slot, capturedUs, timestampUs: 0, durationUs: 0, layout: rgbLayout(this.#size) });
			return await Promise.race([painting, patience.then(() => undefined)]);
		} finally {
			waiting.abort();
			this.#settle = undefined;
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#stop.abort();
		await this.#engine[Symbol.asyncDispose]();
	}

	async #run(): Promise<void> {
		try {
			for await (const { sequence, kind, picture } of this.#engine.paint(this.#ring.frames(this.#stop.signal)))
				if (sequence === this.#sequence) this.#settle?.(kind === 'painting' ? picture : undefined);
		} catch (error) {
			log.debug({ error }, 'sample line lost');
			this.#failure = { error };
			this.#settle?.(undefined);
		}
	}
}
