import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PICTURE_BYTES_MAX } from '../../sidecar/config/schema/preset.ts';
import { writeGuarded } from '../../sidecar/control/file-guard.ts';
import { imageHeaderOf } from '../../sidecar/control/image-header.ts';
import { BUNDLE_BYTES_MAX, bundleOf, readPicturedPreset } from '../../sidecar/control/preset-bundle.ts';
import { removePreset, savePreset } from '../../sidecar/control/preset-store.ts';
import { readPreset } from '../../sidecar/control/presets.ts';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';
import { presetOf } from '../support/frames.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const pictures: Record<string, Buffer> = {};

beforeAll(async () => {
	folder = await openTemporaryFolder();
	const source = '-f lavfi -i testsrc2=size=160x90:rate=1:duration=1 -frames:v 1';
	const kinds: [string, string][] = [
		['png', '-c:v png'],
		['jpg', '-pix_fmt yuvj420p'],
		['lossy.webp', '-c:v libwebp'],
		['lossless.webp', '-c:v libwebp -lossless 1 -pix_fmt bgra'],
	];
	for (const [name, options] of kinds) {
		await ffmpeg(`${source} ${options} ${folder.at(`a.${name}`)}`);
		pictures[name] = readFileSync(folder.at(`a.${name}`));
	}
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

/** The user's own folder, and one beside it that nothing may reach. */
let own: string;
let outside: string;
let runs = 0;
beforeEach(async () => {
	own = folder.at(`${++runs}/own/presets`);
	outside = folder.at(`${runs}/outside`);
	await mkdir(outside, { recursive: true });
});

const preset = presetOf('mine', { prompt: 'transfer this to my style', strength: 0.75, seed: 7 });
const bundle = (changes: object = {}) => ({ format: 'allaprima-style-bundle', formatVersion: 1, preset, ...changes });

const write = async (value: unknown, name = 'given.allaprima-style'): Promise<string> => {
	const path = folder.at(`${runs}/${name}`);
	await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value));
	return path;
};

const importFile = async (path: string, replace = false) =>
	await savePreset(await readPicturedPreset(path), { folder: own, replace });

/** What is said against it; nothing may have been written. */
const refusalOf = async (value: unknown): Promise<string> => {
	const path = await write(value);
	const error = await importFile(path).then(
		() => expect.unreachable(),
		(thrown: { code: string; message: string }) => thrown,
	);
	expect(error.code, error.message).toBe('ERR_STYLE');
	expect(await readdir(own).catch(() => [])).toEqual([]);
	expect(await readdir(outside)).toEqual([]);
	return error.message.replaceAll(path, 'FILE');
};

const base64 = (bytes: Buffer | undefined) => bytes!.toString('base64');

