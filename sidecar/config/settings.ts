import { resolve } from 'node:path';
import { regionOfText } from './region-text.ts';
import { Configuration } from './schema/configuration.ts';
import { jsonSchemaOf, parse, type JsonSchema, type Schema } from './schema/parse.ts';
import { Tuning } from './schema/tuning.ts';

/**
 * One value of the configuration that a flag or an environment variable can set: `--batch-size 4`,
 * `ALLAPRIMA_BATCH_SIZE=4`. Made from the schema, so that a new field is a new flag.
 */
export interface Setting {
	/** Key in the configuration; tuning values lie below `tuning`. */
	key: string;
	isTuning: boolean;
	/** Without the dashes. */
	flag: string;
	variable: string;
	kind: 'text' | 'list' | 'number' | 'boolean' | 'size' | 'port' | 'region';
	/** For help text: what it is, then range and unit. */
	help: string;
	/** What the help shows for the value, such as N; empty for a boolean. */
	placeholder: string;
	default: unknown;
	choices: string[];
}

const FLAG_NAMES: Record<string, string> = { sinks: 'sink', durationS: 'duration', fadeS: 'fade' };
const PLACEHOLDERS: Record<string, string> = {
	source: 'S',
	sinks: 'S',
	style: 'NAME|FILE',
	prompt: 'TEXT',
	reference: 'FILE',
	region: 'WHAT|FILE',
	model: 'NAME|DIR',
	engine: 'local|paired|URL',
	size: 'auto|WxH',
	cameraSize: 'WxH',
	cameraFormat: 'NAME',
	report: 'FILE',
	record: 'FOLDER',
	durationS: 'S',
	fadeS: 'S',
	holdS: 'N|forever',
	http: 'PORT|HOST:PORT|auto|off',
	osc: 'PORT|ADDRESS:PORT|off',
	midi: 'NAME|all|off',
};

const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const lower = (text: string): string => text.slice(0, 1).toLowerCase() + text.slice(1);

const rangeOf = ({ minimum, exclusiveMinimum, maximum }: JsonSchema): string => {
	const known = (bound?: number) => bound !== undefined && Math.abs(bound) !== Number.MAX_SAFE_INTEGER;
	if (known(minimum)) return known(maximum) ? `${minimum}..${maximum}` : `${minimum} or more`;
	return exclusiveMinimum === undefined ? '' : `above ${exclusiveMinimum}`;
};

const kindOf = ({ type, enum: choices }: JsonSchema, key: string): Setting['kind'] => {
	if (key === 'size' || key === 'cameraSize') return 'size';
	if (key === 'http' || key === 'osc') return 'port';
	if (key === 'region') return key;
	if (key === 'holdS') return 'number'; // or a word, which stays text
	if (type === 'array') return 'list';
	if (type === 'boolean') return 'boolean';
	return type === 'number' || type === 'integer' || typeof choices?.[0] === 'number' ? 'number' : 'text';
};

const settingsOf = (schema: JsonSchema, isTuning: boolean): Setting[] =>
	Object.entries(schema.properties ?? {})
		.filter(([key]) => !['$schema', 'tuning', 'obs', 'ndi', 'chat', 'fleet'].includes(key))
		.map(([key, field]) => {
			const flag = FLAG_NAMES[key] ?? kebab(key);
			const kind = kindOf(field, key);
			const choices = (field.enum ?? []).map(String);
			const range = kind === 'number' && !choices.length ? rangeOf(field) : '';
			return {
				key,
				isTuning,
				flag,
				variable: `ALLAPRIMA_${flag.replaceAll('-', '_').toUpperCase()}`,
				kind,
				help: `${lower(field.description ?? '')}${range ? ` (${[range, field.unit].filter(Boolean).join(' ')})` : ''}`,
				placeholder: kind === 'boolean' ? '' : (PLACEHOLDERS[key] ?? (choices.length ? choices.join('|') : 'N')),
				default: field.default,
				choices,
			};
		});

export const SETTINGS: readonly Setting[] = [
	...settingsOf(jsonSchemaOf(Configuration), false),
	...settingsOf(jsonSchemaOf(Tuning), true),
];

/** Text as a flag or the environment has it, in the type of the field; what cannot be read stays text, for the schema to refuse. */
const valueOf = ({ kind }: Setting, text: string): unknown => {
	switch (kind) {
		case 'text':
			return text;
		case 'list':
			return [text];
		case 'number':
			return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text.trim()) ? Number(text) : text;
		case 'boolean':
			return { true: true, '1': true, false: false, '0': false }[text.trim().toLowerCase()] ?? text;
		case 'port': {
			const match = /^(?:(?:\[([0-9a-f:]+)\]|([^:[\]\s]+)):)?(\d{1,5})$/i.exec(text.trim());
			if (!match) return text;
			const host = match[1] ?? match[2];
			return host === undefined ? Number(match[3]) : { host, port: Number(match[3]) };
		}
		case 'region':
			return regionOfText(text, (file) => resolve(file));
		case 'size': {
			const match = /^(\d{1,5})x(\d{1,5})$/i.exec(text.trim());
			return match ? { width: Number(match[1]), height: Number(match[2]) } : text;
		}
	}
};

/** Checks one value by itself, so that the message can say where it came from. Errors: ERR_CONFIG. */
export const readSetting = (setting: Setting, given: string | boolean | string[], origin: string): unknown => {
	const value = typeof given === 'string' ? valueOf(setting, given) : given;
	const shape: Record<string, Schema<unknown>> = setting.isTuning ? Tuning.shape : Configuration.shape;
	return parse(shape[setting.key]!, value, `${origin} (${setting.key})`);
};
