import { alphaPlaneByteLength, type Mask, type Picture, type Size } from '../frame/frame.ts';
import type { NativeAddon } from '../native.ts';

/** The alpha of pictures as masks, from picture to picture. */
export class AlphaMasks {
	readonly #native: Pick<NativeAddon, 'takeAlpha'>;
	#last: Mask | undefined;
	/** Memory that nobody else has. */
	#spare: Mask | undefined;

	constructor(native: Pick<NativeAddon, 'takeAlpha'>) {
		this.#native = native;
	}

	/**
	 * `plane` is what lies behind a picture whose pixels have no alpha of their own. The same alpha gives the same mask, so that
	 * what was made of it is known.
	 */
	async next(picture: Picture, plane: Uint8Array): Promise<Mask> {
		const alpha = this.#memoryFor(picture);
		if (alphaPlaneByteLength(picture) === 0) await this.#native.takeAlpha(picture, alpha);
		else alpha.data.set(plane.subarray(0, alpha.data.length));
		const last = this.#last;
		if (last?.width === alpha.width && Buffer.compare(last.data, alpha.data) === 0) {
			this.#spare = alpha;
			return last;
		}
		this.#spare = undefined;
		return (this.#last = alpha);
	}

	#memoryFor({ width, height }: Size): Mask {
		const spare = this.#spare;
		if (spare?.width === width && spare.height === height) return spare;
		return { width, height, data: new Uint8Array(width * height) };
	}
}
