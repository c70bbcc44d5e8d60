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

	/** As `read`; false where it ends before, also where it was closed under the reader. */
	async fills(target: Uint8Array): Promise<boolean> {
		try {
			return (await this.read(target)) === target.length;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE') return false;
			throw error;
		}
	}

	/** A line without its end; undefined where there is none so short. */
	async line(bytesMax: number): Promise<string | undefined> {
		const byte = new Uint8Array(1);
		let line = '';
		while (line.length < bytesMax && (await this.fills(byte))) {
			if (byte[0] === 0x0a) return line;
			line += String.fromCharCode(byte[0]!);
		}
		return undefined;
	}
}
