import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, rgbLayout, type Frame, type Picture, type Size } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import type { Fit, NativeAddon } from '../native.ts';
import { PASSTHROUGH } from '../parameters.ts';
import type { FrameBatch, PictureBatch } from './batch.ts';
import type { EngineObserver } from './engine.ts';

interface ConverterSettings {
	native: NativeAddon;
	ring: Pick<FrameRing, 'bytes' | 'release'>;
	painted: Size;
	fit: Fit;
	observer: EngineObserver;
}

/** Reads the pixels of a batch out of the ring: RGB at the painted size. Gives the slots back at once. */
export class Converter {
	readonly #settings: ConverterSettings;

	constructor(settings: ConverterSettings) {
		this.#settings = settings;
	}

	async *convert(batches: AsyncIterable<FrameBatch>): AsyncGenerator<PictureBatch, void, undefined> {
		for await (const batch of batches) {
			const sideStartUs = nowUs();
			const read = batch.parameters.style === PASSTHROUGH ? this.#copy : this.#toPainted;
			const pictures: Picture[] = [];
			for (const frame of batch.frames) pictures.push(await read(frame));
			this.#settings.observer.stage('convert', (nowUs() - sideStartUs) / 1000);
			yield { ...batch, pictures, sideStartUs };
		}
	}

	readonly #copy = async (frame: Frame): Promise<Picture> => {
		const { ring } = this.#settings;
		const data = ring.bytes(frame.slot).slice(0, pictureByteLength(frame.layout));
		ring.release(frame);
		return { ...frame.layout, data };
	};

	readonly #toPainted = async (frame: Frame): Promise<Picture> => {
		const { native, ring, painted, fit } = this.#settings;
		const layout = rgbLayout(painted);
		const picture = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
		const data = ring.bytes(frame.slot).subarray(0, pictureByteLength(frame.layout));
		try {
			await native.convert({ ...frame.layout, data }, picture, fit);
		} finally {
			ring.release(frame);
		}
		return picture;
	};
}
