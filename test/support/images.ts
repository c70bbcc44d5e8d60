// Picture files that no tool makes, or none that is here.
import { crc32, deflateSync } from 'node:zlib';

const chunk = (type: string, content: Buffer): Buffer => {
	const typed = Buffer.concat([Buffer.from(type, 'latin1'), content]);
	const framed = Buffer.alloc(8 + typed.length);
	framed.writeUInt32BE(content.length, 0);
	framed.set(typed, 4);
	framed.writeUInt32BE(crc32(typed), 4 + typed.length);
	return framed;
};

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

export interface PngOptions {
	width: number;
	height: number;
	/** Of the PNG specification, 11.2.1. */
	bits?: number;
	colour?: number;
	/** Of each row, after its filter; black where absent. */
	row?: Buffer;
	/** Before the pixels. */
	chunks?: readonly [type: string, content: Buffer][];
	/** Rows that are there. */
	rows?: number;
}

/** A PNG, each row the same. */
export const pngOf = ({ width, height, bits = 8, colour = 2, row, chunks = [], rows = height }: PngOptions): Buffer => {
	const header = Buffer.alloc(13);
	header.writeUInt32BE(width, 0);
	header.writeUInt32BE(height, 4);
	header.set([bits, colour], 8);
	const channels = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[colour]!;
	const line = Buffer.concat([Buffer.from([0]), row ?? Buffer.alloc(Math.ceil((width * channels * bits) / 8))]);
	return Buffer.concat([
		SIGNATURE,
		chunk('IHDR', header),
		...chunks.map(([type, content]) => chunk(type, content)),
		chunk('IDAT', deflateSync(Buffer.concat(Array.from({ length: rows }, () => line)))),
		chunk('IEND', Buffer.alloc(0)),
	]);
};

/** Zeros, a thousandth as long compressed: a text or a profile (PNG specification, 11.3.3.3 and 11.3.4.3). */
export const bombOf = (type: 'zTXt' | 'iCCP', byteLength: number): [type: string, content: Buffer] => [
	type,
	Buffer.concat([Buffer.from('Name\0\0', 'latin1'), deflateSync(Buffer.alloc(byteLength))]),
];

/** Exif with an orientation and nothing else. */
export const exifOf = (orientation: number, order: 'II' | 'MM' = 'MM'): Buffer => {
	const exif = Buffer.alloc(26);
	const short = (value: number, at: number) =>
		order === 'MM' ? exif.writeUInt16BE(value, at) : exif.writeUInt16LE(value, at);
	const long = (value: number, at: number) =>
		order === 'MM' ? exif.writeUInt32BE(value, at) : exif.writeUInt32LE(value, at);
	exif.write(order, 'latin1');
	short(42, 2);
	long(8, 4);
	short(1, 8);
	short(0x0112, 10);
	short(3, 12);
	long(1, 14);
	short(orientation, 18);
	return exif;
};

const segment = (marker: number, content: Buffer): Buffer => {
	const head = Buffer.from([0xff, marker, 0, 0]);
	head.writeUInt16BE(2 + content.length, 2);
	return Buffer.concat([head, content]);
};

/** A JPEG with Exif after its first two bytes. */
export const withExif = (jpeg: Buffer, exif: Buffer): Buffer =>
	Buffer.concat([
		jpeg.subarray(0, 2),
		segment(0xe1, Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), exif])),
		jpeg.subarray(2),
	]);

/**
 * A JPEG of one colour in cyan, magenta, yellow and black, inverted as Adobe writes them (255 is no ink). One Huffman code a
 * category: the first block of a channel says how far it is from grey, the others that they are the same.
 */
export const cmykJpegOf = (side: number, inks: readonly [number, number, number, number]): Buffer => {
	const frame = Buffer.alloc(6 + 4 * 3);
	frame.set([8, side >> 8, side & 255, side >> 8, side & 255, 4]);
	for (let channel = 0; channel < 4; channel++) frame.set([channel + 1, 0x11, 0], 6 + 3 * channel);
	// Twelve categories of DC in four bits each; of AC nothing but the end of the block, in one bit.
	const dc = Buffer.from([0x00, 0, 0, 0, 12, ...Array<number>(12).fill(0), ...Array(12).keys()]);
	const ac = Buffer.from([0x10, 1, ...Array<number>(15).fill(0), 0]);
	const bits: string[] = [];
	for (let block = 0; block < (side / 8) ** 2; block++)
		for (const ink of inks) {
			const level = block === 0 ? 8 * (ink - 128) : 0;
			const category = level === 0 ? 0 : Math.floor(Math.log2(Math.abs(level))) + 1;
			const value = level > 0 ? level : level + 2 ** category - 1;
			bits.push(category.toString(2).padStart(4, '0'));
			if (category > 0) bits.push(value.toString(2).padStart(category, '0'));
			bits.push('0');
		}
	const all = bits.join('');
	const data: number[] = [];
	for (let at = 0; at < all.length; at += 8) {
		const byte = parseInt(all.slice(at, at + 8).padEnd(8, '1'), 2);
		data.push(byte, ...(byte === 0xff ? [0] : []));
	}
	return Buffer.concat([
		Buffer.from([0xff, 0xd8]),
		segment(0xee, Buffer.from('Adobe\0d\0\0\0\0\0', 'latin1')),
		segment(0xdb, Buffer.from([0, ...Array<number>(64).fill(1)])),
		segment(0xc0, frame),
		segment(0xc4, dc),
		segment(0xc4, ac),
		segment(0xda, Buffer.from([4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0])),
		Buffer.from(data),
		Buffer.from([0xff, 0xd9]),
	]);
};
