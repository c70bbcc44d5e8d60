import { MIDI_CONTROL, type MidiCommand, type MidiMapping } from '../../config/schema/midi.ts';
import type { ControlMessage } from './messages.ts';

/** A control by what it sends; one without a channel is heard on every channel. */
export type MidiControl = Pick<ControlMessage, 'kind' | 'number'> & { readonly channel?: number };

/** `note 36`, or `channel 10 note 36`: how files and people call it. */
export const nameOf = ({ kind, channel, number }: MidiControl): string =>
	`${channel === undefined ? '' : `channel ${channel} `}${kind} ${number}`;

/** Undefined where the name is none. */
export const controlNamed = (name: string): MidiControl | undefined => {
	const [matched, channel, kind, number] = MIDI_CONTROL.exec(name) ?? [];
	if (matched === undefined) return undefined;
	return {
		kind: kind as MidiControl['kind'],
		number: Number(number),
		...(channel !== undefined && { channel: Number(channel) }),
	};
};

/** The pads of a bank of sixteen, from the lower left: eleven styles, then the other buttons. */
const FIRST_PAD = 36;
const STYLE_PADS = 11;
const PROGRAMS = 128;

/** What is obeyed unless something else is said. */
export const DEFAULT_MAPPING: MidiMapping = Object.freeze(
	Object.fromEntries<MidiCommand>([
		...Array.from({ length: STYLE_PADS }, (_, index): [string, MidiCommand] => [
			`note ${FIRST_PAD + index}`,
			{ type: 'styleAt', index },
		]),
		['note 47', { type: 'panic' }],
		['note 48', { type: 'previous' }],
		['note 49', { type: 'next' }],
		['note 50', { type: 'toggle' }],
		['note 51', { type: 'tap' }],
		['cc 1', { type: 'strength' }],
		['cc 7', { type: 'fade' }],
		...Array.from({ length: PROGRAMS }, (_, index): [string, MidiCommand] => [
			`program ${index}`,
			{ type: 'styleAt', index },
		]),
	]),
);

export type MappingOrigin = 'learned' | 'configuration' | 'default';

export interface Mapped {
	readonly control: MidiControl;
	readonly command: MidiCommand;
	readonly from: MappingOrigin;
}

/** What each control does, by name: what was learned goes before the configuration, and that before the default. */
export const joinedMapping = (learned: MidiMapping, configured: MidiMapping): ReadonlyMap<string, Mapped> => {
	const joined = new Map<string, Mapped>();
	for (const [from, mapping] of [
		['default', DEFAULT_MAPPING],
		['configuration', configured],
		['learned', learned],
	] as const)
		for (const [name, command] of Object.entries(mapping)) {
			const control = controlNamed(name);
			if (control) joined.set(name, { control, command, from });
		}
	return joined;
};

/** What a control does: as its channel says, else as every channel does. */
export const mappedOf = (
	mapping: ReadonlyMap<string, Mapped>,
	{ kind, channel, number }: Required<MidiControl>,
): Mapped | undefined => mapping.get(nameOf({ kind, channel, number })) ?? mapping.get(nameOf({ kind, number }));
