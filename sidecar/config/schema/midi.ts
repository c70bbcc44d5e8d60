import { fadeField } from './commands.ts';
import { help, promptField, seedField, strengthField } from './fields.ts';
import { z } from './zod.ts';

/** `note 36`, `cc 1`, `program 0`: a control on any channel, or as `channel 10 note 36` on one. */
export const MIDI_CONTROL = /^(?:channel ([1-9]|1[0-6]) )?(note|cc|program) (\d|[1-9]\d|1[01]\d|12[0-7])$/;
/** In a file; what a person maps stays far below. */
export const MIDI_BINDINGS_MAX = 512;

const MIDI_COMMANDS = [
	z.strictObject({ type: z.literal('style'), name: z.string().min(1).max(64) }),
	/** By its place in the order of next and previous, from 0. */
	z.strictObject({ type: z.literal('styleAt'), index: z.int().min(0).max(999) }),
	z.strictObject({ type: z.literal('next') }),
	z.strictObject({ type: z.literal('previous') }),
	z.strictObject({ type: z.literal('toggle') }),
	z.strictObject({ type: z.literal('reference'), from: z.enum(['painting', 'source', 'preset']) }),
	z.strictObject({ type: z.literal('prompt'), text: promptField }),
	/** Without `on`, each press turns it over. */
	z.strictObject({ type: z.literal('panic'), on: z.boolean().exactOptional() }),
	z.strictObject({ type: z.literal('seed'), value: seedField }),
	z.strictObject({ type: z.literal('newStrokes') }),
	z.strictObject({ type: z.literal('tap') }),
	z.strictObject({ type: z.literal('quantise'), to: z.enum(['off', 'beat', 'bar']) }),
	/** These follow the control where they say no value. */
	z.strictObject({ type: z.literal('strength'), value: strengthField.exactOptional() }),
	z.strictObject({ type: z.literal('fade'), seconds: fadeField.exactOptional() }),
	z.strictObject({ type: z.literal('tempo'), bpm: z.number().min(30).max(300).exactOptional() }),
	/** For a control that the default mapping has, and that is to do nothing. */
	z.strictObject({ type: z.literal('nothing') }),
] as const;

/** What a control of a controller asks for. */
export const MidiCommand = z.discriminatedUnion('type', MIDI_COMMANDS, {
	error: ({ code }) =>
		code === 'invalid_union'
			? `expected one of ${MIDI_COMMANDS.map(({ shape }) => shape.type.value).join(', ')}`
			: 'expected an object with a type',
});
export type MidiCommand = z.infer<typeof MidiCommand>;

const midiControl = z
	.string()
	.regex(MIDI_CONTROL, 'expected note N, cc N or program N, or the same after channel 1 to 16, N from 0 to 127');

/** What controls do, by the name of the control. */
export const MidiMapping = z
	.record(midiControl, MidiCommand)
	.refine(
		(mapping) => Object.keys(mapping).length <= MIDI_BINDINGS_MAX,
		`expected at most ${MIDI_BINDINGS_MAX} controls`,
	);
export type MidiMapping = z.infer<typeof MidiMapping>;

/** `midi.json`: what was learned. */
export const MidiFile = z.strictObject({
	format: z.literal('allaprima-midi'),
	formatVersion: z.literal(1),
	mapping: MidiMapping,
});
export type MidiFile = z.infer<typeof MidiFile>;

/** The control that is touched next is to do this. */
export const LearnMidi = z.strictObject({ command: MidiCommand });
export type LearnMidi = z.infer<typeof LearnMidi>;

/** A control that is to do again what it did before it was learned. */
export const ForgetMidi = z.strictObject({ control: midiControl });
export type ForgetMidi = z.infer<typeof ForgetMidi>;

export const midiPort = z.string().trim().min(1).max(256);

export const MidiListen = z.strictObject({
	port: z
		.union([midiPort, z.array(midiPort).min(1).max(16)])
		.exactOptional()
		.meta(help('A part of the name of a port, or several, or all; else all')),
	channel: z
		.union([z.literal('all'), z.int().min(1).max(16)])
		.exactOptional()
		.meta(help('The channel that is heard; else all')),
	mapping: MidiMapping.exactOptional().meta(help('What controls do, over the default mapping')),
	feedback: z.boolean().exactOptional().meta(help('Whether controllers show what is in force; else they do')),
	clock: z.boolean().exactOptional().meta(help('Whether a MIDI clock tells the tempo; else it does')),
});
