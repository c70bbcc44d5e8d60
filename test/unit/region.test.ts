import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { composeRegion, type Region } from '../../sidecar/engine/region.ts';
import { rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const scenes = fc
	.record({ width: fc.integer({ min: 1, max: 9 }), height: fc.integer({ min: 1, max: 9 }) })
	.chain((size) => {
		const pixels = size.width * size.height;
		const picture = bytes(3 * pixels).map((data): Picture => ({ ...rgbLayout(size), data }));
		const share = fc.oneof(fc.constantFrom(0, 255), fc.integer({ min: 0, max: 255 }));
		const region = fc
			.array(share, { minLength: pixels, maxLength: pixels })
			.map((shares): Region => ({ ...size, data: Uint8Array.from(shares) }));
		return fc.record({ painting: picture, source: picture, region });
	});

const composed = (painting: Picture, source: Picture, region: Region): Uint8Array => {
	const target = new Uint8Array(painting.data.length);
	composeRegion(painting, source, region, target);
	return target;
};

describe('a region', () => {
	test('is painted inside, is the source outside to the bit, and lies between both at a soft edge', () => {
		fc.assert(
			fc.property(scenes, ({ painting, source, region }) => {
				for (const [at, value] of composed(painting, source, region).entries()) {
					const share = region.data[Math.floor(at / 3)]!;
					const [inside, outside] = [painting.data[at]!, source.data[at]!];
					expect(value).toBe(Math.round((share * inside + (255 - share) * outside) / 255));
					if (share === 0) expect(value).toBe(outside);
					if (share === 255) expect(value).toBe(inside);
				}
			}),
		);
	});

	test('may be written over the painting or the source', () => {
		fc.assert(
			fc.property(scenes, ({ painting, source, region }) => {
				const expected = composed(painting, source, region);
				for (const over of [painting, source]) {
					const data = over.data.slice();
					const given = { painting, source, [over === painting ? 'painting' : 'source']: { ...over, data } };
					composeRegion(given.painting, given.source, region, data);
					expect(data).toEqual(expected);
				}
			}),
		);
	});

	test('of another size, or over pictures of another size or format, is refused, and nothing is written', () => {
		const picture = (width: number, height: number): Picture => ({
			...rgbLayout({ width, height }),
			data: new Uint8Array(3 * width * height).fill(9),
		});
		const region = (width: number, height: number, length = width * height): Region => ({
			width,
			height,
			data: new Uint8Array(length).fill(255),
		});
		const one = picture(4, 3);
		const wrong: [Picture, Picture, Region, number, string][] = [
			[one, one, region(3, 4), 36, 'The region is 3x4 (12 bytes), expected 4x3'],
			[one, one, region(4, 3, 11), 36, 'The region is 4x3 (11 bytes), expected 4x3'],
			[one, one, region(4, 3, 0), 36, 'The region is 4x3 (0 bytes)'],
			[one, picture(3, 4), region(4, 3), 36, 'The source is RGB 3x4, expected RGB 4x3.'],
			[one, { ...one, format: 'BGRA' }, region(4, 3), 36, 'The source is BGRA 4x3'],
			[one, one, region(4, 3), 35, 'There is room for 35 bytes of a painting of 36.'],
		];
		for (const [painting, source, area, room, message] of wrong) {
			const target = new Uint8Array(room);
			expect(() => composeRegion(painting, source, area, target)).toThrow(message);
			expect(target.every((value) => value === 0)).toBe(true);
		}
	});
});
