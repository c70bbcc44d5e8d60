import type { Frame } from '../frame/frame.ts';
import type { FrameBatch } from './batch.ts';
import type { ParametersNow } from './engine.ts';
import { deadlineIn, pull } from './pull.ts';

/**
 * Collects B frames, or as many as came within the deadline after the first: a source that stalls does
 * not hold back frames that are here. Reads the parameters once a batch.
 */
export class Batcher {
	readonly #parametersNow: ParametersNow;
	readonly #deadlineMs: number;
	#nextIndex = 0;

	/** A deadline of Infinity always waits for B frames (or the end). */
	constructor({ parametersNow, deadlineMs }: { parametersNow: ParametersNow; deadlineMs: number }) {
		this.#parametersNow = parametersNow;
		this.#deadlineMs = deadlineMs;
	}

	async *batches(frames: AsyncIterable<Frame>): AsyncGenerator<FrameBatch, void, undefined> {
		const iterator = frames[Symbol.asyncIterator]();
		// Asked for, but not before it is wanted: a frame that waits here grows old. One that missed the deadline is
		// the first of the next batch.
		let next: Promise<IteratorResult<Frame>> | undefined;
		try {
			for (;;) {
				const first = await (next ?? iterator.next());
				next = undefined;
				if (first.done) return;
				const batch = [first.value];
				const { batchSize } = this.#parametersNow().tuning;
				const deadline = deadlineIn(this.#deadlineMs);
				let ended = false;
				while (batch.length < batchSize && !ended) {
					next ??= pull(iterator);
					const result = await Promise.race([next, deadline.passed]);
					if (result === 'deadline') break;
					next = undefined;
					if (result.done) ended = true;
					else batch.push(result.value);
				}
				deadline.clear();
				yield { index: this.#nextIndex++, frames: batch, parameters: this.#parametersNow() };
				if (ended) return;
			}
		} finally {
			await iterator.return?.();
		}
	}
}
