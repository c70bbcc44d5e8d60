import type { WireEncoding } from '../config/schema/fleet.ts';
import { SidecarError } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Picture, type PictureLayout, type Size } from '../frame/frame.ts';
import type { Fit, NativeAddon } from '../native.ts';
import { ROOM_BYTES } from './messages.ts';

/** Pictures as they cross the network: NV12, which is half the bytes of RGB, or JPEG, which is about a tenth. */

export type Converter = Pick<NativeAddon, 'convert' | 'encodeJpeg' | 'decodeJpeg'>;

export interface WirePicture {
	encoding: WireEncoding;
	data: Uint8Array;
}

/** One to be sent. */
export interface OutgoingPicture extends WirePicture {
	/** Where `data` lies behind ROOM_BYTES; undefined where it has no such memory. */
	memory?: Uint8Array;
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

/** RGB at a size. */
export const toRgb = async (source: Picture, size: Size, fit: Fit, native: Converter): Promise<Picture> => {
	const layout = rgbLayout(size);
	const target = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
	await native.convert(source, target, fit);
	return target;
};

/** For NV12 of a size. */
export const outgoingBytes = (size: Size): number => ROOM_BYTES + wireBytes(size);

/** NV12 at a size, in `memory` of `outgoingBytes`. */
export const toNv12 = async (
	source: Picture,
	size: Size,
	fit: Fit,
	native: Converter,
	memory: Uint8Array = new Uint8Array(outgoingBytes(size)),
): Promise<OutgoingPicture> => {
	const data = memory.subarray(ROOM_BYTES);
	await native.convert(source, { ...wireLayout(size), data }, fit);
	return { encoding: 'nv12', data, memory };
};

/** Of an RGB picture. What is larger as a JPEG, as noise is, stays NV12. */
export const toWire = async (
	picture: Picture,
	encoding: WireEncoding,
	native: Converter,
	memory?: Uint8Array,
): Promise<OutgoingPicture> => {
	if (encoding === 'jpeg') {
		const data = await native.encodeJpeg(picture, JPEG_QUALITY);
		if (data.length <= wireBytes(picture)) return { encoding, data };
	}
	return await toNv12(picture, picture, 'stretch', native, memory);
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