describe('a bundle', () => {
	test('goes out and comes in, byte for byte', async () => {
		const given = {
			preset,
			pictures: {
				thumbnail: { type: 'png', bytes: pictures['png']! },
				reference: { type: 'jpg', bytes: pictures['jpg']! },
			},
		} as const;
		const text = bundleOf(given);
		const path = await importFile(await write(text));
		expect(path).toBe(`${own}/mine.style.json`);
		expect((await readdir(own)).sort()).toEqual(['mine.reference.jpg', 'mine.style.json', 'mine.thumbnail.png']);
		expect(await readFile(`${own}/mine.thumbnail.png`)).toEqual(pictures['png']);
		expect(await readFile(`${own}/mine.reference.jpg`)).toEqual(pictures['jpg']);
		expect(await readPreset(path)).toEqual({
			...preset,
			thumbnail: 'mine.thumbnail.png',
			reference: 'mine.reference.jpg',
		});
		expect(bundleOf(await readPicturedPreset(path))).toBe(text);
	});

	test('takes the mask of its region along', async () => {
		const masked = { ...preset, region: { mask: 'anything.png', feather: 4 } } as const;
		const text = bundleOf({ preset: masked, pictures: { mask: { type: 'png', bytes: pictures['png']! } } });
		const path = await importFile(await write(text));
		expect(await readFile(`${own}/mine.mask.png`)).toEqual(pictures['png']);
		expect(await readPreset(path)).toEqual({ ...masked, region: { mask: 'mine.mask.png', feather: 4 } });
		expect(Object.keys((await readPicturedPreset(path)).pictures)).toEqual(['mask']);
	});

	test('whose region has a mask that is not in it is refused; one of a word needs none', async () => {
		expect(await refusalOf(bundle({ preset: { ...preset, region: { mask: '../../face.png' } } }))).toMatch(/region/);
		expect(await refusalOf(bundle({ preset: { ...preset, region: { mask: 'face.png' } } }))).toMatch(
			/preset\.region: expected a region whose mask is in the bundle/,
		);
		const path = await importFile(await write(bundle({ preset: { ...preset, region: 'subject' } })));
		expect(await readPreset(path)).toMatchObject({ region: 'subject' });
	});

	test('without pictures, of an older version, and as a plain preset file', async () => {
		const older = { ...preset, formatVersion: 1, $schema: './style.schema.json' };
		const path = await importFile(await write(bundle({ preset: older })));
		expect(await readPreset(path)).toEqual(preset);
		expect(await readPreset(await importFile(await write(older, 'mine.style.json'), true))).toEqual(preset);
	});

	test.each(['png', 'jpg', 'lossy.webp', 'lossless.webp'])('may have a picture as %s', async (name) => {
		expect(imageHeaderOf(pictures[name]!)).toEqual({ type: name.split('.').at(-1), width: 160, height: 90 });
		await importFile(await write(bundle({ thumbnail: base64(pictures[name]) })));
		const file = (await readPreset(`${own}/mine.style.json`)).thumbnail!;
		expect(file).toBe(`mine.thumbnail.${name.split('.').at(-1)}`);
		expect(await readFile(`${own}/${file}`)).toEqual(pictures[name]);
	});

	test('of a style that is shown by a picture alone keeps it, and is none without it', async () => {
		const { prompt: _, ...shown } = preset;
		const reference = { type: 'webp', bytes: pictures['lossy.webp']! } as const;
		const text = bundleOf({ preset: shown, pictures: { reference } });
		const path = await importFile(await write(text));
		expect(await readPreset(path)).toEqual({ ...shown, reference: 'mine.reference.webp' });
		expect(bundleOf(await readPicturedPreset(path))).toBe(text);
		const { reference: _lost, ...wordless } = JSON.parse(text) as Record<string, unknown>;
		await removePreset('mine', own);
		expect(await refusalOf(wordless)).toMatch(
			/reference: is missing, expected a picture in base64, for there is no prompt$/,
		);
	});

	test('names line, column and reason of what is wrong in it', async () => {
		const wrong = JSON.stringify(bundle({ preset: { ...preset, strength: 3 } }), null, '\t');
		expect(await refusalOf(wrong)).toBe('FILE:11:15 preset.strength: expected a number from 0 to 1, found 3');
		expect(await refusalOf(bundle({ formatVersion: 2 }))).toBe('FILE:1:52 formatVersion: expected 1, found 2');
		expect(await refusalOf(bundle({ preset: undefined }))).toBe('FILE:1:1 preset: is missing, expected an object');
		expect(await refusalOf(bundle({ script: 'x' }))).toMatch(/script: is no key that is known/);
	});
});

describe('importing touches nothing but the folder', () => {
	test.each([
		'../mine',
		'../../outside/mine',
		'/tmp/mine',
		'a/b',
		'a\\b',
		'..',
		'.',
		'',
		'Mine',
		'mine\u0000',
		'mine.png',
	])('whatever the name: %j', async (name) => {
		expect(await refusalOf(bundle({ preset: { ...preset, name } }))).toMatch(
			/preset\.name: expected a name in kebab-case/,
		);
	});

	test.each(['next', 'previous', 'passthrough'])('%s is no name for one of the user’s own', async (name) => {
		expect(await refusalOf(bundle({ preset: { ...preset, name } }))).toMatch(/is a word of Alla Prima/);
	});

	test('file names in it are not used', async () => {
		await writeFile(`${outside}/secret.png`, pictures['png']!);
		const named = { ...preset, thumbnail: 'secret.png' };
		await importFile(await write(bundle({ preset: named, thumbnail: base64(pictures['jpg']) })));
		expect(await readPreset(`${own}/mine.style.json`)).toMatchObject({ thumbnail: 'mine.thumbnail.jpg' });
		expect((await readdir(own)).sort()).toEqual(['mine.style.json', 'mine.thumbnail.jpg']);
	});

	test('a symbolic link in the way is not followed, and is not replaced unless that is asked for', async () => {
		await mkdir(own, { recursive: true });
		for (const [target, name] of [
			['preset', 'mine.style.json'],
			['picture', 'mine.thumbnail.png'],
		] as const) {
			await writeFile(`${outside}/${target}`, 'theirs');
			await symlink(`${outside}/${target}`, `${own}/${name}`);
		}
		const path = await write(bundle({ thumbnail: base64(pictures['png']) }));
		await expect(importFile(path)).rejects.toMatchObject({
			code: 'ERR_STYLE',
			message: `${own}/mine.thumbnail.png is there already. --force replaces it.`,
		});
		expect(lstatSync(`${own}/mine.style.json`).isSymbolicLink()).toBe(true);
		await importFile(path, true);
		expect(lstatSync(`${own}/mine.style.json`).isFile()).toBe(true);
		expect(lstatSync(`${own}/mine.thumbnail.png`).isFile()).toBe(true);
		expect(await readFile(`${outside}/preset`, 'utf8')).toBe('theirs');
		expect(await readFile(`${outside}/picture`, 'utf8')).toBe('theirs');
	});

	test('what lies beside a preset file is read only if it is a file there', async () => {
		await writeFile(`${outside}/secret.png`, pictures['png']!);
		await symlink(`${outside}/secret.png`, folder.at(`${runs}/link.png`));
		execFileSync('mkfifo', [folder.at(`${runs}/fifo.png`)]);
		const readWith = async (thumbnail: string) => {
			const path = await write({ ...preset, thumbnail }, 'mine.style.json');
			return await readPicturedPreset(path).then(
				() => 'read',
				(error: Error) => error.message.replaceAll(folder.at(String(runs)), 'FOLDER'),
			);
		};
		expect(await readWith('link.png')).toBe('FOLDER/link.png: is a symbolic link, expected a file');
		expect(await readWith('fifo.png')).toBe('FOLDER/fifo.png: is not a regular file');
		expect(await readWith('absent.png')).toBe('FOLDER/absent.png: cannot be read (ENOENT)');
		await writeFile(folder.at(`${runs}/here.png`), pictures['png']!);
		expect(await readWith('here.png')).toBe('read');
	});
});

