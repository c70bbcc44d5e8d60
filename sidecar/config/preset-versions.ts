import { SidecarError } from '../errors.ts';
import { explainValue, parseExplained, valueAt } from './explained.ts';
import type { JsonPath, JsonText } from './json-text.ts';
import type { Schema } from './schema/parse.ts';
import { Preset, PresetV1 } from './schema/preset.ts';

interface PresetVersion {
	schema: Schema<unknown>;
	/** Makes the version after this one of what the schema took; the newest has none. */
	next?: (preset: never) => unknown;
}

/** Every version there ever was. A file is read as what it says it is, then taken from version to version. */
export const PRESET_VERSIONS: Readonly<Record<number, PresetVersion>> = {
	1: { schema: PresetV1, next: (preset: PresetV1) => ({ ...preset, formatVersion: 2 }) },
	/** Adds `thumbnail` and `reference`. */
	2: { schema: Preset },
};

const UNDERSTOOD = Object.keys(PRESET_VERSIONS).join(' or ');
const NEWEST = Math.max(...Object.keys(PRESET_VERSIONS).map(Number));

/** The preset at `path` of a file, in the newest version. Errors: ERR_STYLE, a line for each thing that is wrong. */
export const readPresetVersion = (text: JsonText, path: JsonPath = []): Preset => {
	const at = (key: string) => [...path, key];
	const refuse = (where: JsonPath, expected: string, advice = '') => {
		throw new SidecarError('ERR_STYLE', `${explainValue(text, where, expected)}${advice}`);
	};
	const own = valueAt(text.value, path);
	if (typeof own !== 'object' || own === null || Array.isArray(own)) refuse(path, 'a preset, as an object');
	if (valueAt(own, ['format']) !== 'allaprima-style') refuse(at('format'), '"allaprima-style"');
	const version = valueAt(own, ['formatVersion']);
	if (typeof version !== 'number' || !Object.hasOwn(PRESET_VERSIONS, version)) {
		const isNewer = Number.isInteger(version) && (version as number) > NEWEST;
		refuse(at('formatVersion'), UNDERSTOOD, isNewer ? '. A newer Alla Prima made this file: update yours' : '');
	}
	let found = PRESET_VERSIONS[version as number]!;
	let preset = parseExplained(found.schema, text, path, 'ERR_STYLE');
	for (let older = version as number; found.next; found = PRESET_VERSIONS[++older]!)
		preset = found.next(preset as never);
	return Object.freeze(Preset.parse(preset));
};
