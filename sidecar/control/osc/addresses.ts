import { regionOfText } from '../../config/region-text.ts';
import type { Command } from '../../config/schema/commands.ts';
import { SidecarError } from '../../errors.ts';
import { readCommand } from '../commands.ts';
import type { Controller, ControlView } from '../controller.ts';
import type { OscArgument } from './codec.ts';

/**
 * The one table of OSC: what is obeyed, what is told to subscribers, and the page that says so follow from it. Each
 * address lies below `/allaprima`, and also below `/allaprima/channel/NAME`; without a channel the first is meant.
 */
export const OSC_ROOT = '/allaprima';

/** What a message asks for: a command, or something of OSC alone. A button that was let go asks for nothing. */
export type OscRequest = Command | { type: 'state' } | { type: 'subscribe'; port?: number } | { type: 'nothing' };

export interface OscAddress {
	/** Below the root or a channel; NAME stands for the name of a style. */
	path: string;
	/** The arguments it takes. */
	takes: string;
	/** What it does, and what is told at the same address. */
	does: string;
	/** Undefined where the arguments are none that it takes. Errors: ERR_STYLE where an index is beyond the styles. */
	read: (args: readonly OscArgument[], controller: Controller, name: string) => OscRequest | undefined;
	/** The values in force, by path. */
	values?: (view: ControlView, controller: Controller) => [path: string, value: OscArgument][];
}

const NOTHING = { type: 'nothing' } as const;
const REFERENCES = ['painting', 'source', 'preset'] as const;
const WAITS = ['off', 'beat', 'bar'] as const;
const INT32_MAX = 2 ** 31 - 1;

const numberOf = ({ value }: OscArgument): number | undefined => (typeof value === 'number' ? value : undefined);

/** What a button sends: 1 or true when it is pressed, 0 or false when it is let go. */
const isOn = ({ value }: OscArgument): boolean | undefined => {
	if (typeof value === 'boolean') return value;
	return typeof value === 'number' && !Number.isNaN(value) ? value !== 0 : undefined;
};

const single = <T>(
	args: readonly OscArgument[],
	read: (argument: OscArgument) => T | undefined,
	ask: (value: T) => OscRequest,
): OscRequest | undefined => {
	const value = args.length === 1 ? read(args[0]!) : undefined;
	return value === undefined ? undefined : ask(value);
};

/** Of a button: asked for by a press, or by a message without arguments. */
const pressed = (args: readonly OscArgument[], request: OscRequest): OscRequest | undefined =>
	args.length === 0 ? request : single(args, isOn, (on) => (on ? request : NOTHING));

const BUTTON = 'nothing, or 1 when pressed (0 does nothing)';

const button = (path: string, request: OscRequest, does: string): OscAddress => ({
	path,
	takes: BUTTON,
	does,
	read: (args) => pressed(args, request),
});

const chosenStyle = ({ presets }: Controller, { value }: OscArgument): string | undefined => {
	if (typeof value === 'string') return value;
	if (typeof value !== 'number') return undefined;
	const preset = Number.isInteger(value) ? presets[value] : undefined;
	if (preset) return preset.name;
	throw new SidecarError('ERR_STYLE', `There is no style ${value}. Expected a name, or 0 to ${presets.length - 1}.`);
};

const float = (value: number): OscArgument => ({ tag: 'f', value });
const text = (value: string): OscArgument => ({ tag: 's', value });
/** What 32 bits with a sign cannot hold goes as 64. */
const integer = (value: number): OscArgument => ({ tag: value > INT32_MAX ? 'h' : 'i', value });

