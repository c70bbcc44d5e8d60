import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { loadConfiguration, type FlagValue } from '../../sidecar/config/load-config.ts';
import { midiSettingsOf, type MidiSettings } from '../../sidecar/config/midi-settings.ts';
import { openTemporaryFolder } from '../support/clips.ts';

/** What a file, the environment and flags together say. */
const settings = async (
	midi: unknown,
	{ flag, variable }: { flag?: FlagValue; variable?: string } = {},
): Promise<MidiSettings | undefined> => {
	await using folder = await openTemporaryFolder();
	await writeFile(folder.at('allaprima.json'), JSON.stringify(midi === undefined ? {} : { midi }));
	const configuration = await loadConfiguration({
		file: folder.at('allaprima.json'),
		flags: flag === undefined ? {} : { midi: flag },
		environment: { HOME: folder.at('.'), ALLAPRIMA_MIDI: variable },
	});
	return midiSettingsOf(configuration);
};

const all = { port: ['all'], channel: 'all', mapping: {}, feedback: true, clock: true };

describe('MIDI', () => {
	test('is off unless something is said', async () => {
		expect(await settings(undefined)).toBeUndefined();
		expect(await settings('off')).toBeUndefined();
		expect(await settings({ port: 'x' }, { flag: 'off' })).toBeUndefined();
	});

	test('takes every port, or those that are named', async () => {
		expect(await settings({})).toEqual(all);
		expect(await settings('all')).toEqual(all);
		expect(await settings('nano')).toEqual({ ...all, port: ['nano'] });
		expect(await settings({ port: ['nano', 'Launchpad'] })).toEqual({ ...all, port: ['nano', 'Launchpad'] });
		expect(await settings('off', { variable: 'nano' })).toEqual({ ...all, port: ['nano'] });
	});

	test('keeps the mapping of a file where a flag says another port', async () => {
		const file = { channel: 10, mapping: { 'note 1': { type: 'next' } }, feedback: false, clock: false };
		expect(await settings({ port: 'x', ...file }, { flag: 'nano' })).toEqual({ ...file, port: ['nano'] });
	});

	test.each<[unknown, RegExp]>([
		['', /midi/],
		[3, /a part of the name of a port, all, off/],
		[{ port: [] }, /midi/],
		[{ ports: 'x' }, /midi/],
		[{ channel: 17 }, /midi/],
		[{ mapping: { 'note 128': { type: 'next' } } }, /midi/],
		[{ mapping: { 'note 1': { type: 'nxt' } } }, /midi/],
		[{ mapping: { 'note 1': { type: 'style' } } }, /midi/],
	])('refuses %j', async (midi, message) => {
		await expect(settings(midi)).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringMatching(message) });
	});
});