describe('importing loses nothing', () => {
	test('what is there stays, to the last byte, and nothing is left beside it', async () => {
		await importFile(await write(bundle({ thumbnail: base64(pictures['png']) })));
		const before = await readFile(`${own}/mine.style.json`);
		const path = await write(bundle({ preset: { ...preset, title: 'Other' }, reference: base64(pictures['jpg']) }));
		await expect(importFile(path)).rejects.toMatchObject({
			message: `${own}/mine.style.json is there already. --force replaces it.`,
		});
		expect(await readFile(`${own}/mine.style.json`)).toEqual(before);
		expect((await readdir(own)).sort()).toEqual(['mine.style.json', 'mine.thumbnail.png']);
		await importFile(path, true);
		expect(await readPreset(`${own}/mine.style.json`)).toMatchObject({ title: 'Other' });
		expect((await readdir(own)).sort()).toEqual(['mine.reference.jpg', 'mine.style.json']);
	});

	test('of two that come at once, one is there whole', async () => {
		const imports = ['One', 'Two', 'Three', 'Four'].map(async (title) => {
			const path = await write(bundle({ preset: { ...preset, title } }), `${title}.allaprima-style`);
			return await importFile(path);
		});
		const settled = await Promise.allSettled(imports);
		expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
		expect(await readdir(own)).toEqual(['mine.style.json']);
		await readPreset(`${own}/mine.style.json`);
	});
});

