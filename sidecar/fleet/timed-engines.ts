import type { EngineHandle, EngineListener, Engines, EngineSettings } from '../engine/engine-process.ts';

/** How long the last few hundred frames took, in ms. */
export class RecentTimes {
	static readonly #KEPT = 256;
	readonly #ms: number[] = [];
	#count = 0;

	add(ms: number): void {
		this.#ms[this.#count++ % RecentTimes.#KEPT] = ms;
	}

	/** Undefined before there was one. */
	get percentiles(): { p50: number; p95: number } | undefined {
		const sorted = [...this.#ms].sort((a, b) => a - b);
		const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!;
		return sorted.length === 0 ? undefined : { p50: at(0.5), p95: at(0.95) };
	}
}

/** Of one frame, in ms. */
export interface FrameTimes {
	/** From when it came to when its answer is there. */
	frameMs: number;
	/** Of that, what it spent in neither stream of its batch: it waited, mostly for others. */
	queueMs: number;
}

/** The same engines, and `took` hears how long frames are in them. */
export const timedEngines = (engines: Engines, nowUs: () => number, took: (times: FrameTimes) => void): Engines => ({
	start: (settings: EngineSettings, listener: EngineListener): EngineHandle => {
		/** By sequence, in their order. */
		const sentUs = new Map<number, number>();
		const handle = engines.start(settings, {
			...heardBy(listener),
			answer: (answer, pictures, timings) => {
				const cameUs = sentUs.get(answer.sequence);
				for (const sequence of sentUs.keys()) {
					if (sequence > answer.sequence) break;
					sentUs.delete(sequence);
				}
				const batch = timings.batches.at(-1);
				if (cameUs !== undefined && batch) {
					const frameMs = (nowUs() - cameUs) / 1000;
					took({ frameMs, queueMs: Math.max(frameMs - batch.sideMs - batch.mainMs, 0) });
				}
				listener.answer(answer, pictures, timings);
			},
		});
		return {
			get pid() {
				return handle.pid;
			},
			send: (frame, data, parameters) => {
				sentUs.set(frame.sequence, nowUs());
				handle.send(frame, data, parameters);
			},
			resume: (state) => handle.resume?.(state),
			end: () => handle.end(),
			taken: () => handle.taken(),
			stop: () => handle.stop(),
			kill: () => handle.kill(),
		};
	},
});

/** A listener may be an instance of a class, whose methods a spread would lose. */
const heardBy = (listener: EngineListener): Omit<EngineListener, 'answer'> => ({
	ready: (facts) => listener.ready(facts),
	pull: () => listener.pull(),
	dropped: (sequence) => listener.dropped?.(sequence),
	leaving: () => listener.leaving?.(),
	prompts: (prompts) => listener.prompts?.(prompts),
	gone: (error) => listener.gone(error),
});
