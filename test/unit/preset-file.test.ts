import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PRESET_VERSIONS } from '../../sidecar/config/preset-versions.ts';
import { listPresets, PRESET_BYTES_MAX, readPreset } from '../../sidecar/control/presets.ts';
import { openTemporaryFolder } from '../support/clips.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const LINES = [
	'{',
	'\t"format": "allaprima-style",',
	'\t"formatVersion": 2,',
	'\t"name": "mine",',
	'\t"title": "Mine",',
	'\t"model": "lite",',
	'\t"prompt": "transfer this to my style"',
	'}',
];

/** The file with other lines, counted from 1. */
const fileWith = (others: Record<number, string>): string =>
	LINES.map((line, index) => others[index + 1] ?? line).join('\n');

const write = async (text: string | Uint8Array, name = 'mine.style.json'): Promise<string> => {
	const path = folder.at(name);
	await writeFile(path, text);
	return path;
};

/** What is said against the file, without its path. */
const refusalOf = async (text: string | Uint8Array): Promise<string> => {
	const path = await write(text);
	const error = await readPreset(path).then(
		() => expect.unreachable(),
		(thrown: { code: string; message: string }) => thrown,
	);
	expect(error.code, error.message).toBe('ERR_STYLE');
	return error.message.replaceAll(path, 'FILE');
};

describe('a preset file that is not valid names line, column, key and reason', () => {
	test.each<[string, Record<number, string>, string]>([
		[
			'out of range',
			{ 7: '\t"prompt": "x", "strength": 3' },
			'FILE:7:29 strength: expected a number from 0 to 1, found 3',
		],
		[
			'another type',
			{ 7: '\t"prompt": "x", "seed": "42"' },
			'FILE:7:25 seed: expected a whole number from 0 to 4294967295, found "42"',
		],
		['an object', { 5: '\t"title": {},' }, 'FILE:5:11 title: expected text of 1 to 80 characters, found an object'],
		['a list', { 5: '\t"title": [],' }, 'FILE:5:11 title: expected text of 1 to 80 characters, found a list'],
		[
			'long',
			{ 7: `\t"prompt": "${'x'.repeat(501)}"` },
			`FILE:7:12 prompt: expected text of 1 to 500 characters, found "${'x'.repeat(59)}…`,
		],
		['missing', { 5: '' }, 'FILE:1:1 title: is missing, expected text of 1 to 80 characters'],
		[
			'a name of folders',
			{ 4: '\t"name": "../mine",' },
			'FILE:4:10 name: expected a name in kebab-case, such as oil-painting, found "../mine"',
		],
		[
			'a misspelt key',
			{ 5: '\t"titel": "Mine", "title": "Mine",' },
			'FILE:5:2 titel: is no key that is known. Expected one of $schema, format, formatVersion, name, title, model, prompt, strength, seed, thumbnail, reference, region',
		],
		['a key twice', { 5: '\t"title": "Mine", "title": "Yours",' }, 'FILE:5:19 title: is there twice'],
		['no comma', { 5: '\t"title": "Mine"' }, 'FILE:6:2 is not JSON: expected a comma'],
		['a comma too many', { 7: '\t"prompt": "x",' }, 'FILE:8:1 is not JSON: expected a key in double quotes'],
		['a comment', { 5: '\t"title": "Mine", // mine' }, 'FILE:5:19 is not JSON: expected no comment: JSON has none'],
		['an open quote', { 7: '\t"prompt": "x' }, 'FILE:7:12 is not JSON: expected a double quote at the end of the text'],
		['no end', { 8: '' }, 'FILE:8:1 is not JSON: expected a comma or }'],
		['more after the end', { 8: '} {' }, 'FILE:8:3 is not JSON: expected the end of the file'],
		['no quotes', { 5: '\t"title": Mine,' }, 'FILE:5:11 is not JSON: expected a value, and text in double quotes'],
		['another format', { 2: '\t"format": "x",' }, 'FILE:2:12 format: expected "allaprima-style", found "x"'],
		['no version', { 3: '' }, 'FILE:1:1 formatVersion: is missing, expected 1 or 2'],
	])('%s', async (_, lines, message) => {
		expect(await refusalOf(fileWith(lines))).toBe(message);
	});

	test('all of it at once, where several things are wrong', async () => {
		expect((await refusalOf(fileWith({ 5: '\t"title": 1,', 7: '\t"prompt": ""' }))).split('\n')).toEqual([
			'FILE:5:11 title: expected text of 1 to 80 characters, found 1',
			'FILE:7:12 prompt: expected text of 1 to 500 characters, found ""',
		]);
	});

	test('also where lines end as on Windows, and the file begins with a byte order mark', async () => {
		const text = fileWith({ 7: '\t"prompt": ""' }).replaceAll('\n', '\r\n');
		expect(await refusalOf(`\uFEFF${text}`)).toMatch(/^FILE:7:12 prompt/);
		expect(await readPreset(await write(`\uFEFF${LINES.join('\r\n')}`))).toMatchObject({ name: 'mine' });
	});

	test.each([
		['[]', 'FILE:1:1 expected a preset, as an object, found a list'],
		['null', 'FILE:1:1 expected a preset, as an object, found null'],
		['', 'FILE:1:1 is not JSON: expected a value'],
	])('%j', async (text, message) => {
		expect(await refusalOf(text)).toBe(message);
	});
});

