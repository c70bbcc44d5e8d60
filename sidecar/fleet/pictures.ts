import { pictureByteLength, rgbLayout, type Picture, type PictureLayout, type Size } from '../frame/frame.ts';
import type { Fit, NativeAddon } from '../native.ts';

/** Pictures as they cross the network: half the bytes of RGB, the same for both ends, and nothing to negotiate. */

export type Converter = Pick<NativeAddon, 'convert'>;

export const wireLayout = ({ width, height }: Size): PictureLayout => ({
	format: 'NV12',
	width,
	height,
	matrix: 'bt709',
	range: 'full',
});

export const wireBytes = (size: Size): number => pictureByteLength(wireLayout(size));

const converted = async (source: Picture, layout: PictureLayout, fit: Fit, native: Converter): Promise<Picture> => {
	const target = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
	await native.convert(source, target, fit);
	return target;
};

/** RGB at a size. */
export const toRgb = (source: Picture, size: Size, fit: Fit, native: Converter): Promise<Picture> =>
	converted(source, rgbLayout(size), fit, native);

export const toWire = async (picture: Picture, native: Converter): Promise<Uint8Array> =>
	(await converted(picture, wireLayout(picture), 'stretch', native)).data;

export const fromWire = (data: Uint8Array, size: Size, native: Converter): Promise<Picture> =>
	toRgb({ ...wireLayout(size), data }, size, 'stretch', native);
