import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { explainValue } from '../config/explained.ts';
import { readJsonText, type JsonText } from '../config/json-text.ts';
import { readPresetVersion } from '../config/preset-versions.ts';
import type { Configuration } from '../config/schema/configuration.ts';
import type { Preset } from '../config/schema/preset.ts';
import { SidecarError } from '../errors.ts';
import type { ReadPreset } from '../parameters.ts';
import { readGuarded } from './file-guard.ts';

export const PRESET_SUFFIX = '.style.json';
export const PRESET_BYTES_MAX = 64 * 1024;
/** What is more in a folder is left out, for whoever looks for a style looks through all. */
export const FILES_MAX = 1000;

/** A preset file as it was found; `error` where it cannot be used. */
export type PresetFile = { path: string; name: string } & ({ preset: ReadPreset } | { error: Error });

/** Where what a user made is kept. */
export const dataFolder = (environment: Record<string, string | undefined> = process.env): string =>
	join(environment['XDG_DATA_HOME'] || join(environment['HOME'] || homedir(), '.local', 'share'), 'allaprima');

/** The user's own presets, then ours: a user's preset replaces ours of the same name. */
export const presetFolders = (environment: Record<string, string | undefined> = process.env): string[] => [
	join(dataFolder(environment), 'presets'),
	fileURLToPath(new URL('../../presets', import.meta.url)),
];

/** Errors: ERR_STYLE, a line for each thing that is wrong, with file, line and column. */
export const readPreset = async (path: string): Promise<Preset> =>
	readPresetVersion(await readJsonFile(path, PRESET_BYTES_MAX));

/** Errors: ERR_STYLE. */
export const readJsonFile = async (path: string, byteLengthMax: number): Promise<JsonText> => {
	const bytes = await readGuarded(path, { byteLengthMax, follow: true });
	let text: string;
	try {
		text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
	} catch (cause) {
		throw new SidecarError('ERR_STYLE', `${path} is not text in UTF-8.`, { cause });
	}
	return readJsonText(text, path, 'ERR_STYLE');
};

/** Editors and file managers keep files of their own beside it, which begin with a dot. */
export const isPresetFile = (entry: string): boolean => entry.endsWith(PRESET_SUFFIX) && !entry.startsWith('.');

/** All presets by name, broken ones with their error, so that one bad file does not hide the others. */
export const listPresets = async (folders: string[] = presetFolders()): Promise<PresetFile[]> => {
	const files = new Map<string, PresetFile>();
	for (const folder of folders) {
		const entries = await readdir(folder).catch(() => []);
		for (const entry of entries.filter(isPresetFile).sort().slice(0, FILES_MAX)) {
			const path = join(folder, entry);
			const name = entry.slice(0, -PRESET_SUFFIX.length);
			if (!files.has(name)) files.set(name, await presetFile(path, name));
		}
	}
	return [...files.values()].sort((a, b) => a.name.localeCompare(b.name, 'en'));
};

const presetFile = async (path: string, name: string): Promise<PresetFile> => {
	try {
		const text = await readJsonFile(path, PRESET_BYTES_MAX);
		const preset = readPresetVersion(text);
		if (preset.name !== name)
			throw new SidecarError('ERR_STYLE', explainValue(text, ['name'], `"${name}", as the file is called`));
		return { path, name, preset };
	} catch (error) {
		return { path, name, error: error as Error };
	}
};

/** A preset by its name, or by the path of its file. Errors: ERR_STYLE, naming those there are. */
export const findPreset = async (style: string, folders?: string[]): Promise<Preset> =>
	(await findPresetAnywhere(style, folders)).preset;

const findPresetAnywhere = async (style: string, folders?: string[]): Promise<{ path: string; preset: Preset }> =>
	/[/\\]|\.json$/.test(style) ? { path: style, preset: await readPreset(style) } : await findPresetFile(style, folders);

/** Errors: ERR_STYLE, naming those there are. */
export const findPresetFile = async (
	name: string,
	folders: string[] = presetFolders(),
): Promise<{ path: string; preset: Preset }> => {
	const files = await listPresets(folders);
	const found = files.find((file) => file.name === name);
	if (!found)
		throw unknownStyle(
			name,
			files.map((file) => file.name),
		);
	if ('error' in found) throw found.error;
	return found;
};

/** What to say about a style that is not there: perhaps it was misspelt. */
export const unknownStyle = (style: string, known: string[]): SidecarError => {
	const nearest = nearestOf(style, known);
	return new SidecarError(
		'ERR_STYLE',
		`Style ${style} is not known. ${nearest ? `Did you mean ${nearest}? ` : ''}There are: ${known.join(', ') || 'none'}.`,
	);
};

/** The preset that a configuration asks for, with what it overrides, and its file. Errors: ERR_STYLE. */
export const choosePreset = async (
	configuration: Configuration,
	folders?: string[],
): Promise<{ path: string; preset: Preset }> => {
	const { path, preset } = await findPresetAnywhere(configuration.style, folders);
	const { prompt = preset.prompt, strength = preset.strength, seed = preset.seed } = configuration;
	const words = prompt === undefined ? {} : { prompt };
	return { path, preset: Object.freeze({ ...preset, ...words, strength, seed }) };
};

/** The name within a third of its length of what was typed, by Levenshtein distance. */
const nearestOf = (typed: string, names: string[]): string | undefined => {
	const ranked = names
		.map((name) => ({ name, distance: distanceOf(typed.toLowerCase().slice(0, 100), name) }))
		.filter(({ name, distance }) => distance <= Math.max(2, name.length / 3))
		.sort((a, b) => a.distance - b.distance);
	return ranked[0]?.name;
};

const distanceOf = (a: string, b: string): number => {
	let row = Array.from({ length: b.length + 1 }, (_, column) => column);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++)
			next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
		row = next;
	}
	return row[b.length]!;
};
