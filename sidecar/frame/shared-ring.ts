import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ErrorCode, SidecarError } from '../errors.ts';
import { loadNative } from '../native.ts';
import type { Frame } from './frame.ts';

/**
 * Frames between processes: slots of shared memory with one writer and several readers
 * (native/include/frame-ring.h). Newest wins: a reader takes the newest whole frame, the writer never waits,
 * and a frame that was written over while it was read is never given out.
 */

/** A frame that was read, its pixels in the caller's memory. */
export interface RingFrame extends Frame {
	/** Frames published since the one that `next` gave before, and never given by it. */
	missed: number;
}

/** What the addon has for rings; its errors have the names of native/include/frame-ring.h as codes. */
interface RingAddon {
	RingWriter: new (slotCount: number, slotBytes: number) => NativeWriter;
	RingReader: new (pathOrFd: string | number) => NativeReader;
	ringPair(): [number, number];
	passEnd(channel: number, end: number): void;
	takeEnd(channel: number): number;
}

interface NativeWriter {
	listen(path: string): void;
	adopt(fd: number): void;
	write(frame: Omit<Frame, 'slot'>, data: Uint8Array): number;
	readerCount(): number;
	close(): void;
}

interface Geometry {
	slotCount: number;
	slotBytes: number;
	generation: bigint;
}

interface NativeReader {
	open(timeoutMs: number): Promise<Geometry | undefined>;
	next(target: Uint8Array): Promise<RingFrame | undefined>;
	read(slot: number, sequence: number, target: Uint8Array): RingFrame | undefined;
	close(): void;
}

const CODES: Record<string, ErrorCode> = {
	FRAME_RING_PEER_GONE: 'ERR_RING_GONE',
	FRAME_RING_NOBODY_THERE: 'ERR_RING_GONE',
	FRAME_RING_TIMEOUT: 'ERR_RING_GONE',
	FRAME_RING_OTHER_VERSION: 'ERR_RING_VERSION',
	FRAME_RING_BAD_HEADER: 'ERR_RING_HEADER',
	FRAME_RING_NOT_SEALED: 'ERR_RING_HEADER',
};

/** A wrong argument stays the TypeError that it is. */
const asSidecarError = (error: unknown): unknown => {
	if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('FRAME_RING_'))) return error;
	return new SidecarError(CODES[String(error.code)] ?? 'ERR_RING', error.message, { cause: error });
};

const rethrowing = <Result>(work: () => Result): Result => {
	try {
		return work();
	} catch (error) {
		throw asSidecarError(error);
	}
};

const addon = (): RingAddon => loadNative() as unknown as RingAddon;

/**
 * The path of the socket of the ring called `name`, in a folder that this user alone can enter and that is
 * there afterwards. Errors: ERR_RING where somebody else has made the folder.
 */
export const ringSocketPath = (name: string): string => {
	const runtime = process.env['XDG_RUNTIME_DIR'];
	const uid = process.getuid?.();
	const folder = runtime ? join(runtime, 'allaprima') : join(tmpdir(), `allaprima-${uid ?? 'user'}`);
	mkdirSync(folder, { recursive: true, mode: 0o700 });
	const entry = lstatSync(folder);
	if (!entry.isDirectory() || (uid !== undefined && (entry.uid !== uid || (entry.mode & 0o077) !== 0))) {
		throw new SidecarError(
			'ERR_RING',
			`${folder} must be a folder of this user alone (mode 700), but others may write there. Remove it, or set XDG_RUNTIME_DIR.`,
		);
	}
	return join(folder, `${name}.sock`);
};

/**
 * Two connected ends, as file descriptors, for a ring with a child process: one is for the child's `stdio`,
 * the other for `adopt` or `connect` here, which takes it. Close the child's end once the child has been
 * started, for as long as it is open here the child's death is not seen. Errors: ERR_RING.
 */
export const ringPair = (): [number, number] => rethrowing(() => addon().ringPair());

/**
 * Hands an end to a process that runs already and has the other end of `channel`, a `ringPair` of its own. It stays open
 * here, too. Errors: ERR_RING where the process is gone, or takes none.
 */
export const passEnd = (channel: number, end: number): void => rethrowing(() => addon().passEnd(channel, end));

/** What was passed first. Does not wait. Errors: ERR_RING where nothing was. */
export const takeEnd = (channel: number): number => rethrowing(() => addon().takeEnd(channel));

/** The writing side. Its thread sees to readers that come and go; `write` never waits for them. */
export class SharedRingWriter {
	readonly slotCount: number;
	readonly slotBytes: number;
	readonly #native: NativeWriter;

