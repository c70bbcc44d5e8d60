/** More than are in use at a time are for the garbage collector. */
const IDLE_MAX = 8;

/**
 * Memory that is used again, as it is: a new buffer for each picture keeps the garbage collector busy, and its pages have to be
 * made. Whoever gives one back is the last who had it.
 */
export class BufferPool {
	readonly #idle: Uint8Array[] = [];

	take(bytes: number): Uint8Array {
		const idle = this.#idle.pop();
		return idle?.length === bytes ? idle : new Uint8Array(bytes);
	}

	give(buffer: Uint8Array): void {
		if (this.#idle.length < IDLE_MAX) this.#idle.push(buffer);
	}
}
