import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';

/** RGB, 8 bits each, rows tightly packed, the top row first. */
export interface RgbPicture {
	width: number;
	height: number;
	data: Uint8Array;
}

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Each byte less the one above it: paintings are smooth. */
const FILTER_UP = 2;

/** A PNG file (PNG specification, 5.3 and 9.2). */
export const encodePng = async ({ width, height, data }: RgbPicture): Promise<Buffer> => {
	const rowBytes = 3 * width;
	const filtered = Buffer.alloc(height * (1 + rowBytes));
	for (let y = 0; y < height; y++) {
		const row = y * (1 + rowBytes);
		filtered[row] = FILTER_UP;
		for (let x = 0; x < rowBytes; x++) {
			const above = y === 0 ? 0 : data[(y - 1) * rowBytes + x]!;
			filtered[row + 1 + x] = data[y * rowBytes + x]! - above;
		}
	}
	const header = Buffer.alloc(13);
	header.writeUInt32BE(width, 0);
	header.writeUInt32BE(height, 4);
	header.set([8, 2], 8); // bits, RGB; no interlacing
	const deflated = await promisify(deflate)(filtered);
	return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', deflated), chunk('IEND', Buffer.alloc(0))]);
};

const chunk = (type: string, content: Buffer): Buffer => {
	const typed = Buffer.concat([Buffer.from(type, 'latin1'), content]);
	const framed = Buffer.alloc(8 + typed.length);
	framed.writeUInt32BE(content.length, 0);
	framed.set(typed, 4);
	framed.writeUInt32BE(crc32(typed), 4 + typed.length);
	return framed;
};

/** The same picture with no side longer than `side`: each pixel is the mean of a square of whole pixels. */
export const shrink = (picture: RgbPicture, side: number): RgbPicture => {
	const factor = Math.ceil(Math.max(picture.width, picture.height) / side);
	const [width, height] = [Math.floor(picture.width / factor), Math.floor(picture.height / factor)];
	if (factor === 1 || width === 0 || height === 0) return picture;
	const data = new Uint8Array(3 * width * height);
	for (let index = 0; index < data.length; index++) {
		const [x, y, channel] = [Math.floor(index / 3) % width, Math.floor(index / 3 / width), index % 3];
		let sum = 0;
		for (let dy = 0; dy < factor; dy++)
			for (let dx = 0; dx < factor; dx++)
				sum += picture.data[3 * ((y * factor + dy) * picture.width + x * factor + dx) + channel]!;
		data[index] = Math.round(sum / factor ** 2);
	}
	return { width, height, data };
};