describe('versions', () => {
	const VALID: Record<number, string> = { 1: fileWith({ 3: '\t"formatVersion": 1,' }), 2: LINES.join('\n') };

	test.each(Object.keys(PRESET_VERSIONS).map(Number))(
		'a file of version %i is read as one of the newest',
		async (version) => {
			expect(await readPreset(await write(VALID[version]!))).toEqual({
				format: 'allaprima-style',
				formatVersion: 2,
				name: 'mine',
				title: 'Mine',
				model: 'lite',
				prompt: 'transfer this to my style',
				strength: 1,
				seed: 42,
			});
		},
	);

	test('a newer one is refused, with what is understood and what to do', async () => {
		expect(await refusalOf(fileWith({ 3: '\t"formatVersion": 3,' }))).toBe(
			'FILE:3:19 formatVersion: expected 1 or 2, found 3. A newer Alla Prima made this file: update yours',
		);
	});

	test.each(['0', '-1', '1.5', '"2"', 'null', '"__proto__"', '"constructor"'])('%s is none', async (version) => {
		expect(await refusalOf(fileWith({ 3: `\t"formatVersion": ${version},` }))).toBe(
			`FILE:3:19 formatVersion: expected 1 or 2, found ${version}`,
		);
	});

	test('a preset has words, or a picture that shows the style, or both', async () => {
		const pictured = '\t"title": "Mine", "reference": "mine.png",';
		expect(await refusalOf(fileWith({ 7: '\t"seed": 1' }))).toBe(
			'FILE:1:1 prompt: is missing, expected text of 1 to 500 characters, or a reference beside it',
		);
		const shown = await readPreset(await write(fileWith({ 5: pictured, 7: '\t"seed": 1' })));
		expect(shown).toMatchObject({ reference: 'mine.png', seed: 1 });
		expect(shown).not.toHaveProperty('prompt');
		expect(await readPreset(await write(fileWith({ 5: pictured })))).toMatchObject({
			prompt: 'transfer this to my style',
		});
		expect(await refusalOf(fileWith({ 5: pictured, 7: '\t"prompt": ""' }))).toBe(
			'FILE:7:12 prompt: expected text of 1 to 500 characters, found ""',
		);
	});

	test('a file has the keys of its own version', async () => {
		const pictured = '\t"title": "Mine", "thumbnail": "mine.png",';
		expect(await refusalOf(fileWith({ 3: '\t"formatVersion": 1,', 5: pictured }))).toMatch(
			/^FILE:5:19 thumbnail: is no key/,
		);
		expect(await readPreset(await write(fileWith({ 5: pictured })))).toMatchObject({ thumbnail: 'mine.png' });
	});
});