	/**
	 * Takes the memory at once: `slotCount` (4 to 64) slots of `slotBytes`, the largest frame in bytes.
	 * Errors: ERR_RING, TypeError.
	 */
	constructor({ slotCount, slotBytes }: { slotCount: number; slotBytes: number }) {
		this.#native = rethrowing(() => new (addon().RingWriter)(slotCount, slotBytes));
		this.slotCount = slotCount;
		this.slotBytes = slotBytes;
	}

	/**
	 * Lets readers of this user connect at `path` (see `ringSocketPath`); once for each writer. What a dead
	 * process left there is replaced. Errors: ERR_RING.
	 */
	listen(path: string): void {
		rethrowing(() => this.#native.listen(path));
	}

	/** Serves the reader at the other end of a `ringPair`; the writer owns `fd` from here. Errors: ERR_RING. */
	adopt(fd: number): void {
		rethrowing(() => this.#native.adopt(fd));
	}

	/**
	 * Copies a frame in, on the calling thread (0.3 ms for 1280x720 BGRA), wakes the readers and gives the
	 * slot, which holds the frame until `slotCount - 1` more were written. Errors: ERR_RING, TypeError.
	 */
	write(frame: Omit<Frame, 'slot'>, data: Uint8Array): number {
		return rethrowing(() => this.#native.write(frame, data));
	}

	/** Readers that are connected and welcome. */
	get readerCount(): number {
		return this.#native.readerCount();
	}

	/** Tells the readers that there will be no more, and gives the memory back. */
	close(): void {
		this.#native.close();
	}

	[Symbol.dispose](): void {
		this.close();
	}
}

/** The reading side. A native thread of its own waits for frames: neither the event loop nor libuv's pool does. */
export class SharedRingReader {
	readonly slotCount: number;
	/** What a target needs, in bytes, to have room for every frame. */
	readonly slotBytes: number;
	/** Differs from writer to writer: a slot number of one says nothing in the ring of the next. */
	readonly generation: bigint;
	readonly #native: NativeReader;

	private constructor(native: NativeReader, { slotCount, slotBytes, generation }: Geometry) {
		this.#native = native;
		this.slotCount = slotCount;
		this.slotBytes = slotBytes;
		this.generation = generation;
	}

	/**
	 * Connects to the writer that listens at a path, or is at the other end of a `ringPair`; the reader owns
	 * that descriptor. Errors: ERR_RING_GONE, ERR_RING_VERSION, ERR_RING_HEADER, ERR_RING.
	 */
	static async connect(pathOrFd: string | number, { timeoutMs = 5000 } = {}): Promise<SharedRingReader> {
		const native = rethrowing(() => new (addon().RingReader)(pathOrFd));
		try {
			const geometry = await native.open(timeoutMs);
			if (geometry) return new SharedRingReader(native, geometry);
		} catch (error) {
			native.close();
			throw asSidecarError(error);
		}
		throw new SidecarError('ERR_INTERNAL', 'The ring was closed before it was open.');
	}

	/**
	 * Waits for a frame newer than the last one and copies it to `target`, rows and planes tight; on a native
	 * thread, so `target` is to be left alone until then. Undefined when either side has closed the ring.
	 * One call at a time. Errors: ERR_RING_GONE when the writer died, ERR_RING when `target` is too small.
	 */
	async next(target: Uint8Array): Promise<RingFrame | undefined> {
		try {
			return await this.#native.next(target);
		} catch (error) {
			if ((error as { code?: unknown }).code === 'FRAME_RING_ENDED') return undefined;
			throw asSidecarError(error);
		}
	}

	/**
	 * Copies the frame `sequence` from `slot`, at once and on the calling thread, for who was told where it is;
	 * undefined when it has been written over. Errors: ERR_RING.
	 */
	read(slot: number, sequence: number, target: Uint8Array): RingFrame | undefined {
		return rethrowing(() => this.#native.read(slot, sequence, target));
	}

	/**
	 * Every frame that `next` gives, each in `target` until the following one is asked for; ends with the ring
	 * or the signal, and closes the reader. Errors: as `next`.
	 */
	async *frames(target: Uint8Array, signal: AbortSignal): AsyncGenerator<RingFrame, void, undefined> {
		const close = () => this.close();
		signal.addEventListener('abort', close, { once: true });
		try {
			while (!signal.aborted) {
				const frame = await this.next(target);
				if (!frame) return;
				yield frame;
			}
		} finally {
			signal.removeEventListener('abort', close);
			close();
		}
	}

	/** Hangs up; a `next` under way gives undefined. */
	close(): void {
		this.#native.close();
	}

	[Symbol.dispose](): void {
		this.close();
	}
}
