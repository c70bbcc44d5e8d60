import type { Configuration } from '../config/schema/configuration.ts';
import type { Controller, TakeFrame } from '../control/controller.ts';
import { keptSizeOf, referenceOf } from '../control/reference-image.ts';
import { SidecarError } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Picture, type StyledFrame } from '../frame/frame.ts';
import type { NativeAddon } from '../native.ts';
import type { Canvas } from './channel.ts';

interface FrameLookSettings {
	controller: Pick<Controller, 'isPanic'>;
	failure: Configuration['failure'];
	canvas: Pick<Canvas, 'painted' | 'fit'>;
	native: Pick<NativeAddon, 'convert'>;
}

/**
 * The newest painting and its source as pictures, to paint everything like them. What of the source may not be shown is not
 * given either, for whoever paints like it can look at it.
 */
export class FrameLook {
	readonly #settings: FrameLookSettings;
	#newest: StyledFrame | undefined;

	constructor(settings: FrameLookSettings) {
		this.#settings = settings;
	}

	/** Every frame that leaves the line. */
	see(frame: StyledFrame): void {
		this.#newest = this.#settings.controller.isPanic ? undefined : frame;
	}

	/** Errors: ERR_STYLE. */
	readonly take: TakeFrame = async (from) => {
		const { controller, failure } = this.#settings;
		const refuse = (reason: string): never => {
			throw new SidecarError('ERR_STYLE', `There is no picture to paint like: ${reason}.`);
		};
		if (controller.isPanic) refuse('panic is on');
		if (from === 'source' && failure === 'slate') refuse('under the failure policy slate the source is not shown');
		const frame = this.#newest;
		if (!frame) return refuse('nothing is painted yet');
		if (from === 'painting' && frame.kind !== 'painting') refuse('nothing is painted now, choose a style first');
		return referenceOf(await this.#kept(from === 'source' ? frame.source : frame.picture));
	};

	async #kept(picture: Picture): Promise<Picture> {
		const { canvas, native } = this.#settings;
		const layout = rgbLayout(keptSizeOf(canvas.painted));
		const isPainted = picture.width === canvas.painted.width && picture.height === canvas.painted.height;
		const target = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
		await native.convert(picture, target, isPainted ? 'stretch' : canvas.fit);
		return target;
	}
}