describe('a hostile preset file', () => {
	test.each([
		'../../etc/passwd.png',
		'/etc/passwd.png',
		'a/b.png',
		'a\\b.png',
		'.hidden.png',
		'http://127.0.0.1/x.png',
	])('cannot name the picture %s', async (name) => {
		expect(await refusalOf(fileWith({ 5: `\t"title": "Mine", "reference": ${JSON.stringify(name)},` }))).toMatch(
			/^FILE:5:32 reference: expected a plain file name/,
		);
	});

	test('cannot name another kind of file as a picture', async () => {
		expect(await refusalOf(fileWith({ 5: '\t"title": "Mine", "reference": "id_rsa",' }))).toMatch(
			/expected a file name that ends in \.png, \.jpg or \.webp/,
		);
	});

	test('of many levels is refused before anything recurses', async () => {
		expect(await refusalOf('['.repeat(60_000))).toBe('FILE:1:17 expected at most 16 levels of { and [');
		expect(await refusalOf(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`)).toMatch(/at most 16 levels/);
	});

	test('of many values is refused', async () => {
		expect(await refusalOf(`[${'0,'.repeat(20_000)}0]`)).toMatch(/at most 4000 keys, values and signs/);
	});

	test.each(['__proto__', 'constructor', 'toString'])('does not reach a prototype by the key %s', async (key) => {
		expect(await refusalOf(fileWith({ 7: `\t"prompt": "x", "${key}": { "strength": 0 }` }))).toMatch(
			new RegExp(`^FILE:7:17 ${key}: is no key that is known`),
		);
		expect(Object.hasOwn(Object.prototype, 'strength')).toBe(false);
	});

	test('that is larger than it may be is refused by its size', async () => {
		const most = fileWith({ 8: `}${' '.repeat(PRESET_BYTES_MAX - LINES.join('\n').length)}` });
		expect(await readPreset(await write(most))).toMatchObject({ name: 'mine' });
		expect(await refusalOf(`${most} `)).toBe(
			`FILE: has ${PRESET_BYTES_MAX + 1} bytes, expected at most ${PRESET_BYTES_MAX}`,
		);
	});

	test('that is no text is refused', async () => {
		expect(await refusalOf(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))).toBe('FILE is not text in UTF-8.');
	});

	test('makes nobody open an address', async () => {
		let connections = 0;
		const server = createServer((socket) => {
			connections++;
			socket.destroy();
		}).listen(0, '127.0.0.1');
		await once(server, 'listening');
		const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/style.schema.json`;
		expect(
			await readPreset(await write(fileWith({ 2: `\t"$schema": "${url}", "format": "allaprima-style",` }))),
		).toMatchObject({
			$schema: url,
		});
		server.close();
		await once(server, 'close');
		expect(connections).toBe(0);
	});

	test('that is a FIFO, a folder or a device does not hang or hide the others', async () => {
		const own = folder.at('odd');
		await mkdir(`${own}/folder.style.json`, { recursive: true });
		execFileSync('mkfifo', [`${own}/fifo.style.json`]);
		await symlink('/dev/zero', `${own}/zero.style.json`);
		await symlink('nowhere', `${own}/nowhere.style.json`);
		await symlink('nowhere', `${own}/.#mine.style.json`); // as Emacs leaves one beside a file that is open
		await writeFile(`${own}/mine.style.json`, LINES.join('\n'));
		const files = await listPresets([own]);
		expect(files.map((file) => [file.name, 'error' in file ? file.error.message : 'ok'])).toEqual([
			['fifo', `${own}/fifo.style.json: is not a regular file`],
			['folder', `${own}/folder.style.json: is not a regular file`],
			['mine', 'ok'],
			['nowhere', `${own}/nowhere.style.json: cannot be read (ENOENT)`],
			['zero', `${own}/zero.style.json: is not a regular file`],
		]);
	});

	test('makes no more of a folder be read than a thousand', async () => {
		const own = folder.at('many');
		await mkdir(own);
		for (let index = 1000; index <= 2000; index++)
			await writeFile(`${own}/mine-${index}.style.json`, LINES.join('\n').replace('"mine"', `"mine-${index}"`));
		const files = await listPresets([own]);
		expect(files).toHaveLength(1000);
		expect(files.at(-1)).toMatchObject({ name: 'mine-1999', preset: { name: 'mine-1999' } });
	});
});
