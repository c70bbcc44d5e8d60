import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfiguration } from '../../sidecar/config/load-config.ts';
import { SceneStore } from '../../sidecar/control/scene-store.ts';
import { SceneTable } from '../../sidecar/control/scene-table.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';

setLog({ level: 'silent' });

const ROWS = [
	{ scene: 'Interview', style: 'pencil-sketch' },
	{ scene: 'Break', style: 'oil-painting' },
];

describe('the table', () => {
	const open = () => {
		const painted: string[] = [];
		return { painted, table: new SceneTable({ rows: ROWS, paint: (style) => painted.push(style) }) };
	};

	test('paints at once where the row of the scene that is shown was changed, and only then', () => {
		const { table, painted } = open();
		table.replace([...ROWS, { scene: 'Game', style: 'anime' }]); // nobody knows what is shown
		table.show('Game');
		table.replace([{ scene: 'Game', style: 'anime' }]); // other rows
		expect(painted).toEqual([]);
		table.replace([{ scene: 'Game', style: 'van-gogh' }]);
		table.replace([]);
		expect(painted).toEqual(['van-gogh']);
		expect(table.styleOf('Game')).toBeUndefined();
	});

	test('follows a scene that gets another name, in its place', () => {
		const { table, painted } = open();
		table.know(['Interview', 'Break']);
		table.show('Interview');
		table.rename('Interview', 'Talk');
		expect(table.rows).toEqual([{ scene: 'Talk', style: 'pencil-sketch' }, ROWS[1]]);
		expect(table.known).toEqual(['Talk', 'Break']);
		table.replace([{ scene: 'Talk', style: 'anime' }]);
		expect(painted).toEqual(['anime']);
	});

	test('has a new revision for what is new alone', () => {
		const { table } = open();
		table.know(['Interview']);
		const { revision } = table;
		table.know(['Interview']);
		table.show('Interview');
		expect(table.revision).toBe(revision);
		table.show('Break');
		expect(table.revision).toBeGreaterThan(revision);
	});

	test('offers scenes that can have a row, a thousand at most', () => {
		const { table } = open();
		table.know(['', 'x'.repeat(257), 'Interview', 'Interview', '__proto__']);
		expect(table.known).toEqual(['Interview', '__proto__']);
		expect(table.styleOf('__proto__')).toBeUndefined();
		table.know(Array.from({ length: 2000 }, (_, i) => `${i}`));
		expect(table.known).toHaveLength(1000);
	});
});

