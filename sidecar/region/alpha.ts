import { alphaPlaneByteLength, type Mask, type Picture } from '../frame/frame.ts';

/** The alpha of pictures as masks, from picture to picture. */
export class AlphaMasks {
	#last: Mask | undefined;

	/**
	 * `plane` is what lies behind a picture whose pixels have no alpha of their own. The same alpha gives the same mask, so that
	 * what was made of it is known.
	 */
	next({ format, width, height, data, ...picture }: Picture, plane: Uint8Array): Mask {
		const isInside = alphaPlaneByteLength({ format, width, height, ...picture }) === 0;
		const [bytes, step, first] = isInside ? [data, 4, 3] : [plane, 1, 0];
		const last = this.#last;
		if (last?.width === width && last.height === height && isSame(last.data, bytes, step, first)) return last;
		const alpha = new Uint8Array(width * height);
		for (let pixel = 0, at = first; pixel < alpha.length; pixel++, at += step) alpha[pixel] = bytes[at]!;
		return (this.#last = { width, height, data: alpha });
	}
}

const isSame = (alpha: Uint8Array, bytes: Uint8Array, step: number, first: number): boolean => {
	for (let pixel = 0, at = first; pixel < alpha.length; pixel++, at += step)
		if (alpha[pixel] !== bytes[at]) return false;
	return true;
};
