import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { regionOf } from '../../sidecar/app/regions.ts';
import { parse } from '../../sidecar/config/schema/parse.ts';
import { OwnRegion, Region } from '../../sidecar/config/schema/preset.ts';
import { regionOfText, textOfRegion } from '../../sidecar/config/region-text.ts';
import { RegionMasks } from '../../sidecar/region/region-masks.ts';
import {
	pictureByteLength,
	rgbLayout,
	type Mask,
	type Picture,
	type PixelFormat,
	type Size,
	type StyledFrame,
} from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';
import { log } from '../../sidecar/telemetry/logger.ts';

const native = loadNative();
const SOURCE = { width: 320, height: 180 };
const PAINTED = { width: 160, height: 96 };

/** A frame of a room in which a bright box stands at `x`, in px of the painting; undefined: none. */
const frame = (sequence: number, x?: number): StyledFrame => {
	const layout = rgbLayout(PAINTED);
	const data = new Uint8Array(3 * PAINTED.width * PAINTED.height).fill(80);
	for (let y = 30; y < 70 && x !== undefined; y++)
		data.fill(220, 3 * (y * PAINTED.width + x), 3 * (y * PAINTED.width + x + 40));
	const picture = { ...layout, data };
	const times = { sequence, capturedUs: 0, timestampUs: 40_000 * sequence, durationUs: 40_000 };
	return { ...times, epoch: 0, kind: 'painting', source: picture, picture };
};

const filled = (size: Size, share: (x: number, y: number) => number): Mask => ({
	...size,
	data: Uint8Array.from({ length: size.width * size.height }, (_, at) =>
		share(at % size.width, Math.floor(at / size.width)),
	),
});

const masksWith = (
	load: (file: string, size: Size) => Promise<Mask> = async (_, size) => filled(size, (x) => (x < 100 ? 255 : 0)),
	fit: 'stretch' | 'cover' | 'contain' = 'stretch',
	painted: Size = PAINTED,
) => new RegionMasks({ native, source: SOURCE, painted, fit, load });

const wanted = (text: string, revision = 0) =>
	regionOf({
		region: parse(
			OwnRegion,
			regionOfText(text, (name) => name),
			'region',
		),
		revision,
	})!;
const share = ({ width, height, data }: Mask, x: number, y: number) =>
	data[Math.floor((y * height) / PAINTED.height) * width + Math.floor((x * width) / PAINTED.width)]!;

describe('a region, as it is written', () => {
	test('is a word, a word with something behind it, or a file', () => {
		for (const [text, region] of [
			['all', undefined],
			['changed', { of: 'changed', isInverted: false, featherPx: 0 }],
			['subject,feather=12', { of: 'subject', isInverted: false, featherPx: 12 }],
			['background', { of: 'subject', isInverted: true, featherPx: 0 }],
			['background,invert', { of: 'subject', isInverted: false, featherPx: 0 }],
			['alpha,invert,feather=4', { of: 'alpha', isInverted: true, featherPx: 4 }],
			['face.png,invert,feather=2.5', { of: { file: 'face.png' }, isInverted: true, featherPx: 2.5 }],
		] as const) {
			const own = parse(
				OwnRegion,
				regionOfText(text, (name) => name),
				'region',
			);
			expect(regionOf({ region: own, revision: 3 })).toEqual(region && { ...region, revision: 3 });
			expect(textOfRegion(own)).toBe(text);
		}
	});

	test('from elsewhere names no file but beside the presets', () => {
		for (const mask of ['../face.png', '/etc/passwd', 'a/b.png', 'face.txt', ''])
			expect(() => parse(Region, { mask }, 'region'), mask).toThrow(/expected a (plain file name|file name that ends)/);
		for (const other of ['sky', 7, null, [], true])
			expect(() => parse(Region, other, 'region')).toThrow(/expected all, changed, subject, background, alpha or/);
		for (const other of [{ mask: 'face.png', feather: -1 }, { mask: 'face.png', blur: 2 }, { invert: true }])
			expect(() => parse(Region, other, 'region')).toThrow(/feather|blur|mask/);
		expect(parse(Region, { mask: 'face.png', invert: true, feather: 4 }, 'region')).toBeTruthy();
	});

	test('is told without the folder of its file', () => {
		expect(textOfRegion({ mask: '/srv/masks/face.png', feather: 3 })).toBe('face.png,feather=3');
	});
});

