/** A clock that a test moves by hand; what is due by then is done. */
export class ManualClock {
	#nowUs = 0;
	#due: { atUs: number; work: () => void }[] = [];

	readonly nowUs = (): number => this.#nowUs;

	readonly after = (us: number, work: () => void): (() => void) => {
		const entry = { atUs: this.#nowUs + us, work };
		this.#due.push(entry);
		return () => void (this.#due = this.#due.filter((other) => other !== entry));
	};

	advance(us: number): void {
		const endUs = this.#nowUs + us;
		for (;;) {
			const [next] = this.#due.sort((a, b) => a.atUs - b.atUs);
			if (!next || next.atUs > endUs) break;
			this.#due.shift();
			this.#nowUs = Math.max(this.#nowUs, next.atUs);
			next.work();
		}
		this.#nowUs = endUs;
	}
}
