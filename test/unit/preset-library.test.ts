import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Controller } from '../../sidecar/control/controller.ts';
import { PresetLibrary, shelve } from '../../sidecar/control/preset-library.ts';
import { withReference } from '../../sidecar/control/preset-reference.ts';
import { findPresetFile } from '../../sidecar/control/presets.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { presetOf, tuningOf } from '../support/frames.ts';
import { pngOf } from '../support/images.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let own: string;
let ours: string;
let logged: { level: string; msg: string; path: string; error?: { message: string } }[];
let library: PresetLibrary;

beforeEach(async () => {
	folder = await openTemporaryFolder();
	own = folder.at('data/allaprima/presets');
	ours = folder.at('program/presets');
	logged = [];
	setLog({ level: 'info', json: true, stream: { write: (line) => logged.push(JSON.parse(line)) } });
	await mkdir(ours, { recursive: true });
	await write(ours, 'oil-painting', 'oil');
	await write(ours, 'passthrough', 'nothing');
	library = await PresetLibrary.open({ folders: [own, ours], watch: true });
});
afterEach(async () => {
	library[Symbol.dispose]();
	setLog({ level: 'silent' });
	await folder[Symbol.asyncDispose]();
});

const textOf = (name: string, prompt: string) => JSON.stringify(presetOf(name, { prompt }));

const write = async (where: string, name: string, prompt: string): Promise<void> =>
	await writeFile(`${where}/${name}.style.json`, textOf(name, prompt));

/** As editors do that never leave half a file. */
const save = async (where: string, name: string, prompt: string): Promise<void> =>
	await saveText(where, name, textOf(name, prompt));

const saveText = async (where: string, name: string, text: string): Promise<void> => {
	await writeFile(`${where}/.${name}.swp`, text);
	await rename(`${where}/.${name}.swp`, `${where}/${name}.style.json`);
};

const prompts = (): Record<string, string | undefined> =>
	Object.fromEntries(library.presets.map(({ name, prompt }) => [name, prompt]));

/** Resolves once the library has what is expected: the folders speak when they like. */
const becomes = async (isThere: () => boolean): Promise<void> => {
	if (isThere()) return;
	await new Promise<void>((resolve) => {
		const stop = library.subscribe(() => {
			if (!isThere()) return;
			stop();
			resolve();
		});
	});
};

describe('a preset file', () => {
	test('that is written, saved in place or by a rename, and removed, is there, changed and gone', async () => {
		expect(prompts()).toEqual({ 'oil-painting': 'oil', passthrough: 'nothing' });
		await save(ours, 'aquatint', 'acid');
		await becomes(() => prompts()['aquatint'] === 'acid');
		await save(ours, 'aquatint', 'more acid');
		await becomes(() => prompts()['aquatint'] === 'more acid');
		expect(logged).toEqual([]);
		await write(ours, 'aquatint', 'less acid');
		await becomes(() => prompts()['aquatint'] === 'less acid');
		await rm(`${ours}/aquatint.style.json`);
		await becomes(() => !('aquatint' in prompts()));
	});

	test('that turns bad keeps its last good preset, and says why once', async () => {
		const path = `${ours}/oil-painting.style.json`;
		await saveText(ours, 'oil-painting', '{ "format": ');
		await becomes(() => logged.length > 0);
		await save(ours, 'aquatint', 'acid'); // a reason to read all of them again
		await becomes(() => 'aquatint' in prompts());
		expect(prompts()['oil-painting']).toBe('oil');
		expect(logged).toMatchObject([
			{
				level: 'warn',
				msg: 'preset stays as it was',
				path,
				error: { message: `${path}:1:13 is not JSON: expected a value` },
			},
		]);
		await save(ours, 'oil-painting', 'better oil');
		await becomes(() => prompts()['oil-painting'] === 'better oil');
		expect(logged.at(-1)).toMatchObject({ level: 'info', msg: 'preset can be used again', path });
	});

	test('of the user’s own stands for ours while it is there', async () => {
		await mkdir(own, { recursive: true });
		await write(own, 'oil-painting', 'my oil');
		await becomes(() => prompts()['oil-painting'] === 'my oil');
		await rm(`${own}/oil-painting.style.json`);
		await becomes(() => prompts()['oil-painting'] === 'oil');
		expect(prompts()).toEqual({ 'oil-painting': 'oil', passthrough: 'nothing' });
	});
});

