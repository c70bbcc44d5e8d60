import { dirname } from 'node:path';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, type Picture, type PictureLayout, type StyledFrame } from '../frame/frame.ts';
import { removeLeftSockets } from '../frame/left-sockets.ts';
import { SharedRingWriter } from '../frame/shared-ring.ts';
import type { NativeAddon } from '../native.ts';
import { log, repeated } from '../telemetry/logger.ts';
import type { FrameSink } from './frame-sink.ts';

/** The newest, one being written, and two for a plugin that is slow. */
const SLOTS = 4;

/**
 * Paintings for the plugin in OBS, in a ring of shared memory at `path`. BGRA at the painted size, which the GPU scales;
 * a frame that is shown again is not sent again, as the plugin keeps it. Errors: ERR_RING.
 */
export const openObsSink = ({
	path,
	pixelsMax,
	native,
}: {
	path: string;
	/** Of the painted size or the source's, whichever is larger. */
	pixelsMax: number;
	native: Pick<NativeAddon, 'convert'>;
}): FrameSink => {
	const writer = new SharedRingWriter({ slotCount: SLOTS, slotBytes: 4 * pixelsMax });
	try {
		removeLeftSockets(dirname(path), 'painted'); // of a sidecar that was killed
		writer.listen(path);
	} catch (error) {
		writer.close();
		throw error;
	}
	return new ObsSink(writer, native);
};

class ObsSink implements FrameSink {
	readonly name = 'obs';
	readonly #writer: SharedRingWriter;
	readonly #native: Pick<NativeAddon, 'convert'>;
	readonly #warn = repeated((facts, message) => log.warn(facts, message), 'frame for OBS left out', { nowUs });
	#last: Picture | undefined;
	#sequence = 0;
	#pixels = new Uint8Array();

	constructor(writer: SharedRingWriter, native: Pick<NativeAddon, 'convert'>) {
		this.#writer = writer;
		this.#native = native;
	}

	async present(frame: StyledFrame): Promise<void> {
		const { picture, capturedUs, timestampUs, durationUs } = frame;
		if (picture === this.#last) return;
		this.#last = picture;
		try {
			const { data, ...layout } = await this.#toBgra(picture);
			this.#writer.write({ sequence: this.#sequence++, capturedUs, timestampUs, durationUs, layout }, data);
		} catch (error) {
			this.#warn({ sequence: frame.sequence, error });
		}
	}

	finish(): Promise<void> {
		return Promise.resolve();
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#writer.close();
		return Promise.resolve();
	}

	async #toBgra(picture: Picture): Promise<Picture> {
		if (picture.format === 'BGRA') return picture;
		const { width, height } = picture;
		const layout: PictureLayout = { format: 'BGRA', width, height, matrix: 'bt709', range: 'full' };
		const byteLength = pictureByteLength(layout);
		if (this.#pixels.length !== byteLength) this.#pixels = new Uint8Array(byteLength);
		const target = { ...layout, data: this.#pixels };
		await this.#native.convert(picture, target, 'stretch');
		return target;
	}
}
