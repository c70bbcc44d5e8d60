import { pictureByteLength, rgbLayout, type Picture, type Size } from '../frame/frame.ts';

const FILE_HEADER_BYTES = 14;
const SIDE_MAX = 16_384;

/**
 * Pixels of an uncompressed BMP of 24 or 32 bits, as OBS gives them: BGR or BGRX, the lowest row first unless the height
 * is negative (learn.microsoft.com, BITMAPINFOHEADER). Undefined where it is something else, or shorter than it says.
 */
export const sizeOfBmp = (bytes: Uint8Array): (Size & Reading) | undefined => {
	if (bytes.length < FILE_HEADER_BYTES + 40 || bytes[0] !== 0x42 || bytes[1] !== 0x4d) return undefined;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const offset = view.getUint32(10, true);
	const width = view.getInt32(18, true);
	const signedHeight = view.getInt32(22, true);
	const bits = view.getUint16(28, true);
	const compression = view.getUint32(30, true);
	const height = Math.abs(signedHeight);
	// 3 is "bit fields", which 32 bits have in the order of BGRX.
	if ((bits !== 24 && bits !== 32) || (compression !== 0 && !(compression === 3 && bits === 32))) return undefined;
	if (width < 1 || width > SIDE_MAX || height < 1 || height > SIDE_MAX) return undefined;
	const stride = 4 * Math.ceil((width * bits) / 32);
	if (offset + stride * height > bytes.length) return undefined;
	return { width, height, offset, stride, pixelBytes: bits / 8, isTopDown: signedHeight < 0 };
};

interface Reading {
	offset: number;
	stride: number;
	pixelBytes: number;
	isTopDown: boolean;
}

/** Into RGB, rows tight and top first; `target` has room for it. */
export const readBmp = (bytes: Uint8Array, reading: Size & Reading, target: Uint8Array): Picture => {
	const { width, height, offset, stride, pixelBytes, isTopDown } = reading;
	const layout = rgbLayout({ width, height });
	for (let y = 0, to = 0; y < height; y++) {
		let from = offset + stride * (isTopDown ? y : height - 1 - y);
		for (let x = 0; x < width; x++, from += pixelBytes, to += 3) {
			target[to] = bytes[from + 2]!;
			target[to + 1] = bytes[from + 1]!;
			target[to + 2] = bytes[from]!;
		}
	}
	return { ...layout, data: target.subarray(0, pictureByteLength(layout)) };
};
