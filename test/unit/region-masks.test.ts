import { describe, expect, test, vi } from 'vitest';
import { regionOf } from '../../sidecar/app/regions.ts';
import { OwnRegion, parse, Region } from '../../sidecar/config/schema.ts';
import { regionOfText, textOfRegion } from '../../sidecar/config/region-text.ts';
import { RegionMasks } from '../../sidecar/region/region-masks.ts';
import { rgbLayout, type Mask, type Size, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';

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
			expect(() => parse(Region, other, 'region')).toThrow(/expected all, changed, subject, background or/);
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