describe('the mask of a frame', () => {
	test('is that of the file, loaded once, at the size of the source', async () => {
		const load = vi.fn(async (_: string, size: Size) => filled(size, (x) => (x < 100 ? 255 : 0)));
		const masks = masksWith(load);
		for (let i = 0; i < 5; i++) {
			const mask = (await masks.maskOf(frame(i), wanted('left.png')))!;
			expect(mask).toMatchObject(SOURCE);
			expect([share(mask, 10, 20), share(mask, 90, 20)]).toEqual([255, 0]);
		}
		expect(load).toHaveBeenCalledTimes(1);
		const other = (await masks.maskOf(frame(5), wanted('left.png,invert')))!;
		expect([share(other, 10, 20), share(other, 90, 20)]).toEqual([0, 255]);
	});

	test('is cropped, or has bars that are not painted, as the source is', async () => {
		// The painting is square: of the source's 320 columns it shows 70 to 250, or has bars above and below.
		const square = { width: 96, height: 96 };
		const left = async (_: string, size: Size) => filled(size, (x) => (x < 160 ? 255 : 0));
		const cropped = (await masksWith(left, 'cover', square).maskOf(frame(0), wanted('left.png')))!;
		expect(cropped).toMatchObject({ width: 180, height: 180 });
		expect([...cropped.data.subarray(88, 92)]).toEqual([255, 255, 0, 0]);
		const all = async (_: string, size: Size) => filled(size, (x) => (x < 319 ? 255 : 0));
		const barred = (await masksWith(all, 'contain', square).maskOf(frame(0), wanted('left.png')))!;
		expect(barred).toMatchObject({ width: 320, height: 320 });
		expect([barred.data[10 * 320], barred.data[160 * 320], barred.data[310 * 320]]).toEqual([0, 255, 0]);
	});

	test('is everything where the mask is full, or is none: what was to be hidden does not come to light', async () => {
		const full = masksWith(async (_, size) => filled(size, () => 255));
		expect(await full.maskOf(frame(0), wanted('full.png'))).toBeUndefined();
		const broken = masksWith(() => Promise.reject(new Error('no picture')));
		expect(await broken.maskOf(frame(0), wanted('broken.png'))).toBeUndefined();
		await expect(broken.check(wanted('broken.png'))).rejects.toThrow('no picture');
	});

	test('is nothing where the mask is empty', async () => {
		const mask = await masksWith(async (_, size) => filled(size, () => 0)).maskOf(frame(0), wanted('empty.png'));
		expect(mask!.data.some((value) => value !== 0)).toBe(false);
	});

	test('follows the subject, and the background is the rest', async () => {
		const masks = masksWith();
		for (let i = 0; i < 10; i++) await masks.maskOf(frame(i), wanted('subject'));
		let mask: Mask | undefined;
		for (let i = 10; i < 30; i++) mask = await masks.maskOf(frame(i, 10 + i), wanted('subject'));
		expect([share(mask!, 60, 50), share(mask!, 130, 50)]).toEqual([255, 0]);
		// Live to the inverse, which knows the same background, and gets there softly.
		const levels = [];
		for (let i = 30; i < 45; i++) {
			mask = await masks.maskOf(frame(i, 40), wanted('background'));
			levels.push(share(mask!, 60, 50));
		}
		expect([share(mask!, 60, 50), share(mask!, 130, 50)]).toEqual([0, 255]);
		for (const [i, level] of levels.entries()) expect(Math.abs(level - (levels[i - 1] ?? 255))).toBeLessThan(90);
	});

	test('learns the background anew when the same is asked for once more', async () => {
		const masks = masksWith();
		for (let i = 0; i < 10; i++) await masks.maskOf(frame(i), wanted('subject'));
		let mask: Mask | undefined;
		for (let i = 10; i < 20; i++) mask = await masks.maskOf(frame(i, 60), wanted('subject'));
		expect(share(mask!, 80, 50)).toBe(255);
		for (let i = 20; i < 35; i++) mask = await masks.maskOf(frame(i, 60), wanted('subject', 1));
		expect(share(mask!, 80, 50)).toBe(0);
	});
});