describe('a folder', () => {
	test('that was not there is made, removed and made again', async () => {
		for (const prompt of ['first', 'second', 'third']) {
			await mkdir(own, { recursive: true });
			await write(own, 'mine', prompt);
			await becomes(() => prompts()['mine'] === prompt);
			await rm(folder.at('data'), { recursive: true });
			await becomes(() => !('mine' in prompts()));
		}
		expect(prompts()).toEqual({ 'oil-painting': 'oil', passthrough: 'nothing' });
	});

	test('that another takes the place of is read anew', async () => {
		await mkdir(own, { recursive: true });
		await write(own, 'mine', 'first');
		await becomes(() => prompts()['mine'] === 'first');
		await mkdir(folder.at('other'));
		await write(folder.at('other'), 'mine', 'second');
		await rename(own, folder.at('away'));
		await rename(folder.at('other'), own);
		await becomes(() => prompts()['mine'] === 'second');
		await save(own, 'mine', 'third');
		await becomes(() => prompts()['mine'] === 'third');
		expect(Object.keys(prompts())).toContain('oil-painting');
	});
});

test('a controller that is led has what the files have, and follows the style in force', async () => {
	const oil = library.presets.find(({ name }) => name === 'oil-painting')!;
	const controller = new Controller({ presets: [], preset: oil, tuning: tuningOf(), fadeS: 0, nowUs: () => 0 });
	using _led = library.lead(controller);
	expect(controller.presets.map(({ name }) => name)).toEqual(['oil-painting', 'passthrough']);
	await save(ours, 'oil-painting', 'thick oil');
	await becomes(() => prompts()['oil-painting'] === 'thick oil');
	expect(controller.view()).toMatchObject({ prompt: 'thick oil', epoch: 1 });
});

test('what is not watched stays as it was read', async () => {
	using still = await PresetLibrary.open({ folders: [own, ours], watch: false });
	await write(ours, 'aquatint', 'acid');
	await becomes(() => 'aquatint' in prompts());
	expect(still.presets.map(({ name }) => name)).toEqual(['oil-painting', 'passthrough']);
});