export const OSC_ADDRESSES: readonly OscAddress[] = [
	{
		path: 'style',
		takes: 's: a name; or i: its place in the order of next and previous, from 0',
		does: 'Paints in this style.',
		read: (args, controller) =>
			single(
				args,
				(argument) => chosenStyle(controller, argument),
				(name) => ({ type: 'style', name }),
			),
		values: ({ style }) => [['style', text(style)]],
	},
	{
		path: 'style/NAME',
		takes: BUTTON,
		does: 'Paints in this style; told 1 while it is in force, else 0.',
		read: (args, _, name) => pressed(args, { type: 'style', name }),
		values: ({ style }, { presets }) => presets.map(({ name }) => [`style/${name}`, integer(Number(name === style))]),
	},
	button('next', { type: 'next' }, 'The next style.'),
	button('previous', { type: 'previous' }, 'The previous style.'),
	button('toggle', { type: 'toggle' }, 'To passthrough, and back.'),
	{
		path: 'prompt',
		takes: 's: 1 to 500 characters',
		does: 'Paints as this sentence says.',
		read: (args) =>
			single(
				args,
				({ value }) => (typeof value === 'string' ? value : undefined),
				(prompt) => ({ type: 'prompt', text: prompt }),
			),
		values: ({ prompt }) => [['prompt', text(prompt)]],
	},
	{
		path: 'reference',
		takes: 's: painting, source or preset',
		does: 'Paints like the painting or the source is now, or as the preset says again. Nothing is told: who sends back what it hears would ask for a picture each time.',
		read: (args) =>
			single(
				args,
				({ value }) => REFERENCES.find((from) => from === value),
				(from) => ({ type: 'reference', from }),
			),
	},
	{
		path: 'strength',
		takes: 'f: 0 to 1',
		does: 'How far the painting goes to the style.',
		read: (args) => single(args, numberOf, (value) => ({ type: 'strength', value })),
		values: ({ strength }) => [['strength', float(strength)]],
	},
	{
		path: 'crossfade',
		takes: 'f: 0 to 60 s',
		does: 'How long a change of style fades; 0 cuts.',
		read: (args) => single(args, numberOf, (seconds) => ({ type: 'fade', seconds })),
		values: ({ fadeS }) => [['crossfade', float(fadeS)]],
	},
	{
		path: 'panic',
		takes: 'i, T or F: 1 on, 0 off',
		does: 'Shows nothing but the slate.',
		read: (args) => single(args, isOn, (on) => ({ type: 'panic', on })),
		values: ({ panic }) => [['panic', integer(Number(panic))]],
	},
	{
		path: 'seed',
		takes: 'i: 0 to 4294967295',
		does: 'Seed of the strokes. Told as h where i cannot hold it.',
		read: (args) => single(args, numberOf, (value) => ({ type: 'seed', value })),
		values: ({ seed }) => [['seed', integer(seed)]],
	},
	button('strokes', { type: 'newStrokes' }, 'Other strokes: a random seed.'),
	button('tap', { type: 'tap' }, 'A beat of the music: two or more tell the tempo.'),
	{
		path: 'tempo',
		takes: 'f: 30 to 300 beats a minute',
		does: 'How fast the music is; told once it is known.',
		read: (args) => single(args, numberOf, (bpm) => ({ type: 'tempo', bpm })),
		values: ({ tempo }) => (tempo ? [['tempo', float(tempo.bpm)]] : []),
	},
	{
		path: 'quantise',
		takes: 's: off, beat or bar',
		does: 'What a change of style waits for.',
		read: (args) =>
			single(
				args,
				({ value }) => WAITS.find((unit) => unit === value),
				(to) => ({ type: 'quantise', to }),
			),
		values: ({ quantise }) => [['quantise', text(quantise)]],
	},
	{
		path: 'region',
		takes: 's: all, changed, subject, background, alpha, preset or the name of a mask, then ,invert and ,feather=PX',
		does: 'What is painted of the picture; preset: as the style says.',
		read: (args) =>
			single(
				args,
				({ value }) => (typeof value === 'string' ? regionOfText(value, (name) => name) : undefined),
				(region) => readCommand({ type: 'region', region }),
			),
		values: ({ region }) => [['region', text(region)]],
	},
	button('state', { type: 'state' }, 'Asks for every value.'),
	{
		path: 'subscribe',
		takes: 'i: a port of the sender, 1 to 65535; or nothing: the port it sends from',
		does: 'Where the sender is told changes.',
		read: (args) =>
			args.length === 0 ? { type: 'subscribe' } : single(args, portOf, (port) => ({ type: 'subscribe', port })),
	},
];

const portOf = ({ value }: OscArgument): number | undefined =>
	Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535 ? Number(value) : undefined;

const ADDRESS_OF_PATH = new Map(OSC_ADDRESSES.map((address) => [address.path, address]));

/** What an address means: the channel as it is written there, the row of the table, and the style that it names. */
export interface OscTarget {
	channel: string | undefined;
	address: OscAddress;
	/** With the name of the style in it. */
	path: string;
	name: string;
}

/** Undefined where nothing is there. */
export const targetOf = (address: string): OscTarget | undefined => {
	if (!address.startsWith(`${OSC_ROOT}/`)) return undefined;
	const segments = address.slice(OSC_ROOT.length + 1).split('/');
	const channel = segments[0] === 'channel' && segments.length > 2 ? segments[1] : undefined;
	const path = channel === undefined ? segments : segments.slice(2);
	const [noun = '', name = ''] = path;
	const row = path.length === 1 ? noun : path.length === 2 && noun === 'style' && name !== '' ? 'style/NAME' : '';
	const found = ADDRESS_OF_PATH.get(row);
	return found && { channel, address: found, path: path.join('/'), name };
};

/** A channel's name as a part of an address, which may hold no space and none of `#*,/?[]{}`. */
export const channelSegment = (name: string): string => encodeURIComponent(name).replaceAll('*', '%2A');
