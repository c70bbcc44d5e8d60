import type { Tuning } from '../config/schema/tuning.ts';
import { govern, governorAt, reliefsOf, type GovernorState, type Relief } from '../engine/governor.ts';
import type { Frame, Size } from '../frame/frame.ts';
import type { Parameters } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';

const LOOK_EVERY_MS = 500;
/** Looks over which rates are taken: at 12 frames/s one frame more or less is 4 % of two seconds. */
const LOOKS = 4;

/** So far. */
interface Counts {
	atUs: number;
	arrived: number;
	painted: number;
	sideMs: number;
	mainMs: number;
}

export interface GovernedSettings {
	tuning: Tuning;
	/** What is painted at a share of the pixels; undefined where the size is not ours to choose. */
	sizeOf: ((pixels: number) => Size) | undefined;
	/** Frames that came so far, whatever became of them. */
	arrivedCount: () => number;
	/** What a dead engine does not paint says nothing of the machine. */
	isPainting: () => boolean;
	resize: (painted: Size) => void;
	nowUs: () => number;
	/** Calls `work` again and again until what it gives is called. */
	every: (ms: number, work: () => void) => () => void;
}

/** Carries out what the governor decides for one channel: `engine/governor.ts`. */
export class Governing implements Disposable {
	readonly #settings: GovernedSettings;
	readonly #reliefs: readonly Relief[];
	readonly #stop: () => void;
	#state: GovernorState;
	#painted = 0;
	#busyMs = { side: 0, main: 0 };
	#looks: Counts[] = [];
	#thinned = 0;
	#relieved: { given: Parameters; taken: Parameters } | undefined;

	constructor(settings: GovernedSettings) {
		const { tuning, sizeOf, nowUs, every } = settings;
		this.#settings = settings;
		this.#reliefs = reliefsOf(tuning, { canResize: sizeOf !== undefined });
		this.#state = governorAt(nowUs());
		this.#stop = every(LOOK_EVERY_MS, () => this.#look());
	}

	/** What is given up now; 0 of so many steps where nothing is. */
	get view(): { level: number; levels: number; relief: string } {
		const { level } = this.#state;
		return { level, levels: this.#reliefs.length - 1, relief: this.#reliefs[level]!.name };
	}

	/** Frames that were left out so that the others are painted in time. */
	get thinnedCount(): number {
		return this.#thinned;
	}

	/** The same object for the same parameters, as long as nothing else is given up. */
	relieve(given: Parameters): Parameters {
		const { tuning } = this.#reliefs[this.#state.level]!;
		if (Object.keys(tuning).length === 0) return given;
		if (this.#relieved?.given !== given)
			this.#relieved = {
				given,
				taken: Object.freeze({ ...given, tuning: Object.freeze({ ...given.tuning, ...tuning }) }),
			};
		return this.#relieved.taken;
	}

	/** The frames that are to be painted; the others are released. */
	async *thin(frames: AsyncIterable<Frame>, release: (frame: Frame) => void): AsyncGenerator<Frame, void, undefined> {
		let left = 0;
		for await (const frame of frames) {
			if (left > 0) {
				left--;
				this.#thinned++;
				release(frame);
				continue;
			}
			left = this.#reliefs[this.#state.level]!.oneIn - 1;
			yield frame;
		}
	}

	framePainted(): void {
		this.#painted++;
	}

	batch({ sideMs, mainMs }: { sideMs?: number; mainMs: number }): void {
		this.#busyMs.side += sideMs ?? 0;
		this.#busyMs.main += mainMs;
	}

	[Symbol.dispose](): void {
		this.#stop();
	}

	#look(): void {
		const { arrivedCount, isPainting, nowUs } = this.#settings;
		if (!isPainting()) {
			this.#looks = [];
			this.#state = { ...this.#state, missingSinceUs: undefined, roomSinceUs: undefined };
			return;
		}
		const { side: sideMs, main: mainMs } = this.#busyMs;
		const now: Counts = { atUs: nowUs(), arrived: arrivedCount(), painted: this.#painted, sideMs, mainMs };
		this.#looks.push(now);
		if (this.#looks.length <= LOOKS) return;
		const before = this.#looks.shift()!;
		const seconds = (now.atUs - before.atUs) / 1e6;
		const look = {
			nowUs: now.atUs,
			arriving: (now.arrived - before.arrived) / seconds,
			painted: (now.painted - before.painted) / seconds,
			load: Math.max(now.sideMs - before.sideMs, now.mainMs - before.mainMs) / 1000 / seconds,
		};
		const { level } = this.#state;
		this.#state = govern(this.#state, look, this.#reliefs);
		if (this.#state.level !== level) this.#step(this.#reliefs[level]!, look);
	}

	#step(before: Relief, { arriving, painted, load }: { arriving: number; painted: number; load: number }): void {
		const relief = this.#reliefs[this.#state.level]!;
		this.#relieved = undefined;
		if (relief.pixels !== before.pixels) this.#settings.resize(this.#settings.sizeOf!(relief.pixels));
		const { level: step, levels: steps } = this.view;
		const facts = {
			relief: relief.name,
			step,
			steps,
			arriving: Math.round(arriving),
			painted: Math.round(painted),
			load: Number(load.toFixed(2)),
		};
		if (this.#reliefs.indexOf(before) < this.#state.level)
			log.warn(facts, 'painting does not keep up: something is given up');
		else log.info(facts, 'painting keeps up: something is given back');
	}
}
