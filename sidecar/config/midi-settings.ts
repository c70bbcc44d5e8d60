import type { Configuration } from './schema/configuration.ts';
import type { MidiMapping } from './schema/midi.ts';

/** Which controllers are obeyed, and how. */
export interface MidiSettings {
	/** Parts of names of ports; `all` is every one. */
	port: readonly string[];
	channel: 'all' | number;
	/** Over the default mapping. */
	mapping: MidiMapping;
	/** Whether controllers show what is in force. */
	feedback: boolean;
	/** Whether a MIDI clock tells the tempo. */
	clock: boolean;
}

/** Undefined where MIDI is off. */
export const midiSettingsOf = ({ midi }: Pick<Configuration, 'midi'>): MidiSettings | undefined => {
	if (midi === 'off') return undefined;
	const {
		port = 'all',
		channel = 'all',
		mapping = {},
		feedback = true,
		clock = true,
	} = typeof midi === 'string' ? { port: midi } : midi;
	return { port: [port].flat(), channel, mapping, feedback, clock };
};
