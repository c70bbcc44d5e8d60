/** What the feedback of OSC and that of MIDI have in common. */

export interface Timing {
	/** Microseconds, monotonic. */
	nowUs: () => number;
	/** Calls back after that many microseconds, unless what it gives is called before. */
	after: (us: number, work: () => void) => () => void;
}

/** Does its work soon after it is asked to, and at most once in `everyUs`: what is asked until then is done together. */
export class Paced implements Disposable {
	readonly #work: () => void;
	readonly #everyUs: number;
	readonly #timing: Timing;
	#doneUs = -Infinity;
	#cancel: (() => void) | undefined;

	constructor(work: () => void, everyUs: number, timing: Timing) {
		this.#work = work;
		this.#everyUs = everyUs;
		this.#timing = timing;
	}

	ask(): void {
		if (this.#cancel) return;
		const { after, nowUs } = this.#timing;
		this.#cancel = after(Math.max(0, this.#doneUs + this.#everyUs - nowUs()), () => {
			this.#cancel = undefined;
			this.#doneUs = nowUs();
			this.#work();
		});
	}

	[Symbol.dispose](): void {
		this.#cancel?.();
		this.#cancel = () => {}; // nothing is done after this
	}
}

/** What is in force and was not told. What is in force no more is forgotten. */
export const untold = <Value>(
	told: Map<string, Value>,
	now: ReadonlyMap<string, Value>,
	isSame: (a: Value, b: Value) => boolean,
): [string, Value][] => {
	for (const key of told.keys()) if (!now.has(key)) told.delete(key);
	return [...now].filter(([key, value]) => {
		const known = told.get(key);
		return known === undefined || !isSame(known, value);
	});
};