describe('a picture beside a preset', () => {
	const grey = (level: number, width = 64) => pngOf({ width, height: 32, row: Buffer.alloc(3 * width, level) });
	const { prompt: _, ...SHOWN } = presetOf('shown', { reference: 'starry.png' });
	const saveShown = () => saveText(ours, 'shown', JSON.stringify(SHOWN));
	const saveBytes = async (file: string, bytes: Uint8Array) => {
		await writeFile(`${ours}/.${file}.swp`, bytes);
		await rename(`${ours}/.${file}.swp`, `${ours}/${file}`);
	};
	const openShown = async () => {
		await saveBytes('starry.png', grey(40));
		await saveShown();
		const opened = await PresetLibrary.open({ folders: [own, ours], watch: true, references: true });
		library[Symbol.dispose]();
		library = opened;
	};
	const shownOf = () => library.presets.find(({ name }) => name === 'shown')?.shown;
	const levelOf = () => shownOf()?.picture.data[0];

	test('is read with it, once, and again as soon as it is saved', async () => {
		await openShown();
		expect(shownOf()!.picture).toMatchObject({ format: 'RGB', width: 64, height: 32 });
		const first = shownOf();
		await save(ours, 'aquatint', 'acid'); // a reason to read all of them again
		await becomes(() => 'aquatint' in prompts());
		expect(shownOf()).toBe(first);
		await saveBytes('starry.png', grey(200));
		await becomes(() => levelOf() === 200);
		const controller = new Controller({
			presets: [],
			preset: library.presets.find(({ name }) => name === 'shown')!,
			tuning: tuningOf(),
			fadeS: 0,
			nowUs: () => 0,
			takesReferences: true,
		});
		using _led = library.lead(controller);
		await saveBytes('starry.png', grey(7));
		await becomes(() => levelOf() === 7);
		expect(controller.parametersAt(0).conditioning[0]!.reference!.picture.data[0]).toBe(7);
	});

	test('that turns bad, or leads elsewhere, keeps the last good one and says why', async () => {
		await openShown();
		await saveBytes('starry.png', Buffer.from('a text'));
		await becomes(() => logged.length > 0);
		expect(logged.at(-1)).toMatchObject({
			msg: 'preset stays as it was',
			error: { message: `${ours}/starry.png: is no picture that is understood, expected a PNG, JPEG or WebP file` },
		});
		expect(levelOf()).toBe(40);
		await rm(`${ours}/starry.png`);
		await writeFile(folder.at('secret.png'), grey(99));
		await symlink(folder.at('secret.png'), `${ours}/starry.png`);
		await becomes(() => logged.some(({ error }) => /is a symbolic link/.test(error?.message ?? '')));
		expect(levelOf()).toBe(40);
	});

	test('is held for 64 presets and no more', async () => {
		await Promise.all(
			Array.from({ length: 66 }, async (_, i) => {
				await writeFile(`${ours}/p${i}.png`, grey(i, 16));
				const preset = presetOf(`p${i}`, { reference: `p${i}.png` });
				await writeFile(`${ours}/p${i}.style.json`, JSON.stringify(preset));
			}),
		);
		using many = await PresetLibrary.open({ folders: [own, ours], watch: false, references: true });
		expect(many.presets.filter(({ shown }) => shown)).toHaveLength(64);
		expect(many.presets).toHaveLength(66);
		expect(logged.filter(({ msg }) => msg === 'preset left out')).toHaveLength(2);
	});

	test('is not looked at for a model that takes words alone: the prompt is painted, and that is said once', async () => {
		await saveBytes('starry.png', Buffer.from('a text'));
		await saveShown();
		await saveText(ours, 'both', JSON.stringify(presetOf('both', { prompt: 'starry', reference: 'starry.png' })));
		await becomes(() => 'both' in prompts() && 'shown' in prompts());
		const oil = library.presets.find(({ name }) => name === 'oil-painting')!;
		const controller = new Controller({ presets: [], preset: oil, tuning: tuningOf(), fadeS: 0, nowUs: () => 0 });
		using _led = library.lead(controller);
		await save(ours, 'aquatint', 'acid');
		await becomes(() => 'aquatint' in prompts());
		expect(controller.presets.map(({ name }) => name)).toEqual(['aquatint', 'both', 'oil-painting', 'passthrough']);
		expect(logged.map(({ level, msg, ...facts }) => [level, 'preset' in facts && facts.preset, msg])).toEqual([
			['warn', 'both', 'preset painted by its prompt: the model takes no picture as a style'],
			['warn', 'shown', 'preset left out: the model takes no picture as a style'],
		]);
	});

	test('is read for a model that takes one and comes later', async () => {
		await saveBytes('starry.png', grey(40));
		await saveShown();
		await becomes(() => 'shown' in prompts());
		expect(shownOf()).toBeUndefined();
		const oil = library.presets.find(({ name }) => name === 'oil-painting')!;
		const options = { presets: [], preset: oil, tuning: tuningOf(), fadeS: 0, nowUs: () => 0 };
		using _led = library.lead(new Controller({ ...options, takesReferences: true }));
		await becomes(() => levelOf() === 40);
	});

	const lite = { family: 'edit-unet', name: 'lite' } as const;
	const dit = { family: 'causal-dit', name: 'lite-dit' } as unknown as typeof lite;

	test('of the preset that a run begins with, and one that is named besides', async () => {
		await saveBytes('starry.png', grey(40));
		await saveBytes('wave.png', grey(200));
		await saveShown();
		const path = `${ours}/shown.style.json`;
		const { preset } = await findPresetFile('shown', [ours]);
		expect((await withReference({ path, preset }, {}, dit)).shown!.picture.data[0]).toBe(40);
		const oil = { path: '', preset: presetOf('oil-painting') };
		expect(await withReference(oil, {}, lite)).toBe(oil.preset);
		const wave = await withReference(oil, { reference: `${ours}/wave.png` }, dit);
		expect(wave).toMatchObject({ name: 'oil-painting', reference: 'wave.png', shown: { picture: { width: 64 } } });
		expect(wave).not.toHaveProperty('prompt');
		const both = await withReference(oil, { reference: `${ours}/wave.png`, prompt: 'thick' }, dit);
		expect(both).toMatchObject({ prompt: 'thick', reference: 'wave.png' });
		await expect(withReference(oil, { reference: `${ours}/wave.png` }, lite)).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringMatching(/The model lite takes no picture.*Leave --reference out/),
		});
		await expect(withReference({ path, preset }, {}, lite)).rejects.toMatchObject({ code: 'ERR_MODEL' });
	});
});

describe('the shelf', () => {
	const good = (name: string, prompt: string) => ({ path: name, name, preset: presetOf(name, { prompt }) });
	const bad = (name: string, message: string) => ({ path: name, name, error: new Error(message) });

	test('keeps the last good preset for as long as its file is there', () => {
		const first = shelve(new Map(), [good('a', 'x'), bad('b', 'never good')]);
		expect(first.get('b')).toMatchObject({ preset: undefined, complaint: { message: 'never good' } });
		const second = shelve(first, [bad('a', 'no comma')]);
		const third = shelve(second, [bad('a', 'no colon')]);
		expect(third.get('a')).toMatchObject({ preset: { prompt: 'x' }, complaint: { message: 'no colon' } });
		expect([...third.keys()]).toEqual(['a']);
		expect(shelve(third, [good('a', 'y')]).get('a')).toMatchObject({ preset: { prompt: 'y' }, complaint: undefined });
		expect(shelve(third, []).size).toBe(0);
	});
});
