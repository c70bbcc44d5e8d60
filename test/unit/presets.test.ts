import { mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Configuration } from '../../sidecar/config/schema/configuration.ts';
import { parse } from '../../sidecar/config/schema/parse.ts';
import { choosePreset, findPreset, listPresets, presetFolders } from '../../sidecar/control/presets.ts';
import { openTemporaryFolder } from '../support/clips.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const shipped = presetFolders({ HOME: '/nowhere' });

const mine = {
	format: 'allaprima-style',
	formatVersion: 1,
	name: 'mine',
	title: 'Mine',
	model: 'lite',
	prompt: 'transfer this to my style',
};

const write = async (name: string, value: unknown): Promise<string> => {
	await mkdir(folder.at('presets'), { recursive: true });
	const path = folder.at(`presets/${name}`);
	await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value));
	return path;
};

const refusal = (style: string, folders = shipped) =>
	findPreset(style, folders).then(
		() => expect.unreachable(),
		(error: { code: string; message: string }) => {
			expect(error.code).toBe('ERR_STYLE');
			return error.message;
		},
	);

test('the shipped styles are there, valid and under their own names', async () => {
	const presets = await listPresets(shipped);
	expect(presets.filter((file) => 'error' in file)).toEqual([]);
	expect(presets.map(({ name }) => name)).toEqual([
		'anime',
		'comic-halftone',
		'oil-painting',
		'passthrough',
		'pencil-sketch',
		'render-3d',
		'ukiyo-e',
		'van-gogh',
		'watercolor',
	]);
	expect(await findPreset('oil-painting', shipped)).toMatchObject({
		prompt: 'transfer this to oil painting style, vibrant colors',
		strength: 1,
		seed: 42,
	});
});

test('an unknown style names those there are, and the nearest', async () => {
	expect(await refusal('oilpainting')).toBe(
		'Style oilpainting is not known. Did you mean oil-painting? There are: anime, comic-halftone, oil-painting, ' +
			'passthrough, pencil-sketch, render-3d, ukiyo-e, van-gogh, watercolor.',
	);
	expect(await refusal('Pencil-Sketsh')).toContain('Did you mean pencil-sketch?');
	expect(await refusal('cubism')).not.toContain('Did you mean');
	expect(await refusal('x'.repeat(100_000))).toContain('There are: anime, comic-halftone, oil-painting');
});

test('a preset file is taken by its path, with its defaults', async () => {
	const path = await write('mine.style.json', mine);
	expect(await findPreset(path)).toEqual({ ...mine, formatVersion: 2, strength: 1, seed: 42 });
	expect(await refusal(folder.at('presets/absent.style.json'))).toMatch(/cannot be read \(ENOENT\)/);
});

test('the user’s own presets are found first, and a broken one does not hide the others', async () => {
	const own = folder.at('own/allaprima/presets');
	await mkdir(own, { recursive: true });
	await writeFile(`${own}/oil-painting.style.json`, JSON.stringify({ ...mine, name: 'oil-painting', title: 'My oil' }));
	await writeFile(`${own}/broken.style.json`, '{');
	await writeFile(`${own}/renamed.style.json`, JSON.stringify(mine));
	const folders = presetFolders({ XDG_DATA_HOME: folder.at('own') });
	expect((await findPreset('oil-painting', folders)).title).toBe('My oil');
	expect((await findPreset('pencil-sketch', folders)).title).toBe('Pencil sketch');
	expect(await refusal('broken', folders)).toMatch(/is not JSON/);
	expect(await refusal('renamed', folders)).toMatch(
		/renamed\.style\.json:1:\d+ name: expected "renamed", as the file is called, found "mine"/,
	);
});

test('the configuration overrides what the preset says', async () => {
	const configuration = parse(Configuration, { style: 'pencil-sketch', strength: 0, prompt: 'in red chalk' }, 'test');
	expect(await choosePreset(configuration, shipped)).toMatchObject({
		path: expect.stringMatching(/\/pencil-sketch\.style\.json$/),
		preset: { name: 'pencil-sketch', prompt: 'in red chalk', strength: 0, seed: 42 },
	});
});
