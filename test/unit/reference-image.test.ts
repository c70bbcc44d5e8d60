import { execFileSync } from 'node:child_process';
import { symlinkSync, truncateSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodePng } from '../../sidecar/control/png.ts';
import {
	checkImage,
	decodeReference,
	nameOf,
	readReference,
	REFERENCE_BYTES_MAX,
} from '../../sidecar/control/reference-image.ts';
import type { Picture } from '../../sidecar/frame/frame.ts';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';
import { bombOf, cmykJpegOf, exifOf, pngOf, withExif } from '../support/images.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const decode = async (bytes: Buffer): Promise<Picture> =>
	(await decodeReference(checkImage(bytes, 'a picture'))).picture;

const pixel = ({ width, data }: Picture, x: number, y: number): number[] => [
	...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3),
];

const refusalOf = async (bytes: Buffer): Promise<string> => {
	const error = await Promise.resolve()
		.then(() => decode(bytes))
		.then(
			() => expect.unreachable(),
			(thrown: { code: string; message: string }) => thrown,
		);
	expect(error.code, error.message).toBe('ERR_STYLE');
	return error.message;
};

/** 32 x 24, red above left, green above right, blue below left, white below right. */
const quarters =
	'-f lavfi -i color=white:s=32x24,format=rgb24,drawbox=0:0:16:12:red:fill,drawbox=16:0:16:12:lime:fill,drawbox=0:12:16:12:blue:fill -frames:v 1';
const COLOURS = { red: [255, 0, 0], green: [0, 255, 0], blue: [0, 0, 255], white: [255, 255, 255] };
const fileOf = async (name: string, options: string): Promise<Buffer> => {
	await ffmpeg(`${options} ${folder.at(name)}`);
	return readFile(folder.at(name));
};
const corners = (picture: Picture): string[] => {
	const [right, below] = [picture.width - 5, picture.height - 5];
	return [
		[4, 4],
		[right, 4],
		[4, below],
		[right, below],
	].map(([x, y]) => {
		const found = pixel(picture, x!, y!);
		const near = Object.entries(COLOURS).find(([, colour]) =>
			colour.every((value, i) => Math.abs(value - found[i]!) < 30),
		);
		return near?.[0] ?? found.join(' ');
	});
};
const UPRIGHT = ['red', 'green', 'blue', 'white'];

