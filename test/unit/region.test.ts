import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { extentOf, feathered, inverted } from '../../sidecar/region/mask.ts';
import { RegionPainter } from '../../sidecar/egress/region-painter.ts';
import {
	pictureByteLength,
	rgbLayout,
	type Mask,
	type Picture,
	type PixelFormat,
	type StyledFrame,
} from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';

const native = loadNative();
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const SIZES = fc.record({ width: fc.integer({ min: 1, max: 9 }), height: fc.integer({ min: 1, max: 9 }) });
const FORMATS: PixelFormat[] = ['RGB', 'BGRA', 'RGBA', 'NV12', 'I420', 'UYVY'];
const masks = (share: fc.Arbitrary<number>) =>
	SIZES.chain((size) =>
		fc
			.array(share, { minLength: size.width * size.height, maxLength: size.width * size.height })
			.map((shares): Mask => ({ ...size, data: Uint8Array.from(shares) })),
	);
const SHARE = fc.oneof(fc.constantFrom(0, 255), fc.integer({ min: 0, max: 255 }));

describe('paintRegion', () => {
	const scenes = masks(SHARE).chain((mask) =>
		fc.record({
			mask: fc.constant(mask),
			painting: bytes(3 * mask.data.length).map((data): Picture => ({ ...rgbLayout(mask), data })),
			source: bytes(3 * mask.data.length).map((data): Picture => ({ ...rgbLayout(mask), data })),
		}),
	);

	test('shows the painting inside, the source outside to the bit, and at a soft edge what lies between', async () => {
		await fc.assert(
			fc.asyncProperty(scenes, async ({ mask, painting, source }) => {
				const shown = { ...source, data: source.data.slice() };
				await native.paintRegion(painting, mask, 'stretch', shown);
				for (const [at, value] of shown.data.entries()) {
					const share = mask.data[Math.floor(at / 3)]!;
					expect(value).toBe(Math.round((share * painting.data[at]! + (255 - share) * source.data[at]!) / 255));
				}
			}),
		);
	});

	test('leaves a picture of any format as it is where the mask shows nothing', async () => {
		for (const format of FORMATS)
			for (const [width, height] of [
				[32, 18],
				[33, 17],
				[1, 1],
			] as const) {
				const layout = { ...rgbLayout({ width, height }), format };
				const source = Uint8Array.from({ length: pictureByteLength(layout) }, (_, at) => (at * 37) % 256);
				const picture: Picture = { ...layout, data: source.slice() };
				const painting: Picture = { ...rgbLayout({ width: 16, height: 9 }), data: new Uint8Array(432).fill(200) };
				await native.paintRegion(painting, { width: 3, height: 2, data: new Uint8Array(6) }, 'stretch', picture);
				expect(picture.data).toEqual(source);
			}
	});

	test('refuses masks and pictures that are not as long as they say, and memory that overlaps', async () => {
		const picture = (width: number): Picture => ({
			...rgbLayout({ width, height: 2 }),
			data: new Uint8Array(6 * width),
		});
		const mask = (length: number): Mask => ({ width: 2, height: 2, data: new Uint8Array(length) });
		const target = picture(2);
		await expect(native.paintRegion(picture(2), mask(3), 'stretch', target)).rejects.toThrow(
			/mask\.data but received 3/,
		);
		await expect(native.paintRegion(picture(2), { ...mask(4), width: 0 }, 'stretch', target)).rejects.toThrow(
			/mask\.width/,
		);
		await expect(native.paintRegion(target, mask(4), 'stretch', target)).rejects.toThrow(/apart from painting\.data/);
		const other: Picture = { ...picture(2), format: 'BGRA', data: new Uint8Array(16) };
		await expect(native.paintRegion(other, mask(4), 'stretch', target)).rejects.toThrow(/'RGB'/);
	});
});

