const SLICE_US = 500_000;
const SLICES = 6;

/** How much there was a second, over the last three. */
export class RateMeter {
	readonly #nowUs: () => number;
	readonly #startUs: number;
	#slices: { index: number; amount: number }[] = [];

	constructor(nowUs: () => number) {
		this.#nowUs = nowUs;
		this.#startUs = nowUs();
	}

	/** Whether it has measured for as long as it looks back. */
	get isSettled(): boolean {
		return this.#nowUs() - this.#startUs > SLICES * SLICE_US;
	}

	get perSecond(): number {
		const first = this.#index - SLICES + 1;
		const seen = this.#slices.filter(({ index }) => index >= first);
		const lookedBackUs = Math.min(SLICES * SLICE_US, Math.max(SLICE_US, this.#nowUs() - this.#startUs));
		return (seen.reduce((sum, { amount }) => sum + amount, 0) * 1e6) / lookedBackUs;
	}

	add(amount: number): void {
		const index = this.#index;
		const last = this.#slices.at(-1);
		if (last?.index === index) last.amount += amount;
		else this.#slices = [...this.#slices, { index, amount }].slice(-SLICES);
	}

	get #index(): number {
		return Math.floor(this.#nowUs() / SLICE_US);
	}
}