describe('a picture becomes RGB', () => {
	test.each([
		['png', ''],
		['jpg', '-pix_fmt yuvj444p -q:v 1'],
		['webp', '-c:v libwebp -quality 100'],
		['gif', ''],
		['bmp.png', '-pix_fmt pal8 -c:v png'],
		['deep.png', '-pix_fmt rgb48be'],
		['alpha.png', '-pix_fmt rgba64be'],
	])('of a file as %s', async (name, options) => {
		const picture = await decode(await fileOf(`quarters.${name}`, `${quarters} ${options}`.trim()));
		expect(picture).toMatchObject({ format: 'RGB', width: 32, height: 24 });
		expect(picture.data).toHaveLength(3 * 32 * 24);
		expect(corners(picture)).toEqual(UPRIGHT);
	});

	test('exactly, where the file is as exact', async () => {
		const data = new Uint8Array(3 * 40 * 20).map((_, i) => (i * 7919) % 251);
		const png = await encodePng({ width: 40, height: 20, data });
		const { id, picture } = await decodeReference(checkImage(png, 'a picture'));
		expect(Buffer.from(picture.data).equals(data)).toBe(true);
		expect(id).toMatch(/^[0-9a-f]{32}$/);
		const other = await encodePng({ width: 20, height: 40, data });
		expect((await decodeReference(checkImage(other, 'a picture'))).id).not.toBe(id);
		expect((await decodeReference(checkImage(png, 'again'))).id).toBe(id);
	});

	test('of grey in 1, 8 and 16 bits', async () => {
		for (const [bits, row, grey] of [
			[1, Buffer.from([0xff, 0xff]), 255],
			[8, Buffer.alloc(16, 90), 90],
			[16, Buffer.from('7f00'.repeat(16), 'hex'), 127],
		] as const)
			expect(pixel(await decode(pngOf({ width: 16, height: 16, colour: 0, bits, row })), 3, 3)).toEqual([
				grey,
				grey,
				grey,
			]);
	});

	test('over white where it lets through, and what cannot be seen bleeds into nothing', async () => {
		const clear = Buffer.from('ff000000'.repeat(2000), 'hex');
		expect(pixel(await decode(pngOf({ width: 2000, height: 16, colour: 6, row: clear })), 500, 2)).toEqual([
			255, 255, 255,
		]);
		const half = Buffer.from('00000080'.repeat(16), 'hex');
		for (const level of pixel(await decode(pngOf({ width: 16, height: 16, colour: 6, row: half })), 3, 3))
			expect(Math.abs(level - 127)).toBeLessThan(2);
		// Scaled down, a black pixel beside a red one that lets all through is grey.
		const striped = Buffer.from('ff000000000000ff'.repeat(1024), 'hex');
		const [red, green, blue] = pixel(await decode(pngOf({ width: 2048, height: 32, colour: 6, row: striped })), 500, 8);
		for (const level of [red, green, blue]) expect(Math.abs(level! - 127)).toBeLessThan(3);
	});

	test('of a JPEG in cyan, magenta, yellow and black', async () => {
		const picture = await decode(cmykJpegOf(16, [255, 55, 205, 255]));
		for (const [i, level] of [255, 55, 205].entries())
			expect(Math.abs(pixel(picture, 8, 8)[i]! - level)).toBeLessThan(4);
		const dark = pixel(await decode(cmykJpegOf(16, [255, 255, 255, 30])), 8, 8);
		for (const level of dark) expect(Math.abs(level - 30)).toBeLessThan(4);
	});

	test('the first frame of an animated one', async () => {
		const film = '-f lavfi -i color=red:s=32x24:r=2:d=1,format=rgb24,drawbox=0:0:32:24:lime:fill:enable=gte(n\\,1)';
		for (const [name, options] of [
			['film.gif', ''],
			['film.png', '-f apng -plays 0'],
			['film.webp', '-c:v libwebp_anim -lossless 1'],
			['lossy.webp', '-c:v libwebp_anim -quality 90'],
		] as const) {
			const bytes = await fileOf(name, `${film} ${options}`.trim());
			if (name.endsWith('webp')) expect(bytes.includes('ANMF')).toBe(true);
			const picture = await decode(bytes);
			expect([picture.width, picture.height], name).toEqual([32, 24]);
			expect(corners(picture), name).toEqual(['red', 'red', 'red', 'red']);
		}
	});

	test('the way up that Exif says', async () => {
		const jpeg = await fileOf('plain.jpg', `${quarters} -pix_fmt yuvj444p -q:v 1`);
		const [red, green, blue, white] = UPRIGHT;
		for (const [orientation, expected] of [
			[1, [red, green, blue, white]],
			[2, [green, red, white, blue]],
			[3, [white, blue, green, red]],
			[4, [blue, white, red, green]],
			[5, [red, blue, green, white]],
			[6, [blue, red, white, green]],
			[7, [white, green, blue, red]],
			[8, [green, white, red, blue]],
			[9, [red, green, blue, white]],
		] as const)
			for (const order of ['II', 'MM'] as const) {
				const picture = await decode(withExif(jpeg, exifOf(orientation, order)));
				expect(corners(picture), `${orientation} ${order}`).toEqual(expected);
				const isTransposed = orientation >= 5 && orientation <= 8;
				expect([picture.width, picture.height]).toEqual(isTransposed ? [24, 32] : [32, 24]);
			}
		const png = pngOf({ width: 32, height: 16, chunks: [['eXIf', exifOf(6)]] });
		expect(await decode(png)).toMatchObject({ width: 16, height: 32 });
	});

	test('without what lies beside it and would unpack to a quarter of a gigabyte', async () => {
		for (const type of ['zTXt', 'iCCP'] as const) {
			const png = pngOf({ width: 16, height: 16, chunks: [bombOf(type, 2 ** 28)] });
			const image = checkImage(png, 'a picture');
			expect(image.bytes.includes(type)).toBe(false);
			expect(image.bytes.length).toBeLessThan(1000);
			expect((await decodeReference(image)).picture).toMatchObject({ width: 16, height: 16 });
		}
	});

	test('no larger than 1024 px', async () => {
		expect(await decode(pngOf({ width: 8192, height: 40 }))).toMatchObject({ width: 1024, height: 5 });
		expect(await decode(pngOf({ width: 700, height: 2800 }))).toMatchObject({ width: 256, height: 1024 });
	});
});

