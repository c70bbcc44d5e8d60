import type { Readable } from 'node:stream';

/**
 * Reads exact lengths from a pipe into memory of the caller. Between reads nothing is taken from the pipe
 * beyond its buffer of 64 KiB, so that the writer waits with us.
 */
export class PipeReader {
	#chunks: AsyncIterator<Uint8Array>;
	#rest: Uint8Array = new Uint8Array();

	constructor(pipe: Readable) {
		this.#chunks = pipe[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
	}

	/** Waits for the next byte; false at the end. */
	async hasMore(): Promise<boolean> {
		while (this.#rest.length === 0) {
			const { done, value } = await this.#chunks.next();
			if (done) return false;
			this.#rest = value;
		}
		return true;
	}

	/** Fills `target`; the number of bytes is smaller only at the end. */
	async read(target: Uint8Array): Promise<number> {
		let filled = 0;
		while (filled < target.length && (await this.hasMore())) {
			const part = this.#rest.subarray(0, target.length - filled);
			target.set(part, filled);
			filled += part.length;
			this.#rest = this.#rest.subarray(part.length);
		}
		return filled;
	}
}