describe('the alpha of the source as a mask', () => {
	afterEach(() => void vi.restoreAllMocks());

	/** A picture of noise, and its alpha: in it for BGRA and RGBA, else behind it. */
	const lookOf = (format: PixelFormat, size: Size, alpha: (pixel: number) => number) => {
		const layout = { ...rgbLayout(size), format };
		const pixels = size.width * size.height;
		const data = new Uint8Array(pictureByteLength(layout)).map((_, at) => (at * 37) % 251);
		const isInside = format === 'BGRA' || format === 'RGBA';
		for (let pixel = 0; isInside && pixel < pixels; pixel++) data[4 * pixel + 3] = alpha(pixel);
		const picture: Picture = { ...layout, data };
		const alphaPlane = Uint8Array.from({ length: isInside ? 0 : pixels }, (_, pixel) => alpha(pixel));
		return { picture, alphaPlane, timestampUs: 0 };
	};
	const masksOf = (source: Size) =>
		new RegionMasks({
			native,
			source,
			painted: PAINTED,
			fit: 'stretch',
			load: () => Promise.reject(new Error('none')),
		});

	test('is what every pixel has, in whichever format, and its inverse the rest', async () => {
		const size = fc.record({ width: fc.integer({ min: 1, max: 9 }), height: fc.integer({ min: 1, max: 9 }) });
		const formats = fc.constantFrom<PixelFormat>('BGRA', 'RGBA', 'I420', 'UYVY');
		await fc.assert(
			fc.asyncProperty(
				formats,
				size,
				fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
				async (format, of, bytes) => {
					const alphas = Array.from({ length: of.width * of.height }, () => bytes.next().value as number);
					const look = lookOf(format, of, (pixel) => alphas[pixel]!);
					const seen = async (text: string) => [
						...((await masksOf(of).maskOf(look, wanted(text)))?.data ?? alphas.map(() => 255)),
					];
					expect(await seen('alpha')).toEqual(alphas);
					expect(await seen('alpha,invert')).toEqual(alphas.map((alpha) => 255 - alpha));
				},
			),
			{ numRuns: 200 },
		);
	});

	test('is everything where the source is opaque all over', async () => {
		const look = lookOf('BGRA', SOURCE, () => 255);
		expect(await masksOf(SOURCE).maskOf(look, wanted('alpha'))).toBeUndefined();
	});

	test('follows the picture, and is the same mask while that has the same alpha', async () => {
		const masks = masksOf(SOURCE);
		const until = (x: number) => lookOf('BGRA', SOURCE, (pixel) => (pixel % SOURCE.width < x ? 255 : 0));
		const first = await masks.maskOf(until(100), wanted('alpha,feather=4'));
		expect(await masks.maskOf(until(100), wanted('alpha,feather=4'))).toBe(first);
		const next = (await masks.maskOf(until(101), wanted('alpha,feather=4')))!;
		expect([first!.data[100], next.data[100]! > 0, next.data[101]]).toEqual([0, true, 0]);
		const hard = (await masks.maskOf(until(101), wanted('alpha')))!;
		expect([hard.data[100], hard.data[101]]).toEqual([255, 0]);
	});

	test('of a source that has none is everything, which is said once', async () => {
		const warn = vi.spyOn(log, 'warn').mockImplementation(() => {});
		const masks = masksOf(SOURCE);
		for (let i = 0; i < 3; i++) expect(await masks.maskOf(frame(i), wanted('alpha'))).toBeUndefined();
		expect(warn.mock.calls).toEqual([['the source has no alpha to be a mask, all is painted']]);
	});
});