describe('a soft edge', () => {
	test('lies inside the mask: what was nothing is nothing, and nothing grows', () => {
		fc.assert(
			fc.property(masks(SHARE), fc.double({ min: 0, max: 6, noNaN: true }), (mask, cells) => {
				const soft = feathered(mask, cells);
				for (const [at, share] of mask.data.entries()) {
					expect(soft.data[at]).toBeLessThanOrEqual(share);
					if (share === 0) expect(soft.data[at]).toBe(0);
				}
			}),
		);
	});

	test('rises evenly over the cells it was asked for, from any side, and not from the edge of the picture', () => {
		const data = new Uint8Array(11 * 11).fill(255);
		data[5 * 11 + 5] = 0;
		const soft = feathered({ width: 11, height: 11, data }, 3);
		const along = (dx: number, dy: number) => [0, 1, 2, 3, 4].map((i) => soft.data[(5 + i * dy) * 11 + 5 + i * dx]!);
		for (const [dx, dy] of [
			[1, 0],
			[-1, 0],
			[0, 1],
			[0, -1],
		] as const)
			expect(along(dx, dy)).toEqual([0, 63, 127, 191, 255]);
		expect(along(1, 1)).toEqual([0, 85, 170, 255, 255]);
		expect(soft.data[0]).toBe(255);
	});

	test('what is painted everywhere, nowhere or somewhere is told apart', () => {
		const mask = (...shares: number[]): Mask => ({ width: 2, height: 1, data: Uint8Array.from(shares) });
		expect(extentOf(mask(0, 0))).toBe('nothing');
		expect(extentOf(mask(255, 255))).toBe('all');
		expect(extentOf(mask(255, 254))).toBe('some');
		expect(extentOf(inverted(mask(255, 255)))).toBe('nothing');
	});
});

describe('a painting in a part of the picture', () => {
	const left: Mask = { width: 2, height: 1, data: Uint8Array.of(255, 0) };
	const grey = (value: number, length = 6): Picture => ({
		...rgbLayout({ width: 2, height: 1 }),
		data: new Uint8Array(length).fill(value),
	});
	const original = (): Picture => ({
		...rgbLayout({ width: 4, height: 2 }),
		format: 'BGRA',
		data: Uint8Array.from({ length: 32 }, (_, at) => at),
	});
	const frame = (more: Partial<StyledFrame>): StyledFrame => ({
		sequence: 0,
		capturedUs: 0,
		timestampUs: 0,
		durationUs: 0,
		epoch: 0,
		kind: 'painting',
		source: grey(10),
		picture: grey(200),
		...more,
	});
	const painter = () => new RegionPainter({ native, fit: 'stretch' });

	test('has the size and the format of the source, whose pixels it has outside', async () => {
		const { picture, part, source } = await painter().shown(frame({ region: { mask: left, original: original() } }));
		expect([picture.format, picture.width, picture.height]).toEqual(['BGRA', 4, 2]);
		expect(picture.data.subarray(12, 16)).toEqual(original().data.subarray(12, 16));
		expect(picture.data.subarray(0, 4)).toEqual(Uint8Array.of(200, 200, 200, 3));
		expect(part!.painting.data).toEqual(grey(200).data);
		expect(source.data).toEqual(grey(10).data);
	});

	test('is made of the frame’s own source each time, also where a painting is shown again', async () => {
		const shown = painter();
		const painting = grey(200);
		const first = await shown.shown(frame({ picture: painting, region: { mask: left }, source: grey(10) }));
		const again = await shown.shown(
			frame({ picture: painting, isReused: true, region: { mask: left }, source: grey(30) }),
		);
		expect([...first.picture.data]).toEqual([200, 200, 200, 10, 10, 10]);
		expect([...again.picture.data]).toEqual([200, 200, 200, 30, 30, 30]);
		expect([...painting.data]).toEqual([...grey(200).data]);
	});

	test('is whole without a region, and there is none of a frame without a painting', async () => {
		const whole = frame({});
		expect(await painter().shown(whole)).toEqual(whole);
		const unpainted = frame({ kind: 'unpainted', picture: grey(10) });
		expect(await painter().shown({ ...unpainted, region: { mask: left } })).toEqual(unpainted);
	});
});