describe('what is kept', () => {
	let folder: string;
	const at = (name: string) => join(folder, name);
	const environment = () => ({ XDG_DATA_HOME: at('data') });
	const storeAt = (configurationFile?: string) => new SceneStore({ configurationFile, environment: environment() });
	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), 'allaprima-scenes-'));
	});
	afterEach(async () => {
		await rm(folder, { recursive: true });
	});

	test('lies in the user’s data where there is no configuration file, and is there again', async () => {
		expect(await storeAt().load()).toEqual([]);
		expect(await storeAt().keep(ROWS)).toBe(at('data/allaprima/scenes.json'));
		expect(await storeAt().load()).toEqual(ROWS);
		await storeAt().keep([]);
		expect(await storeAt().load()).toEqual([]);
	});

	test('lies in the configuration file, at its key, with all else as it was', async () => {
		const text =
			'{\r\n  "source": "obs",\r\n\r\n  "obs": { "audioInputs": [ "Mic/Aux" ] },\r\n  "fadeS":   1.50\r\n}\r\n';
		await writeFile(at('allaprima.json'), text);
		expect(await storeAt(at('allaprima.json')).keep(ROWS)).toBe(at('allaprima.json'));
		const written = await readFile(at('allaprima.json'), 'utf8');
		expect(written).toMatch(/^\{\r\n {2}"source": "obs",\r\n\r\n {2}"obs": \{/);
		expect(written).toMatch(/"fadeS": {3}1\.50\r\n\}\r\n$/);
		expect(written.replaceAll('\r\n', '')).not.toContain('\n');
		const { obs, fadeS } = await loadConfiguration({ flags: {}, environment: {}, file: at('allaprima.json') });
		expect(obs).toEqual({
			audioInputs: ['Mic/Aux'],
			scenes: { Interview: 'pencil-sketch', Break: 'oil-painting' },
		});
		expect(fadeS).toBe(1.5);
		expect(await readdir(folder)).toEqual(['allaprima.json']); // nothing half written
	});

	test('is indented as the file is, and a file of one line is one still valid', async () => {
		await writeFile(at('tabs.json'), '{\n\t"source": "obs"\n}\n');
		await storeAt(at('tabs.json')).keep(ROWS.slice(0, 1));
		expect(await readFile(at('tabs.json'), 'utf8')).toBe(
			'{\n\t"source": "obs",\n\t"obs": {\n\t\t"scenes": {\n\t\t\t"Interview": "pencil-sketch"\n\t\t}\n\t}\n}\n',
		);
		await writeFile(at('one.json'), '{}');
		await storeAt(at('one.json')).keep(ROWS);
		expect(JSON.parse(await readFile(at('one.json'), 'utf8'))).toEqual({
			obs: { scenes: { Interview: 'pencil-sketch', Break: 'oil-painting' } },
		});
	});

	test('leaves alone what was changed in the file meanwhile', async () => {
		const store = storeAt(at('allaprima.json'));
		await writeFile(at('allaprima.json'), '{ "source": "obs" }');
		await store.keep(ROWS);
		await writeFile(
			at('allaprima.json'),
			'{ "source": "scene", "obs": { "scenes": { "Old": "anime" }, "audioInputs": [] } }',
		);
		const many = Array.from({ length: 500 }, (_, i) => ({ scene: `${i}`.padEnd(256), style: 'anime' }));
		const smaller = Array.from({ length: 20 }, (_, i) => store.keep(many.slice(25 * i)));
		await Promise.all([...smaller, store.keep(ROWS.slice(1))]); // the last one stays
		expect(JSON.parse(await readFile(at('allaprima.json'), 'utf8'))).toEqual({
			source: 'scene',
			obs: { scenes: { Break: 'oil-painting' }, audioInputs: [] },
		});
	});

	test('keeps a file’s permissions, for it may hold a password, and a link a link', async () => {
		await mkdir(at('dotfiles'));
		await writeFile(at('dotfiles/own.json'), '{}');
		await chmod(at('dotfiles/own.json'), 0o600);
		await symlink(at('dotfiles/own.json'), at('allaprima.json'));
		await storeAt(at('allaprima.json')).keep(ROWS);
		expect((await stat(at('dotfiles/own.json'))).mode & 0o777).toBe(0o600);
		expect(await readFile(at('dotfiles/own.json'), 'utf8')).toContain('Interview');
		expect((await readdir(folder)).sort()).toEqual(['allaprima.json', 'dotfiles']);
	});

	test.each([
		['is no JSON', '{ "source": ', /allaprima\.json:1:13 is not JSON: expected a value/],
		['is no object', '[]', /allaprima\.json:1:1 expected an object/],
		['has something else at obs', '{ "obs": 1 }', /allaprima\.json:1:10 expected an object/],
		['has the key twice', '{ "obs": {}, "obs": {} }', /obs: is there twice/],
		['is larger than a configuration', `{ "model": "${'x'.repeat(1_100_000)}" }`, /bytes, expected at most/],
		['is no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), /not text in UTF-8/],
	])('is not written over a file that %s', async (_, content, message) => {
		await writeFile(at('allaprima.json'), content);
		const kept = storeAt(at('allaprima.json')).keep(ROWS);
		await expect(kept).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringMatching(message) });
		expect(await readFile(at('allaprima.json'))).toEqual(Buffer.from(content));
	});

	test('is left out where the file is broken, and not written over it', async () => {
		await mkdir(at('data/allaprima'), { recursive: true });
		await writeFile(at('data/allaprima/scenes.json'), '{ "format": "allaprima-scenes", ');
		expect(await storeAt().load()).toEqual([]);
		await expect(storeAt().keep(ROWS)).rejects.toMatchObject({ code: 'ERR_CONFIG' });
		await writeFile(
			at('data/allaprima/scenes.json'),
			'{ "format": "allaprima-style", "formatVersion": 1, "scenes": {} }',
		);
		expect(await storeAt().load()).toEqual([]);
	});

	test('cannot be written where there is no way, and says so', async () => {
		await writeFile(at('data'), 'a file');
		await expect(storeAt().keep(ROWS)).rejects.toMatchObject({ code: 'ERR_CONFIG' });
		await expect(storeAt(at('gone.json')).keep(ROWS)).rejects.toThrow(/gone\.json cannot be read \(ENOENT\)/);
	});
});
