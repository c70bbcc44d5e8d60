import type { GraphRole } from '../config/schema/manifest.ts';
import { SidecarError } from '../errors.ts';
import { pictureByteLength, type Frame, type Picture, type Size, type StyledFrame } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import type { Device } from '../inference/devices.ts';
import type { Parameters } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import { BatchLimit } from './batch-limit.ts';
import type { Engine, EngineObserver, EngineState, LineState } from './engine.ts';
import type { EngineHandle, EngineListener } from './engine-process.ts';
import type { Answer, Timings } from './engine-protocol.ts';
import {
	answered,
	check,
	deathsInARow,
	heartbeatAt,
	owing,
	restartDelayUs,
	type Heartbeat,
	type HeartbeatLimits,
} from './heartbeat.ts';

/** How one engine is to be started. */
export interface EngineStart {
	parameters: Parameters;
	/** What the first one chose. */
	provider: string | undefined;
	int8Graphs: readonly GraphRole[] | undefined;
	/** What `resize` asked for last. */
	painted: Size | undefined;
	/** With the other model. */
	isFallback: boolean;
}

export interface SupervisedEngineSettings {
	start: (listener: EngineListener, how: EngineStart) => EngineHandle;
	/** Live: whether there is another model for when the chosen one dies again and again. */
	hasFallback: boolean;
	/** Where the frames' pixels are; each slot is given back when its frame was answered. */
	ring: Pick<FrameRing, 'bytes' | 'release'>;
	/** In force now; `frame` is what they are for, with its pixels still in the ring: it is sent next. */
	parametersNow: (frame?: Frame) => Parameters;
	/** Whether paintings of a part come with the source's own picture. */
	keepsSource?: boolean;
	batchSize: number;
	/** Whether a batch waits for the next one, in a moving buffer. */
	movesBuffer?: boolean;
	/** Every frame is painted, however long it takes; else frames that cannot be painted in time pass unpainted. */
	keepsAll: boolean;
	limits: HeartbeatLimits;
	observer: EngineObserver;
	nowUs: () => number;
	/** Calls `work` again and again until what it gives is called. */
	every: (us: number, work: () => void) => () => void;
	/** Calls `work` once, unless what it gives is called before. */
	after: (us: number, work: () => void) => () => void;
}

/** Twice within the shortest frame time there is, so that a stale engine is seen in time. */
const CHECK_EVERY_US = 10_000;
/** Frames that may wait for a consumer who is slow; live, the oldest goes. */
const WAITING_MAX = 8;
/** An engine that dies this often without a painting will not paint that frame; live, its model will not paint at all. */
const DEATHS_MAX = 3;

/** A frame for the consumer, and whom to tell that it was taken. */
interface Waiting {
	frame: StyledFrame;
	from: EngineHandle | undefined;
}

/** An engine that takes over from one that still paints, once it is ready. */
interface Successor {
	engine: EngineHandle;
	/** Undefined: as the first one. */
	painted: Size | undefined;
	/** Frames that it has asked for meanwhile. */
	pulls: number;
	isReady: boolean;
}

/**
 * The engine as the sidecar sees it: one that is always there. It runs elsewhere, and is started again when it dies
 * or hangs, with the parameters in force. Live, the frames that it leaves unanswered pass as `unpainted`, each as
 * soon as that is known; where every frame is to be painted, the next engine gets them again.
 */
export class SupervisedEngine implements Engine {
	/** Resolves when the first engine can paint. Errors: ERR_MODEL, ERR_PROVIDER, ERR_ENGINE, ERR_MEMORY. */
	readonly ready: Promise<void>;
	readonly #settings: SupervisedEngineSettings;
	readonly #stopChecking: () => void;
	#engine: EngineHandle | undefined;
	/** As `resize` asked for it; undefined: as the first one. */
	#painted: Size | undefined;
	/** The size of a successor that was lost, perhaps with the process that they shared: the next engine's. */
	#unreached: Size | undefined;
	#isFallback = false;
	readonly #batchLimit = new BatchLimit();
	#successor: Successor | undefined;
	#state: EngineState = 'starting';
	#provider: string | undefined;
	#device: Device | undefined;
	#int8Graphs: readonly GraphRole[] | undefined;
	#readyUs: number | undefined;
	/** One was ready once, of whichever model. */
	#hasWorked = false;
	#restarts = 0;
	#deaths = 0;
	#cancelRestart = () => {};
	#beat: Heartbeat;

