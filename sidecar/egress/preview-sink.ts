import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, rgbLayout, type Picture, type Size, type StyledFrame } from '../frame/frame.ts';
import type { Fit, NativeAddon } from '../native.ts';
import { log, repeated } from '../telemetry/logger.ts';
import type { FrameSink } from './frame-sink.ts';

/**
 * A message of the preview, little-endian: this header, then two pictures in RGB, rows tightly packed: what was
 * painted, and the painting. Under SAME_PICTURE only one follows, which stands for both.
 *
 * | byte | type |                                                                   |
 * | ---- | ---- | ----------------------------------------------------------------- |
 * | 0    | u32  | magic, the letters APPV                                           |
 * | 4    | u16  | version, 1                                                        |
 * | 6    | u16  | length of the header in bytes; a reader skips what it does not know |
 * | 8    | u16  | width of both pictures                                            |
 * | 10   | u16  | height                                                            |
 * | 12   | u32  | sequence of the source's frame, modulo 2^32                       |
 * | 16   | u32  | epoch, modulo 2^32                                                |
 * | 20   | u32  | latency from capture to here, in microseconds                     |
 * | 24   | u32  | flags: 1 SAME_PICTURE                                             |
 */
export const PREVIEW_HEADER_BYTES = 28;
const MAGIC = 0x56505041;
const VERSION = 1;
const SAME_PICTURE = 1;

/** 512x288 and, for other aspects, what `--size auto` makes of them. */
const MOST_PIXELS = 160_000;

/** Somebody who looks. */
export interface PreviewWatcher extends Disposable {
	/** Asks for one message: the newest frame as soon as there is one that this watcher has not had. */
	ready(): void;
}

interface Shown {
	frame: StyledFrame;
	latencyUs: number;
}

interface Waiting {
	isReady: boolean;
	had: Shown | undefined;
	send(message: Uint8Array): void;
}

/**
 * Keeps the newest frame for whoever looks, and paces nobody: a watcher gets a message when it asked for one, so
 * that one who is slow misses frames, and one who never asks costs nothing. A frame becomes a message at most
 * once, and only when somebody waits for it.
 */
export class PreviewSink implements FrameSink {
	readonly name = 'preview';
	readonly #size: Size;
	readonly #fit: Fit;
	readonly #native: Pick<NativeAddon, 'convert'>;
	readonly #nowUs: () => number;
	readonly #watchers = new Set<Waiting>();
	readonly #warn: ReturnType<typeof repeated>;
	#newest: Shown | undefined;
	#isServing = false;

	/** `size` is the painted size, `fit` how the source met it. */
	constructor({
		size,
		fit,
		native,
		clock = nowUs,
	}: {
		size: Size;
		fit: Fit;
		native: Pick<NativeAddon, 'convert'>;
		clock?: () => number;
	}) {
		this.#size = previewSizeOf(size);
		this.#fit = fit;
		this.#native = native;
		this.#nowUs = clock;
		this.#warn = repeated((facts, message) => log.warn(facts, message), 'preview left out', { nowUs: clock });
	}

	watch(send: (message: Uint8Array) => void): PreviewWatcher {
		const watcher: Waiting = { isReady: false, had: undefined, send };
		this.#watchers.add(watcher);
		return {
			ready: () => {
				watcher.isReady = true;
				this.#serve();
			},
			[Symbol.dispose]: () => void this.#watchers.delete(watcher),
		};
	}

	present(frame: StyledFrame): Promise<void> {
		// Shown again for want of a newer one: watchers have it already.
		if (frame.picture === this.#newest?.frame.picture) return Promise.resolve();
		this.#newest = { frame, latencyUs: Math.max(this.#nowUs() - frame.capturedUs, 0) };
		this.#serve();
		return Promise.resolve();
	}

	finish(): Promise<void> {
		return Promise.resolve();
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#watchers.clear();
		this.#newest = undefined;
		return Promise.resolve();
	}

	/** One frame at a time, and after it whatever is the newest by then. */
	#serve(): void {
		const shown = this.#newest;
		if (this.#isServing || !shown || !this.#waitingFor(shown).length) return;
		this.#isServing = true;
		void this.#messageOf(shown).then((message) => {
			this.#isServing = false;
			for (const watcher of this.#waitingFor(shown)) {
				watcher.had = shown;
				if (!message) continue;
				watcher.isReady = false;
				watcher.send(message);
			}
			this.#serve();
		});
	}

	#waitingFor(shown: Shown): Waiting[] {
		return [...this.#watchers].filter(({ isReady, had }) => isReady && had !== shown);
	}

	async #messageOf({ frame, latencyUs }: Shown): Promise<Uint8Array | undefined> {
		const { width, height } = this.#size;
		const isSame = frame.source.data === frame.picture.data;
		const pictures = isSame ? [frame.picture] : [frame.source, frame.picture];
		const pictureBytes = pictureByteLength(rgbLayout(this.#size));
		const message = Buffer.allocUnsafeSlow(PREVIEW_HEADER_BYTES + pictures.length * pictureBytes);
		message.writeUInt32LE(MAGIC, 0);
		message.writeUInt16LE(VERSION, 4);
		message.writeUInt16LE(PREVIEW_HEADER_BYTES, 6);
		message.writeUInt16LE(width, 8);
		message.writeUInt16LE(height, 10);
		message.writeUInt32LE(frame.sequence >>> 0, 12);
		message.writeUInt32LE(frame.epoch >>> 0, 16);
		message.writeUInt32LE(Math.min(latencyUs, 0xffff_ffff), 20);
		message.writeUInt32LE(isSame ? SAME_PICTURE : 0, 24);
		try {
			for (const [index, picture] of pictures.entries())
				await this.#write(
					picture,
					message.subarray(PREVIEW_HEADER_BYTES + index * pictureBytes).subarray(0, pictureBytes),
				);
		} catch (error) {
			this.#warn({ sequence: frame.sequence, error });
			return undefined;
		}
		return message;
	}

	async #write(picture: Picture, target: Uint8Array): Promise<void> {
		const { width, height } = this.#size;
		if (picture.format === 'RGB' && picture.width === width && picture.height === height) target.set(picture.data);
		else await this.#native.convert(picture, { ...rgbLayout(this.#size), data: target }, this.#fit);
	}
}

/** The same aspect, with no more pixels than a preview has. */
export const previewSizeOf = ({ width, height }: Size): Size => {
	const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
	return scale === 1
		? { width, height }
		: {
				width: Math.max(2, 2 * Math.floor((width * scale) / 2)),
				height: Math.max(2, 2 * Math.floor((height * scale) / 2)),
			};
};
