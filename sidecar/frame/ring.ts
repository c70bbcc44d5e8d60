import assert from 'node:assert/strict';
import type { Frame } from './frame.ts';

interface FrameRingSettings {
	slotCount: number;
	slotBytes: number;
	mode: 'newest-wins' | 'wait';
	waitingMax?: number;
}

/**
 * Slots of shared memory between a source and the engine. This is the one place where frames are
 * dropped: with `newest-wins` only the newest `waitingMax` frames wait to be picked up, and a source never
 * waits; with `wait` the source waits for a free slot, and no frame is ever lost.
 *
 * A slot is free, being filled (`acquire`), queued (`offer`), or taken (yielded by `frames`) until
 * `release`.
 */
export class FrameRing {
	readonly mode: 'newest-wins' | 'wait';
	readonly slotBytes: number;
	readonly slotCount: number;
	readonly #waitingMax: number;
	#slots: Uint8Array[] = [];
	#free: number[] = [];
	#queue: Frame[] = [];
	#taken = new Set<number>();
	#dropped = 0;
	#end: 'open' | 'closed' | { error: unknown } = 'open';
	#wakeReader: (() => void) | undefined;
	#wakeWriter: (() => void) | undefined;

	/** `waitingMax` is what the reader takes at a time: a batch. */
	constructor({ slotCount, slotBytes, mode, waitingMax = slotCount }: FrameRingSettings) {
		assert(waitingMax >= 1 && waitingMax <= slotCount, `${waitingMax} of ${slotCount} slots may wait`);
		this.mode = mode;
		this.slotBytes = slotBytes;
		this.slotCount = slotCount;
		this.#waitingMax = waitingMax;
		for (let slot = 0; slot < slotCount; slot++) {
			this.#slots.push(new Uint8Array(new SharedArrayBuffer(slotBytes)));
			this.#free.push(slot);
		}
	}

	/** Frames that were offered and taken back unseen. */
	get droppedCount(): number {
		return this.#dropped;
	}

	/** Frames that wait to be picked up. */
	get waitingCount(): number {
		return this.#queue.length;
	}

	/** Frames that were picked up and not given back. */
	get takenCount(): number {
		return this.#taken.size;
	}

	/** The bytes of a slot, all `slotBytes` of them. */
	bytes(slot: number): Uint8Array {
		const bytes = this.#slots[slot];
		assert(bytes, `slot ${slot} of ${this.slotCount}`);
		return bytes;
	}

	/** A slot for the source to fill; resolves to undefined once the ring is closed or the signal aborts. */
	async acquire(signal: AbortSignal): Promise<number | undefined> {
		while (this.#end === 'open' && !signal.aborted) {
			const slot = this.#free.pop() ?? this.#takeBackOldest();
			if (slot !== undefined) return slot;
			await this.#sleep(signal, (wake) => (this.#wakeWriter = wake));
		}
		return undefined;
	}

	/** Hands a filled slot to the reader; the ring owns it from here. */
	offer(frame: Frame): void {
		if (this.#end !== 'open') return;
		this.#queue.push(frame);
		if (this.mode === 'newest-wins' && this.#queue.length > this.#waitingMax) this.#free.push(this.#takeBackOldest()!);
		this.#wakeReader?.();
	}

	/** Frames in order, each to be given back with `release`; ends when the ring is closed and empty. */
	async *frames(signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
		while (!signal.aborted) {
			const frame = this.#queue.shift();
			if (frame) {
				this.#taken.add(frame.slot);
				yield frame;
			} else if (this.#end === 'closed') {
				return;
			} else if (this.#end !== 'open') {
				throw this.#end.error;
			} else {
				await this.#sleep(signal, (wake) => (this.#wakeReader = wake));
			}
		}
	}

	release(frame: Frame): void {
		assert(this.#taken.delete(frame.slot), `slot ${frame.slot} released twice (frame ${frame.sequence})`);
		this.#free.push(frame.slot);
		this.#wakeWriter?.();
	}

	/** No more frames will be offered; those queued are still given out. */
	close(): void {
		if (this.#end === 'open') this.#end = 'closed';
		this.#wakeReader?.();
		this.#wakeWriter?.();
	}

	/** As `close`, and the reader gets the error after the last queued frame. */
	fail(error: unknown): void {
		if (this.#end === 'open') this.#end = { error };
		this.#wakeReader?.();
		this.#wakeWriter?.();
	}

	#takeBackOldest(): number | undefined {
		if (this.mode === 'wait') return undefined;
		const oldest = this.#queue.shift();
		if (oldest) this.#dropped++;
		return oldest?.slot;
	}

	#sleep(signal: AbortSignal, setWake: (wake: () => void) => void): Promise<void> {
		return new Promise((resolve) => {
			const wake = () => {
				signal.removeEventListener('abort', wake);
				resolve();
			};
			signal.addEventListener('abort', wake, { once: true });
			setWake(wake);
		});
	}
}
