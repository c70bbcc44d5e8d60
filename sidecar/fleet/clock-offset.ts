/**
 * How far another machine's monotonic clock is ahead of ours, from messages that went there and back (as NTP does it, RFC
 * 5905 section 8): of the last few the fastest is believed. Wrong by half of that one's time at most.
 */
export class ClockOffset {
	static readonly #KEPT = 16;
	#samples: { roundTripUs: number; aheadUs: number }[] = [];

	/** `sentUs` and `heardUs` by our clock, `thereUs` by theirs, in between. */
	add({ sentUs, thereUs, heardUs }: { sentUs: number; thereUs: number; heardUs: number }): void {
		const roundTripUs = heardUs - sentUs;
		if (roundTripUs < 0) return;
		this.#samples.push({ roundTripUs, aheadUs: thereUs - (sentUs + roundTripUs / 2) });
		if (this.#samples.length > ClockOffset.#KEPT) this.#samples.shift();
	}

	/** Undefined before there was a message. */
	get aheadUs(): number | undefined {
		return this.#fastest?.aheadUs;
	}

	get roundTripUs(): number | undefined {
		return this.#fastest?.roundTripUs;
	}

	get #fastest(): { roundTripUs: number; aheadUs: number } | undefined {
		return this.#samples.reduce<{ roundTripUs: number; aheadUs: number } | undefined>(
			(best, sample) => (best && best.roundTripUs <= sample.roundTripUs ? best : sample),
			undefined,
		);
	}
}
