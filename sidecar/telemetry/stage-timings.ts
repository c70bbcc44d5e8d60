/** Buckets per doubling: a bucket is 1.09 % wide, so a percentile is at most 0.55 % off. */
const PER_OCTAVE = 64;
const LOWEST_MS = 0.001;
const OCTAVES = 32; // 1 us to 71 minutes

/**
 * Durations in logarithmic buckets: 16 KiB whether it has seen a minute or a month, and no duration is
 * forgotten. Percentiles are nearest-rank (the smallest duration that p % of all do not exceed).
 */
export class DurationHistogram {
	#counts = new Float64Array(OCTAVES * PER_OCTAVE);
	#count = 0;
	#minMs = Infinity;
	#maxMs = 0;

	get count(): number {
		return this.#count;
	}

	get maxMs(): number {
		return this.#maxMs;
	}

	record(ms: number): void {
		if (!Number.isFinite(ms)) return;
		const duration = Math.max(ms, 0);
		const bucket = Math.floor(Math.log2(Math.max(duration, LOWEST_MS) / LOWEST_MS) * PER_OCTAVE);
		this.#counts[Math.min(bucket, this.#counts.length - 1)]!++;
		this.#count++;
		this.#minMs = Math.min(this.#minMs, duration);
		this.#maxMs = Math.max(this.#maxMs, duration);
	}

	/** `p` in 0..100; 0 where nothing was recorded. */
	percentile(p: number): number {
		if (this.#count === 0) return 0;
		const rank = Math.max(1, Math.ceil((p / 100) * this.#count));
		let seen = 0;
		for (let bucket = 0; bucket < this.#counts.length; bucket++) {
			seen += this.#counts[bucket]!;
			if (seen < rank) continue;
			const middleMs = LOWEST_MS * 2 ** ((bucket + 0.5) / PER_OCTAVE);
			return Math.min(Math.max(middleMs, this.#minMs), this.#maxMs);
		}
		return this.#maxMs;
	}
}

/** How long each stage of the line takes. */
export class StageTimings {
	#stages = new Map<string, DurationHistogram>();

	record(stage: string, ms: number): void {
		let histogram = this.#stages.get(stage);
		if (!histogram) this.#stages.set(stage, (histogram = new DurationHistogram()));
		histogram.record(ms);
	}

	/** By stage, in the order in which they were first seen. */
	entries(): IterableIterator<[string, DurationHistogram]> {
		return this.#stages.entries();
	}
}