describe('a picture', () => {
	/** The size that its header tells. */
	const sized = (name: string, width: number, height: number): Buffer => {
		const bytes = Buffer.from(pictures[name]!);
		if (name === 'png') {
			bytes.writeUInt32BE(width, 16);
			bytes.writeUInt32BE(height, 20);
		} else {
			const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
			bytes.writeUInt16BE(height, frame + 5);
			bytes.writeUInt16BE(width, frame + 7);
		}
		return bytes;
	};

	test.each<[string, () => Buffer]>([
		['text', () => Buffer.from('#!/bin/sh\nrm -rf ~\n')],
		['a page', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')],
		['nothing', () => Buffer.alloc(0)],
		['a PNG that is cut off', () => pictures['png']!.subarray(0, 18)],
		['a PNG without its size', () => Buffer.concat([pictures['png']!.subarray(0, 8), Buffer.alloc(40)])],
		['a JPEG that is cut off', () => pictures['jpg']!.subarray(0, 6)],
		['a JPEG that is all fill', () => Buffer.concat([Buffer.from([0xff, 0xd8]), Buffer.alloc(100_000, 0xff)])],
		['a WebP that is cut off', () => pictures['lossy.webp']!.subarray(0, 24)],
		['a sound', () => Buffer.concat([Buffer.from('RIFF\x00\x00\x00\x00WAVEfmt '), Buffer.alloc(40)])],
	])('is none: %s', async (_, bytes) => {
		expect(await refusalOf(bundle({ thumbnail: base64(bytes()) }))).toMatch(
			/^FILE:1:\d+ thumbnail: is no picture that is understood, expected a PNG, JPEG or WebP file$/,
		);
	});

	test.each<[string, number, number]>([
		['png', 4097, 90],
		['png', 160, 0xffff_ffff],
		['png', 0, 90],
		['jpg', 65_535, 65_535],
		['jpg', 160, 0],
	])('as %s of %ix%i px is refused', async (name, width, height) => {
		expect(await refusalOf(bundle({ reference: base64(sized(name, width, height)) }))).toMatch(
			new RegExp(`reference: has ${width}x${height} px, expected sides of 1 to 4096 px$`),
		);
	});

	test('of 4096x4096 px is taken', async () => {
		const path = await importFile(await write(bundle({ reference: base64(sized('png', 4096, 4096)) })));
		expect(await readPreset(path)).toMatchObject({ reference: 'mine.reference.png' });
	});

	test.each(['thumbnail', 'reference'] as const)('has a largest size: %s', async (kind) => {
		const most = PICTURE_BYTES_MAX[kind];
		const padded = (byteLength: number) =>
			base64(Buffer.concat([pictures['png']!, Buffer.alloc(byteLength - pictures['png']!.length)]));
		expect(await refusalOf(bundle({ [kind]: padded(most + 1) }))).toMatch(
			new RegExp(`^FILE:1:\\d+ ${kind}: (has ${most + 1} bytes, expected at most ${most}|expected text of)`),
		);
		expect(await refusalOf(bundle({ [kind]: padded(most + 1000) }))).toMatch(/expected text of 0 to \d+ characters/);
		await importFile(await write(bundle({ [kind]: padded(most) })));
	});

	test.each(['%%%%', 'AAA', 'iVBOR w0KGgo=', 'http://127.0.0.1/x.png', 'data:image/png;base64,AAAA'])(
		'is base64 and nothing else: %s',
		async (data) => {
			expect(await refusalOf(bundle({ thumbnail: data }))).toMatch(/thumbnail: expected a picture in base64/);
		},
	);
});

describe('a hostile bundle', () => {
	test('that is too large is refused by its size', async () => {
		expect(await refusalOf(' '.repeat(BUNDLE_BYTES_MAX + 1))).toBe(
			`FILE: has ${BUNDLE_BYTES_MAX + 1} bytes, expected at most ${BUNDLE_BYTES_MAX}`,
		);
	});

	test('of many levels or values is refused before anything recurses', async () => {
		expect(await refusalOf('['.repeat(1_000_000))).toMatch(/at most 16 levels/);
		expect(await refusalOf(`{"preset":[${'0,'.repeat(1_000_000)}0]}`)).toMatch(/at most 4000 keys, values and signs/);
	});

	test('reaches no prototype', async () => {
		const text = JSON.stringify(bundle()).replace('"preset":', '"__proto__":');
		expect(await refusalOf(text)).toMatch(/__proto__: is no key that is known/);
	});

	test('that is a FIFO does not hang', async () => {
		const path = folder.at(`${runs}/pipe.allaprima-style`);
		execFileSync('mkfifo', [path]);
		await expect(importFile(path)).rejects.toMatchObject({ message: `${path}: is not a regular file` });
	});
});

test('a folder that cannot be made is an error, and so is writing into none', async () => {
	await writeFile(folder.at(`${runs}/own`), 'a file');
	await expect(importFile(await write(bundle()))).rejects.toMatchObject({
		code: 'ERR_STYLE',
		message: `${own} cannot be made (ENOTDIR).`,
	});
	const path = folder.at(`${runs}/absent/mine.allaprima-style`);
	await expect(writeGuarded([{ path, content: '' }], { replace: false })).rejects.toMatchObject({
		code: 'ERR_STYLE',
		message: `${path} cannot be written (ENOENT).`,
	});
});

describe('removing', () => {
	test('takes the preset and the pictures that came with it, and nothing else', async () => {
		await importFile(await write(bundle({ thumbnail: base64(pictures['png']) })));
		await writeFile(`${own}/mine.notes.txt`, 'mine');
		await writeFile(`${own}/mine-too.style.json`, 'x');
		await removePreset('mine', own);
		expect((await readdir(own)).sort()).toEqual(['mine-too.style.json', 'mine.notes.txt']);
		await expect(removePreset('mine', own)).rejects.toMatchObject({
			message: `There is no preset mine in ${own}. Only your own can be removed.`,
		});
	});

	test.each(['../outside/x', '/etc/passwd', '..', 'a/b'])('does not leave the folder: %s', async (name) => {
		await mkdir(own, { recursive: true });
		await writeFile(`${outside}/x.style.json`, 'theirs');
		await expect(removePreset(name, own)).rejects.toMatchObject({
			code: 'ERR_STYLE',
			message: expect.stringContaining('kebab-case'),
		});
		expect(await readdir(outside)).toEqual(['x.style.json']);
	});

	test('takes away a symbolic link, not what it leads to', async () => {
		await mkdir(own, { recursive: true });
		await writeFile(`${outside}/x`, 'theirs');
		await symlink(`${outside}/x`, `${own}/mine.style.json`);
		await removePreset('mine', own);
		expect(await readFile(`${outside}/x`, 'utf8')).toBe('theirs');
		expect(await readdir(own)).toEqual([]);
	});
});