	/** Asked for by the engine and not yet sent. */
	#pulls = 0;
	/** In the engine, oldest first; their slots are still taken. */
	#inFlight: Frame[] = [];
	/** Where the next engine goes on, if it paints as `painted` says; undefined where nothing was painted last. */
	#reached: { line: LineState; painted: Size | undefined } | undefined;
	/** Sent to this engine and not yet answered, though they may have passed unpainted meanwhile. */
	#owed = 0;
	/** Taken from the source while the engine wanted none. */
	#held: Frame[] = [];
	#waiting: Waiting[] = [];
	/** Of the last frame given to the consumer. */
	#last = { sequence: -1, epoch: 0 };
	#sourceEnd: 'open' | 'ended' | { error: unknown } = 'open';
	/** This engine knows that there are no more frames. */
	#isEndTold = false;
	#failure: { error: unknown } | undefined;
	#isClosed = false;
	#wakes: (() => void)[] = [];
	#settleReady!: { resolve: () => void; reject: (error: unknown) => void };

	constructor(settings: SupervisedEngineSettings) {
		this.#settings = settings;
		this.#beat = heartbeatAt(settings.nowUs());
		this.ready = new Promise((resolve, reject) => (this.#settleReady = { resolve, reject }));
		this.ready.catch(() => {}); // `paint` throws it too
		this.#stopChecking = settings.every(CHECK_EVERY_US, () => this.#check());
		this.#start();
	}

	get state(): EngineState {
		return this.#state;
	}

	get provider(): string | undefined {
		return this.#provider;
	}

	/** What the provider runs on; undefined until that is chosen, and where no driver names it. */
	get device(): Device | undefined {
		return this.#device;
	}

	/** Graphs that run in int8; undefined until that is chosen. */
	get int8Graphs(): readonly GraphRole[] | undefined {
		return this.#int8Graphs;
	}

	/** Of the process that paints; undefined while there is none. */
	get pid(): number | undefined {
		return this.#engine?.pid;
	}

	/** The chosen model could not be kept alive, and another one paints. */
	get isFallback(): boolean {
		return this.#isFallback;
	}

	/** Frames of a batch, since memory ran out; Infinity where it did not. */
	get batchMax(): number {
		return this.#batchLimit.most;
	}

	/** What was given up when memory ran out, for people; undefined where it did not. */
	get memoryRelief(): string | undefined {
		return this.#batchLimit.relief;
	}

	/** As `resize` asked for it, once that is painted; undefined: as the first one. */
	get painted(): Size | undefined {
		return this.#painted;
	}

	get restarts(): number {
		return this.#restarts;
	}

	/**
	 * Frames are painted at this size as soon as there is an engine for it; until then, and where there is none, as before.
	 * Nothing is lost, and the picture stands still no longer than the frames on their way take.
	 */
	resize(painted: Size): void {
		this.#dropSuccessor();
		this.#unreached = undefined;
		if (this.#state !== 'painting') this.#painted = painted;
		else this.#successor = { engine: this.#launch(painted), painted, pulls: 0, isReady: false };
	}

	async *paint(frames: AsyncIterable<Frame>): AsyncGenerator<StyledFrame, void, undefined> {
		void this.#pump(frames[Symbol.asyncIterator]());
		for (;;) {
			const next = this.#waiting.shift();
			if (next) {
				next.from?.taken();
				yield next.frame;
			} else if (this.#failure) {
				throw this.#failure.error;
			} else if (this.#sourceEnd !== 'open' && this.#inFlight.length + this.#held.length === 0) {
				if (this.#sourceEnd !== 'ended') throw this.#sourceEnd.error;
				return;
			} else {
				await this.#change();
			}
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isClosed = true;
		this.#stopChecking();
		this.#cancelRestart();
		this.#wake();
		this.#dropSuccessor();
		await this.#engine?.stop();
	}

	/** From the source to the engine, or past it. Takes no frame before somebody wants it: the ring drops, not we. */
	async #pump(frames: AsyncIterator<Frame>): Promise<void> {
		const { keepsAll } = this.#settings;
		const wants = () => (this.#state === 'painting' ? this.#pulls > this.#held.length : !keepsAll);
		try {
			for (;;) {
				while (!wants() && !this.#isClosed) await this.#change();
				if (this.#isClosed) break;
				const result = await frames.next();
				if (result.done) break;
				this.#held.push(result.value);
				this.#forward();
			}
			this.#sourceEnd = 'ended';
		} catch (error) {
			this.#sourceEnd = { error };
		} finally {
			this.#forward();
			this.#wake();
			await frames.return?.();
		}
	}

	/** Sends what is held to the engine, as far as it wants it, or past an engine that does not paint. */
	#forward(): void {
		const { ring, parametersNow, keepsAll } = this.#settings;
		if (this.#failure) return;
		if (this.#state === 'painting') {
			while (this.#pulls > 0 && this.#held.length > 0 && !this.#successor?.isReady) {
				const frame = this.#held.shift()!;
				this.#pulls--;
				this.#owed++;
				this.#inFlight.push(frame);
				const parameters = this.#batchLimit.of(parametersNow(frame));
				this.#engine!.send(frame, pixelsOf(frame, ring.bytes(frame.slot)), parameters);
			}
			if (this.#sourceEnd !== 'open' && this.#held.length === 0 && !this.#isEndTold) {
				this.#isEndTold = true;
				this.#engine!.end();
			}
			this.#updateBeat();
		} else if (!keepsAll) {
			this.#passUnpainted(this.#held);
			this.#held = [];
		}
	}

	#start(): void {
		this.#pulls = 0;
		this.#owed = 0;
		this.#isEndTold = false;
		this.#readyUs = undefined;
		this.#beat = heartbeatAt(this.#settings.nowUs());
		this.#engine = this.#launch(this.#painted);
		log.debug({ pid: this.#engine.pid }, 'engine started');
	}

	/** What an engine says is heard by what it is now; what a dead one still had to say, by nobody. */
	#launch(painted: Size | undefined): EngineHandle {
		const { start, parametersNow } = this.#settings;
		const isCurrent = () => this.#engine === engine && !this.#isClosed;
		const asSuccessor = () => (this.#successor?.engine === engine && !this.#isClosed ? this.#successor : undefined);
		const engine: EngineHandle = start(
			{
				ready: ({ provider, device, refused, int8Graphs }) => {
					const successor = asSuccessor();
					if (successor) {
						successor.isReady = true;
						this.#handOver();
					}
					if (!isCurrent() || successor) return;
					for (const { provider: tried, reason } of refused) log.debug({ provider: tried, reason }, 'provider refused');
					this.#int8Graphs = int8Graphs;
					this.#device = device;
					this.#onReady(provider);
				},
				pull: () => {
					const successor = asSuccessor();
					if (successor) successor.pulls++;
					if (!isCurrent()) return;
					this.#pulls++;
					this.#forward();
					this.#wake();
				},
				answer: (answer, pictures, timings) => {
					if (isCurrent()) this.#onAnswer(answer, pictures, timings);
				},
				dropped: (sequence) => {
					if (isCurrent()) this.#onDropped(sequence);
				},
				leaving: () => {
					if (isCurrent()) this.#replace();
				},
				gone: (error) => {
					if (asSuccessor()) {
						this.#successor = undefined;
						this.#unreached = painted;
						log.warn({ code: error.code, reason: error.message, painted }, 'no engine to take over');
						this.#forward();
					}
					if (isCurrent()) this.#onGone(error);
				},
			},
			{
				parameters: this.#batchLimit.of(parametersNow()),
				provider: this.#provider,
				int8Graphs: this.#int8Graphs,
				painted,
				isFallback: this.#isFallback,
			},
		);
		return engine;
	}

	/** The successor gets no frame before the one that paints has given all of its own: frames never change order. */
	#handOver(): void {
		const next = this.#successor;
		if (!next?.isReady || this.#state !== 'painting') return;
		if (this.#owed > 0) {
			// Where whole batches are waited for, the last one may be short of frames that it will never get.
			if (this.#settings.keepsAll && !this.#isEndTold) {
				this.#isEndTold = true;
				this.#engine!.end();
			}
			return;
		}
		const before = this.#engine;
		this.#successor = undefined;
		this.#engine = next.engine;
		this.#painted = next.painted;
		this.#pulls = next.pulls;
		this.#isEndTold = false;
		this.#readyUs = this.#settings.nowUs();
		this.#beat = heartbeatAt(this.#readyUs);
		void before?.stop();
		this.#forward();
		this.#wake();
	}

	/** Another engine takes over as soon as it is ready; until then this one goes on. */
	#replace(): void {
		if (this.#successor || this.#state !== 'painting') return;
		const painted = this.#painted;
		this.#successor = { engine: this.#launch(painted), painted, pulls: 0, isReady: false };
	}

	#dropSuccessor(): void {
		const successor = this.#successor;
		this.#successor = undefined;
		void successor?.engine.stop();
	}

	#onReady(provider: string): void {
		this.#provider = provider;
		this.#hasWorked = true;
		this.#readyUs = this.#settings.nowUs();
		this.#beat = heartbeatAt(this.#readyUs);
		if (this.#restarts > 0) log.info({ pid: this.#engine?.pid }, 'engine paints again');
		this.#resume();
		this.#state = 'painting';
		this.#settleReady.resolve();
		this.#forward();
		this.#wake();
	}

	/** As one that takes over elsewhere does. One that died of it, perhaps, is followed by one that begins anew. */
	#resume(): void {
		const reached = this.#reached;
		if (reached && reached.painted === this.#painted && this.#deaths < 2) this.#engine?.resume?.(reached.line);
	}

	#reach({ kind, epoch, isReused }: Answer, pictures: { source: Picture; picture: Picture } | undefined): void {
		// What comes after the style `passthrough` does not follow from what was painted before it.
		if (kind === 'source') this.#reached = undefined;
		if (kind !== 'painting' || isReused || !pictures) return;
		const line = { epoch, source: pictures.source, painting: pictures.picture, prompts: [] };
		this.#reached = { line, painted: this.#painted };
	}

	#onAnswer(answer: Answer, pictures: { source: Picture; picture: Picture } | undefined, timings: Timings): void {
		const { observer, nowUs } = this.#settings;
		for (const [name, ms] of timings.stages) observer.stage(name, ms);
		for (const times of timings.batches) observer.batch(times);
		this.#owed--;
		this.#beat = answered(this.#beat, nowUs());
		if (answer.kind === 'painting') this.#deaths = 0;
		this.#reach(answer, pictures);
		const frame = this.#inFlight[0]?.sequence === answer.sequence ? this.#inFlight.shift() : undefined;
		if (frame) {
			const own = pictures ?? this.#copyOf(frame);
			const mask = pictures && frame.mask;
			const original = mask && this.#settings.keepsSource && { original: this.#copyOf(frame).picture };
			this.#settings.ring.release(frame);
			this.#give({ ...answer, ...own, ...(mask && { region: { mask, ...original } }) }, this.#engine);
		} else {
			// It passed unpainted, and the consumer is past it.
			this.#engine?.taken();
		}
		if (this.#state === 'stale') {
			log.info('engine paints again');
			this.#state = 'painting';
			this.#forward();
		}
		this.#handOver();
		this.#updateBeat();
		this.#wake();
	}

	/** Nothing comes of a frame, and nothing is shown for it: the next one is newer. */
	#onDropped(sequence: number): void {
		this.#owed--;
		const index = this.#inFlight.findIndex((frame) => frame.sequence === sequence);
		if (index >= 0) for (const frame of this.#inFlight.splice(index, 1)) this.#settings.ring.release(frame);
		if (this.#state === 'stale' && this.#owed === 0) {
			// No answer will come that says so.
			this.#state = 'painting';
			this.#forward();
		}
		this.#handOver();
		this.#updateBeat();
		this.#wake();
	}

	#onGone(error: SidecarError): void {
		const { parametersNow, after } = this.#settings;
		const wasReady = this.#readyUs !== undefined;
		this.#engine = undefined;
		this.#painted = this.#successor?.painted ?? this.#unreached ?? this.#painted;
		this.#unreached = undefined;
		this.#dropSuccessor();
		// Less of the same is no death: it may go well, and there is an end to it.
		const isLessened = error.code === 'ERR_MEMORY' && wasReady && this.#batchLimit.lessen(parametersNow());
		if (isLessened) log.warn({ relief: this.memoryRelief }, 'out of memory: less is painted at a time');
		else if (!this.#mayGoOn(error, wasReady)) return this.#fail(error);
		this.#state = 'restarting';
		this.#held.unshift(...this.#inFlight);
		this.#inFlight = [];
		this.#forward();
		const delayUs = isLessened ? 0 : restartDelayUs(this.#deaths);
		log.warn({ code: error.code, reason: error.message, restartInMs: delayUs / 1000 }, 'engine lost');
		this.#cancelRestart = after(delayUs, () => {
			this.#restarts++;
			this.#start();
		});
		this.#wake();
	}

	/** Counts the death; whether another engine is to be started, with the other model where this one is given up. */
	#mayGoOn(error: SidecarError, wasReady: boolean): boolean {
		const { keepsAll, hasFallback, nowUs } = this.#settings;
		const { code, message: reason } = error;
		this.#deaths = deathsInARow(this.#deaths, this.#readyUs, nowUs());
		const mayPaint = wasReady || code === 'ERR_ENGINE' || code === 'ERR_MEMORY';
		// Where a frame by itself has no room, or a model that was never open, there will be none later.
		const hasNoRoom = code === 'ERR_MEMORY' && (wasReady || !this.#hasWorked);
		if (hasFallback && !this.#isFallback && mayPaint && (hasNoRoom || this.#deaths >= DEATHS_MAX)) {
			log.error({ code, reason, deaths: this.#deaths }, 'another model takes over');
			this.#isFallback = true;
			this.#reached = undefined;
			this.#painted = undefined;
			this.#provider = undefined;
			this.#int8Graphs = undefined;
			this.#batchLimit.lift();
			this.#deaths = 0;
			return true;
		}
		// What never worked is wrong; what worked before is worth another try, with the other model too.
		if (!this.#hasWorked && code !== 'ERR_ENGINE') return false;
		return !((keepsAll || !this.#hasWorked) && this.#deaths >= DEATHS_MAX);
	}

	#check(): void {
		const { limits, keepsAll, nowUs } = this.#settings;
		const { beat, pulse } = check(this.#beat, nowUs(), limits);
		this.#beat = beat;
		if (this.#readyUs === undefined || pulse === 'beating') return;
		if (pulse === 'stuck') {
			const engine = this.#engine;
			this.#readyUs = undefined; // once is enough
			void engine?.kill().then(() => {
				if (this.#engine !== engine || this.#isClosed) return;
				this.#onGone(new SidecarError('ERR_ENGINE', `The engine had frames and gave none; its process was ended.`));
			});
		} else if (this.#state === 'painting' && !keepsAll) {
			log.warn({ owed: this.#owed }, 'engine gives no frames');
			this.#state = 'stale';
			this.#passUnpainted(this.#inFlight);
			this.#inFlight = [];
			this.#forward();
			this.#wake();
		}
	}

	/** Live, an engine owes whatever it has. Where batches wait, for their frames or the next batch, it may rightly wait for more. */
	#updateBeat(): void {
		const { keepsAll, batchSize, movesBuffer = false, nowUs } = this.#settings;
		const waitsFor = (movesBuffer ? 2 : 1) * Math.min(batchSize, this.#batchLimit.most);
		const least = keepsAll && this.#sourceEnd === 'open' ? waitsFor : 1;
		this.#beat = owing(this.#beat, this.#owed >= least, nowUs());
	}

	#passUnpainted(frames: readonly Frame[]): void {
		for (const frame of frames) {
			const { sequence, capturedUs, timestampUs, durationUs } = frame;
			const times = { sequence, capturedUs, timestampUs, durationUs };
			this.#give({ ...times, epoch: this.#last.epoch, kind: 'unpainted', ...this.#copyOf(frame) }, undefined);
			this.#settings.ring.release(frame);
		}
	}

	/** The frame's own picture, in memory of its own. */
	#copyOf({ slot, layout }: Frame): { source: Picture; picture: Picture } {
		const data = this.#settings.ring.bytes(slot).slice(0, pictureByteLength(layout));
		const picture = { ...layout, data };
		return { source: picture, picture };
	}

	#give(frame: StyledFrame, from: EngineHandle | undefined): void {
		this.#last = { sequence: frame.sequence, epoch: Math.max(frame.epoch, this.#last.epoch) };
		this.#waiting.push({ frame, from });
		if (!this.#settings.keepsAll && this.#waiting.length > WAITING_MAX) this.#waiting.shift()!.from?.taken();
		this.#wake();
	}

	#fail(error: unknown): void {
		this.#failure ??= { error };
		this.#settleReady.reject(error);
		this.#wake();
	}

	/** Until something happened. */
	#change(): Promise<void> {
		return new Promise((resolve) => this.#wakes.push(resolve));
	}

	#wake(): void {
		const wakes = this.#wakes;
		this.#wakes = [];
		for (const wake of wakes) wake();
	}
}

const pixelsOf = ({ layout }: Frame, bytes: Uint8Array): Uint8Array => bytes.subarray(0, pictureByteLength(layout));
