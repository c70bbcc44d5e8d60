import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Controller } from '../../sidecar/control/controller.ts';
import { PresetLibrary, shelve } from '../../sidecar/control/preset-library.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { presetOf, tuningOf } from '../support/frames.ts';

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

const prompts = (): Record<string, string> =>
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
