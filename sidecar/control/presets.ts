import { readdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Preset, parse, type Configuration } from '../config/schema.ts';
import { SidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';

const SUFFIX = '.style.json';

/** A preset file as it was found; `error` where it cannot be used. */
export type PresetFile = { path: string; name: string } & ({ preset: Preset } | { error: Error });

/** The user's own presets, then ours: a user's preset replaces ours of the same name. */
export const presetFolders = (environment: Record<string, string | undefined> = process.env): string[] => [
	join(
		environment['XDG_DATA_HOME'] || join(environment['HOME'] || homedir(), '.local', 'share'),
		'allaprima',
		'presets',
	),
	fileURLToPath(new URL('../../presets', import.meta.url)),
];

/** Reads one preset file. Errors: ERR_STYLE. */
export const readPreset = async (path: string): Promise<Preset> => {
	let text: string;
	try {
		text = await readFile(path, 'utf8');
	} catch (cause) {
		const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
		throw new SidecarError('ERR_STYLE', `Preset file ${path} cannot be read (${reason}).`, { cause });
	}
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new SidecarError('ERR_STYLE', `Preset file ${path} is not JSON: ${(cause as Error).message}.`, { cause });
	}
	return Object.freeze(parse(Preset, value, `Preset file ${path}`, 'ERR_STYLE'));
};

/** All presets by name, broken ones with their error, so that one bad file does not hide the others. */
export const listPresets = async (folders: string[] = presetFolders()): Promise<PresetFile[]> => {
	const files = new Map<string, PresetFile>();
	for (const folder of folders) {
		const entries = await readdir(folder).catch(() => []);
		for (const entry of entries.filter((name) => name.endsWith(SUFFIX))) {
			const path = join(folder, entry);
			const name = entry.slice(0, -SUFFIX.length);
			if (!files.has(name)) files.set(name, await presetFile(path, name));
		}
	}
	return [...files.values()].sort((a, b) => a.name.localeCompare(b.name, 'en'));
};

const presetFile = async (path: string, name: string): Promise<PresetFile> => {
	try {
		const preset = await readPreset(path);
		if (preset.name !== name)
			throw new SidecarError('ERR_STYLE', `Preset file ${path} has the name ${preset.name}, expected ${name}.`);
		return { path, name, preset };
	} catch (error) {
		return { path, name, error: error as Error };
	}
};

/** A preset by its name, or by the path of its file. Errors: ERR_STYLE, naming those there are. */
export const findPreset = async (style: string, folders: string[] = presetFolders()): Promise<Preset> => {
	if (/[/\\]|\.json$/.test(style)) return await readPreset(style);
	const presets = await listPresets(folders);
	const found = presets.find(({ name }) => name === style);
	if (!found)
		throw unknownStyle(
			style,
			presets.map(({ name }) => name),
		);
	if ('error' in found) throw found.error;
	return found.preset;
};

/** The presets that can be used; of those that cannot, the log says why. */
export const usablePresets = async (folders?: string[]): Promise<Preset[]> =>
	(await listPresets(folders)).flatMap((file) => {
		if ('preset' in file) return [file.preset];
		log.warn({ path: file.path, error: file.error }, 'preset left out');
		return [];
	});

/** What to say about a style that is not there: perhaps it was misspelt. */
export const unknownStyle = (style: string, known: string[]): SidecarError => {
	const nearest = nearestOf(style, known);
	return new SidecarError(
		'ERR_STYLE',
		`Style ${style} is not known. ${nearest ? `Did you mean ${nearest}? ` : ''}There are: ${known.join(', ') || 'none'}.`,
	);
};

/** The preset that a configuration asks for, with what it overrides. Errors: ERR_STYLE. */
export const choosePreset = async (configuration: Configuration, folders?: string[]): Promise<Preset> => {
	const preset = await findPreset(configuration.style, folders);
	const { prompt = preset.prompt, strength = preset.strength, seed = preset.seed } = configuration;
	return Object.freeze({ ...preset, prompt, strength, seed });
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
