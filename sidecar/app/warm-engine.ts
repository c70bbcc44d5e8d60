import type { EngineHandle, EngineListener, Engines, EngineSettings } from '../engine/engine-process.ts';
import type { SidecarError } from '../errors.ts';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, rgbLayout } from '../frame/frame.ts';
import { log } from '../telemetry/logger.ts';

/** Frames before the clock runs, and what it runs for. */
const WARM_UP_FRAMES = 4;
const MEASURED_FRAMES = 40;
const MEASURED_US = 2_000_000;
const RETRY_MS = 1000;

/**
 * A line without frames: it keeps the model of its process loaded, so that a stream is painted as soon as it comes.
 * Its first engine paints for two seconds, to know how much it can.
 */
export class WarmEngine implements AsyncDisposable {
	/** Painted pixels a second. */
	readonly capacity: number;
	readonly provider: string;
	readonly #engines: Engines;
	readonly #settings: EngineSettings;
	#handle: EngineHandle | undefined;
	#retry: NodeJS.Timeout | undefined;
	#isClosed = false;

	/** Errors: ERR_MODEL, ERR_PROVIDER, ERR_ENGINE. */
	static async open(engines: Engines, settings: EngineSettings): Promise<WarmEngine> {
		const { handle, fps, provider } = await measure(engines, settings);
		const { width, height } = settings.painted;
		const warm = new WarmEngine(engines, settings, { capacity: fps * width * height, provider });
		warm.#keep();
		await handle.stop();
		return warm;
	}

	private constructor(
		engines: Engines,
		settings: EngineSettings,
		{ capacity, provider }: { capacity: number; provider: string },
	) {
		this.#engines = engines;
		this.#settings = settings;
		this.capacity = capacity;
		this.provider = provider;
	}

	/** To be told when lines have come or gone: one process is kept, and the newest that paints. */
	follow(pids: readonly number[]): void {
		if (this.#isClosed || pids.length === 0 || pids.includes(this.#handle?.pid ?? -1)) return;
		const before = this.#handle;
		this.#keep();
		void before?.stop();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isClosed = true;
		clearTimeout(this.#retry);
		await this.#handle?.stop();
	}

	#keep(): void {
		clearTimeout(this.#retry);
		const handle = this.#engines.start(this.#settings, {
			ready: () => {},
			pull: () => {},
			answer: () => {},
			gone: (error) => {
				if (this.#handle !== handle || this.#isClosed) return;
				log.warn({ code: error.code, reason: error.message }, 'warm engine lost');
				this.#handle = undefined;
				this.#retry = setTimeout(() => this.#keep(), RETRY_MS);
			},
		});
		this.#handle = handle;
	}
}

const measure = (
	engines: Engines,
	settings: EngineSettings,
): Promise<{ handle: EngineHandle; fps: number; provider: string }> =>
	new Promise((resolve, reject) => {
		const layout = rgbLayout(settings.painted);
		// Every picture differs from the one before, or it would not be painted.
		const pictures = [0, 1].map((shift) =>
			new Uint8Array(pictureByteLength(layout)).map((_, i) => (i * (7 + 4 * shift) + (i >> 9) * 3) % 256),
		);
		let sent = 0;
		let answered = 0;
		let startUs = 0;
		let provider = '';
		let isOver = false;
		const listener: EngineListener = {
			ready: (facts) => (provider = facts.provider),
			pull: () => {
				if (isOver) return;
				const sequence = sent++;
				const times = { capturedUs: nowUs(), timestampUs: 40_000 * sequence, durationUs: 40_000 };
				handle.send({ sequence, slot: 0, ...times, layout }, pictures[sequence % 2]!, settings.parameters);
			},
			answer: () => {
				handle.taken();
				if (isOver) return;
				answered++;
				if (answered === WARM_UP_FRAMES) startUs = nowUs();
				const tookUs = nowUs() - startUs;
				if (answered <= WARM_UP_FRAMES) return;
				if (answered < WARM_UP_FRAMES + MEASURED_FRAMES && tookUs < MEASURED_US) return;
				isOver = true;
				resolve({ handle, fps: ((answered - WARM_UP_FRAMES) * 1e6) / tookUs, provider });
			},
			gone: (error: SidecarError) => reject(error),
		};
		const handle = engines.start(settings, listener);
	});
