import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBmp, sizeOfBmp } from '../../sidecar/ingest/bmp.ts';

/** A BMP of pixels given as rows of [red, green, blue], the top row first. */
const bmp = (rows: number[][][], { bits = 24, topDown = false, compression = 0, offset = 54 } = {}): Uint8Array => {
	const [height, width] = [rows.length, rows[0]!.length];
	const stride = 4 * Math.ceil((width * bits) / 32);
	const bytes = Buffer.alloc(offset + stride * height);
	bytes.write('BM', 0, 'latin1');
	bytes.writeUInt32LE(bytes.length, 2);
	bytes.writeUInt32LE(offset, 10);
	bytes.writeUInt32LE(40, 14);
	bytes.writeInt32LE(width, 18);
	bytes.writeInt32LE(topDown ? -height : height, 22);
	bytes.writeUInt16LE(1, 26);
	bytes.writeUInt16LE(bits, 28);
	bytes.writeUInt32LE(compression, 30);
	rows.forEach((row, y) => {
		const line = offset + stride * (topDown ? y : height - 1 - y);
		row.forEach(([red = 0, green = 0, blue = 0], x) => bytes.set([blue, green, red], line + (x * bits) / 8));
	});
	return bytes;
};

const ROWS = [
	[
		[1, 2, 3],
		[4, 5, 6],
		[7, 8, 9],
	],
	[
		[10, 11, 12],
		[13, 14, 15],
		[16, 17, 18],
	],
];

/** What the header says of the bits is not what they are. */
const withBits = (bits: number): Uint8Array => {
	const bytes = Buffer.from(bmp(ROWS));
	bytes.writeUInt16LE(bits, 28);
	return bytes;
};

const read = (bytes: Uint8Array) => {
	const size = sizeOfBmp(bytes)!;
	return readBmp(bytes, size, new Uint8Array(3 * size.width * size.height));
};

describe('a BMP', () => {
	it.each([
		['of 24 bits, padded rows, the lowest first', {}],
		['the top row first', { topDown: true }],
		['of 32 bits', { bits: 32 }],
		['of 32 bits in fields', { bits: 32, compression: 3, offset: 66 }],
	])('is read: %s', (_, kind) => {
		const picture = read(bmp(ROWS, kind));
		expect(picture).toMatchObject({ format: 'RGB', width: 3, height: 2 });
		expect([...picture.data]).toEqual(ROWS.flat(2));
	});

	it.each([
		['with a palette', withBits(8)],
		['compressed', bmp(ROWS, { compression: 1 })],
		['cut off', bmp(ROWS).subarray(0, 60)],
		['that is a PNG', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, ...new Uint8Array(60))],
		['of nothing', new Uint8Array()],
	])('is refused: %s', (_, bytes) => {
		expect(sizeOfBmp(bytes)).toBeUndefined();
	});

	it('whatever its header says, nothing outside of it is read', () => {
		fc.assert(
			fc.property(fc.uint8Array({ minLength: 54, maxLength: 200 }), (bytes) => {
				bytes.set([0x42, 0x4d]);
				const size = sizeOfBmp(bytes);
				if (!size) return;
				expect(size.offset + size.stride * size.height).toBeLessThanOrEqual(bytes.length);
				expect(size.width * size.pixelBytes).toBeLessThanOrEqual(size.stride);
			}),
		);
	});
});
