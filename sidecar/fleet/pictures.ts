import type { WireEncoding } from '../config/schema.ts';
import { SidecarError } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Picture, type PictureLayout, type Size } from '../frame/frame.ts';
import type { Fit, NativeAddon } from '../native.ts';

/** Pictures as they cross the network: NV12, which is half the bytes of RGB, or JPEG, which is about a tenth. */

export type Converter = Pick<NativeAddon, 'convert' | 'encodeJpeg' | 'decodeJpeg'>;

export interface WirePicture {
	encoding: WireEncoding;
	data: Uint8Array;
}

/** A sixth of NV12 for a painting of `lite`; what it loses is less than NV12 loses of thin strokes in colour. */
const JPEG_QUALITY = 85;

export const wireLayout = ({ width, height }: Size): PictureLayout => ({
	format: 'NV12',
	width,
	height,
	matrix: 'bt709',
	range: 'full',
});

/** Of NV12; a JPEG has no more. */
export const wireBytes = (size: Size): number => pictureByteLength(wireLayout(size));

const converted = async (source: Picture, layout: PictureLayout, fit: Fit, native: Converter): Promise<Picture> => {
	const target = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
	await native.convert(source, target, fit);
	return target;
};

/** RGB at a size. */
export const toRgb = (source: Picture, size: Size, fit: Fit, native: Converter): Promise<Picture> =>
	converted(source, rgbLayout(size), fit, native);

/** Of an RGB picture. What is larger as a JPEG, as noise is, stays NV12. */
export const toWire = async (picture: Picture, encoding: WireEncoding, native: Converter): Promise<WirePicture> => {
	if (encoding === 'jpeg') {
		const data = await native.encodeJpeg(picture, JPEG_QUALITY);
		if (data.length <= wireBytes(picture)) return { encoding, data };
	}
	return { encoding: 'nv12', data: (await converted(picture, wireLayout(picture), 'stretch', native)).data };
};

/** Whether it can be a picture of this size, before anything is made of it. Errors: ERR_FLEET. */
export const expectWire = ({ encoding, data }: WirePicture, size: Size): void => {
	const bytes = wireBytes(size);
	if (encoding === 'nv12' ? data.length === bytes : data.length > 0 && data.length <= bytes) return;
	throw new SidecarError(
		'ERR_FLEET',
		`A picture of ${data.length} bytes came, expected ${encoding === 'nv12' ? '' : 'a JPEG of 1 to '}${bytes} for ${size.width}x${size.height}.`,
	);
};

/** RGB. Errors: ERR_FLEET, where what came is no such picture. */
export const fromWire = async (wire: WirePicture, size: Size, native: Converter): Promise<Picture> => {
	expectWire(wire, size);
	const { encoding, data } = wire;
	if (encoding === 'nv12') return await toRgb({ ...wireLayout(size), data }, size, 'stretch', native);
	const layout = rgbLayout(size);
	const target = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
	await native.decodeJpeg(data, target).catch((cause: Error) => {
		throw new SidecarError(
			'ERR_FLEET',
			`A picture came that is no JPEG of ${size.width}x${size.height} (${cause.message}).`,
			{ cause },
		);
	});
	return target;
};
