import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { centred } from '../../sidecar/region/mask.ts';
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

/** A mask as the addon shapes it, and what it shows. */
const shaped = async (mask: Mask, { isInverted = false, feather = 0 } = {}) => {
	const target = { ...mask, data: new Uint8Array(mask.data.length) };
	return { extent: await native.shapeMask(mask, isInverted, feather, target), mask: target };
};

describe('a soft edge', () => {
	test('lies inside the mask: what was nothing is nothing, and nothing grows', async () => {
		await fc.assert(
			fc.asyncProperty(masks(SHARE), fc.double({ min: 0, max: 6, noNaN: true }), async (mask, feather) => {
				const { mask: soft } = await shaped(mask, { feather });
				for (const [at, share] of mask.data.entries()) {
					expect(soft.data[at]).toBeLessThanOrEqual(share);
					if (share === 0) expect(soft.data[at]).toBe(0);
				}
			}),
		);
	});

	test('rises evenly over the pixels it was asked for, from any side, and not from the edge of the picture', async () => {
		const data = new Uint8Array(11 * 11).fill(255);
		data[5 * 11 + 5] = 0;
		const { mask: soft } = await shaped({ width: 11, height: 11, data }, { feather: 3 });
		const along = (dx: number, dy: number) => [0, 1, 2, 3, 4].map((i) => soft.data[(5 + i * dy) * 11 + 5 + i * dx]!);
		for (const [dx, dy] of [
			[1, 0],
			[-1, 0],
			[0, 1],
			[0, -1],
		] as const)
			expect(along(dx, dy)).toEqual([0, 63, 127, 191, 255]);
		expect(along(1, 1)).toEqual([0, 89, 178, 255, 255]);
		expect(soft.data[0]).toBe(255);
	});

	test('what is painted everywhere, nowhere or somewhere is told apart, with an edge or without', async () => {
		const mask = (...shares: number[]): Mask => ({ width: 2, height: 1, data: Uint8Array.from(shares) });
		for (const feather of [0, 4]) {
			expect(await shaped(mask(0, 0), { feather })).toMatchObject({ extent: 'nothing', mask: mask(0, 0) });
			expect(await shaped(mask(255, 255), { feather })).toMatchObject({ extent: 'all', mask: mask(255, 255) });
			expect((await shaped(mask(255, 254), { feather })).extent).toBe('some');
			const inverted = await shaped(mask(255, 255), { feather, isInverted: true });
			expect(inverted).toMatchObject({ extent: 'nothing', mask: mask(0, 0) });
		}
		expect((await shaped(mask(255, 3), { isInverted: true })).mask).toEqual(mask(0, 252));
	});

	test('refuses what is no mask, no length and no memory of its own', async () => {
		const mask = (length: number): Mask => ({ width: 2, height: 2, data: new Uint8Array(length) });
		const one = mask(4);
		await expect(native.shapeMask(mask(3), false, 0, mask(4))).rejects.toThrow(/mask\.data but received 3/);
		await expect(native.shapeMask(one, false, 0, one)).rejects.toThrow(/apart from mask\.data/);
		await expect(native.shapeMask(one, false, 0, { width: 4, height: 1, data: new Uint8Array(4) })).rejects.toThrow(
			/2x2, for target/,
		);
		for (const feather of [-1, NaN, 1e9])
			await expect(native.shapeMask(one, false, feather, mask(4))).rejects.toThrow(/from 0 to 16384 for featherPx/);
		await expect(native.shapeMask(one, 1 as unknown as boolean, 0, mask(4))).rejects.toThrow(/true or false/);
	});
});

describe('the alpha of a picture', () => {
	test('is that of its pixels', async () => {
		const data = Uint8Array.from({ length: 4 * 6 }, (_, at) => 10 * at);
		const mask: Mask = { width: 3, height: 2, data: new Uint8Array(6) };
		for (const format of ['BGRA', 'RGBA'] as const)
			await native.takeAlpha({ ...rgbLayout({ width: 3, height: 2 }), format, data }, mask);
		expect([...mask.data]).toEqual([30, 70, 110, 150, 190, 230]);
	});

	test('is refused of pictures that have none, and of masks of another size', async () => {
		const picture: Picture = { ...rgbLayout({ width: 3, height: 2 }), data: new Uint8Array(18) };
		const mask: Mask = { width: 3, height: 2, data: new Uint8Array(6) };
		await expect(native.takeAlpha(picture, mask)).rejects.toThrow(
			/'BGRA' or 'RGBA' for picture\.format but received 'RGB'/,
		);
		const rgba: Picture = { ...picture, format: 'RGBA', data: new Uint8Array(24) };
		await expect(native.takeAlpha(rgba, { ...mask, width: 2, height: 3 })).rejects.toThrow(/3x2, for mask/);
	});
});

describe('a mask over what is painted of the source', () => {
	const mask: Mask = { width: 4, height: 2, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) };

	test('is itself where all of the source is', () => expect(centred(mask, { width: 4, height: 2 })).toBe(mask));

	test('is cut where the source is', () => {
		expect([...centred(mask, { width: 2, height: 2 }).data]).toEqual([2, 3, 6, 7]);
		expect([...centred(mask, { width: 4, height: 1 }).data]).toEqual([1, 2, 3, 4]);
	});

	test('is nothing in the bars', () => {
		expect([...centred(mask, { width: 6, height: 2 }).data]).toEqual([0, 1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0]);
		expect([...centred(mask, { width: 2, height: 4 }).data]).toEqual([0, 0, 2, 3, 6, 7, 0, 0]);
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
