import type { StyledFrame } from '../frame/frame.ts';
import type { FrameSink } from './frame-sink.ts';
import { arrive, decide, PACER_START, shown, type PacerState } from './pacer.ts';

/** Painted frames that may wait for their time; more than this and the oldest goes. */
const WAITING_MAX = 8;

interface PacedEgressSettings {
	/** Of the source: how often a sink wants a frame, new or again. */
	repeatEveryUs: number;
	nowUs: () => number;
	/** Waits that long, or until the signal aborts. */
	sleep: (us: number, signal: AbortSignal) => Promise<void>;
	onShown: (frame: StyledFrame, how: 'new' | 'again', nowUs: number) => void;
}

/** One sink, or all of a run. */
type Sinks = Omit<FrameSink, 'name'>;

/**
 * Carries out what the pacer decides: the one place that waits for presentation time. `present` hands a frame
 * over and returns at once; a sink that stalls makes frames go stale here, never in the engine.
 */
export class PacedEgress implements AsyncDisposable {
	readonly #sink: Sinks;
	readonly #settings: PacedEgressSettings;
	readonly #running: Promise<void>;
	#pacer: PacerState = PACER_START;
	#waiting: StyledFrame[] = [];
	#last: StyledFrame | undefined;
	#isEnding = false;
	/** The last frame is not what it would be now. */
	#isOutdated = false;
	#failure: { error: unknown } | undefined;
	#wake = new AbortController();
	#dropped = 0;

	constructor(sink: Sinks, settings: PacedEgressSettings) {
		this.#sink = sink;
		this.#settings = settings;
		this.#running = this.#run().catch((error: unknown) => void (this.#failure = { error }));
	}

	/** Painted frames that were never shown. */
	get droppedCount(): number {
		return this.#dropped;
	}

	async present(frame: StyledFrame): Promise<void> {
		if (this.#failure) throw this.#failure.error;
		this.#pacer = arrive(this.#pacer, frame.timestampUs, this.#settings.nowUs());
		this.#waiting.push(frame);
		if (this.#waiting.length > WAITING_MAX) {
			this.#waiting.shift();
			this.#dropped++;
		}
		this.#wake.abort();
	}

	/** The sinks make something else of a frame from now on: the last one again, at once, whenever the next may come. */
	refresh(): void {
		this.#isOutdated = true;
		this.#wake.abort();
	}

	/** Shows what still waits, each frame at its time, and makes the results whole. */
	async finish(): Promise<void> {
		this.#isEnding = true;
		this.#wake.abort();
		await this.#running;
		if (this.#failure) throw this.#failure.error;
		await this.#sink.finish();
	}

	/** Does not wait for a frame that a sink holds: its own disposal lets go of it. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#waiting = [];
		this.#isEnding = true;
		this.#wake.abort();
		await this.#sink[Symbol.asyncDispose]();
	}

	async #run(): Promise<void> {
		const { repeatEveryUs, nowUs, sleep } = this.#settings;
		while (!this.#isEnding || this.#waiting.length > 0) {
			if (this.#isOutdated) {
				this.#isOutdated = false;
				if (this.#last) await this.#showBetween(this.#last);
			}
			const timestampsUs = this.#waiting.map(({ timestampUs }) => timestampUs);
			const decision = decide(this.#pacer, timestampsUs, nowUs(), repeatEveryUs);
			switch (decision.action) {
				case 'wait':
					this.#wake = new AbortController();
					await sleep(decision.dueUs - nowUs(), this.#wake.signal);
					break;
				case 'drop':
					this.#waiting.shift();
					this.#dropped++;
					break;
				case 'present':
					this.#last = this.#waiting.shift()!;
					await this.#show(this.#last, 'new');
					break;
				case 'repeat': {
					const { timestampUs } = this.#last!;
					this.#last = { ...this.#last!, timestampUs: timestampUs + repeatEveryUs };
					await this.#show(this.#last, 'again');
					break;
				}
			}
		}
	}

	async #show(frame: StyledFrame, how: 'new' | 'again'): Promise<void> {
		const { nowUs, repeatEveryUs, onShown } = this.#settings;
		await this.#sink.present(frame);
		this.#pacer = shown(this.#pacer, how, nowUs(), repeatEveryUs);
		onShown(frame, how, nowUs());
	}

	/** Out of turn: when the next one is due does not change. */
	async #showBetween(frame: StyledFrame): Promise<void> {
		await this.#sink.present(frame);
		this.#settings.onShown(frame, 'again', this.#settings.nowUs());
	}
}