describe('refused with a reason', () => {
	test.each<[string, Buffer, RegExp]>([
		['nothing', Buffer.alloc(0), /is no picture that is understood, expected a PNG, JPEG, WebP or GIF file/],
		['a text', Buffer.from('a starry night over the Rhone'), /is no picture/],
		['a playlist', Buffer.from('#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n'), /is no picture/],
		['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /is no picture/],
		['one pixel', pngOf({ width: 1, height: 1 }), /has 1x1 px, expected sides of 16 to 8192 px/],
		['20,000 pixels a side', pngOf({ width: 20_000, height: 20_000, rows: 1 }), /has 20000x20000 px/],
		['many pixels', pngOf({ width: 8000, height: 8000, rows: 1 }), /has 64000000 pixels, expected at most 50000000/],
		['half a header', pngOf({ width: 16, height: 16 }).subarray(0, 20), /is no picture/],
		['a header alone', pngOf({ width: 64, height: 64 }).subarray(0, 33), /cannot be decoded/],
		[
			'another size inside',
			Buffer.concat([
				pngOf({ width: 64, height: 64 }).subarray(0, 33),
				pngOf({ width: 9000, height: 9000 }).subarray(8),
			]),
			/cannot be decoded/,
		],
	])('%s', async (_, bytes, expected) => {
		expect(await refusalOf(bytes)).toMatch(expected);
	});

	test('a PNG, a JPEG, a WebP and a GIF that are cut off', async () => {
		for (const [name, options] of [
			['cut.png', ''],
			['cut.jpg', '-pix_fmt yuvj420p'],
			['cut.webp', '-c:v libwebp -lossless 1'],
			['cut.gif', ''],
		] as const) {
			const bytes = await fileOf(name, `-f lavfi -i testsrc2=s=320x240 -frames:v 1 ${options}`.trim());
			expect(await refusalOf(bytes.subarray(0, bytes.length / 2)), name).toMatch(/cannot be decoded/);
		}
	});

	test('what is no file, or too large a one', async () => {
		const of = async (path: string) =>
			await readReference(path).then(
				() => 'was read',
				({ code, message }: { code: string; message: string }) => `${code} ${message}`,
			);
		await mkdir(folder.at('a-folder'));
		execFileSync('mkfifo', [folder.at('pipe.png')]);
		await writeFile(folder.at('huge.png'), '');
		truncateSync(folder.at('huge.png'), REFERENCE_BYTES_MAX + 1);
		symlinkSync('/dev/zero', folder.at('zero.png'));
		expect(await of(folder.at('missing.png'))).toMatch(/^ERR_STYLE .* cannot be read \(ENOENT\)$/);
		for (const path of [folder.at('a-folder'), folder.at('pipe.png'), folder.at('zero.png'), '/dev/zero'])
			expect(await of(path)).toMatch(/^ERR_STYLE .* is not a regular file$/);
		expect(await of(folder.at('huge.png'))).toMatch(/has 67108865 bytes, expected at most 67108864$/);
	});
});

test('the name of a picture is short, and obeyed by no terminal', () => {
	expect(nameOf('starry.png')).toBe('starry.png');
	expect(nameOf('\u001b[31mred\n\u009b.png')).toBe('[31mred.png');
	expect(nameOf(' \n')).toBe('picture');
	expect(nameOf('x'.repeat(1000))).toHaveLength(128);
});
