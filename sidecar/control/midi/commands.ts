import type { Command } from '../../config/schema/commands.ts';
import type { MidiCommand } from '../../config/schema/midi.ts';
import { SidecarError } from '../../errors.ts';
import { PASSTHROUGH } from '../../parameters.ts';
import type { Controller, ControlView } from '../controller.ts';

/** What a control shows and sends: 0 to 127. */
const MOST = 127;
const FADE_MOST_S = 60;
/** So that each step of a tempo is one beat a minute. */
const BPM_LEAST = 60;

/** A third of the way is 2 s, half of it 7.5 s: what is wanted most has most of the way. */
const fadeOf = (value: number): number => FADE_MOST_S * (value / MOST) ** 3;

/**
 * The command that a control asks for which was pressed, or of a fader moved to `value`; undefined where it asks for
 * nothing. Errors: ERR_STYLE, where there are not so many styles.
 */
export const commandOf = (command: MidiCommand, value: number, controller: Controller): Command | undefined => {
	switch (command.type) {
		case 'styleAt': {
			const preset = controller.presets[command.index];
			if (preset) return { type: 'style', name: preset.name };
			throw new SidecarError(
				'ERR_STYLE',
				`There is no style ${command.index}. Expected 0 to ${controller.presets.length - 1}.`,
			);
		}
		case 'panic':
			return { type: 'panic', on: command.on ?? !controller.view().panic };
		case 'strength':
			return { type: 'strength', value: command.value ?? value / MOST };
		case 'fade':
			return { type: 'fade', seconds: command.seconds ?? fadeOf(value) };
		case 'tempo':
			return { type: 'tempo', bpm: command.bpm ?? BPM_LEAST + value };
		case 'nothing':
			return undefined;
		default:
			return command;
	}
};

/** Whether it follows a fader; else it is asked for by a press. */
export const isContinuous = (command: MidiCommand): boolean =>
	(command.type === 'strength' && command.value === undefined) ||
	(command.type === 'fade' && command.seconds === undefined) ||
	(command.type === 'tempo' && command.bpm === undefined);

/** What its control is to show: a light on or off, the place of a fader; undefined where there is nothing to show. */
export const shownOf = (command: MidiCommand, view: ControlView, { presets }: Controller): number | undefined => {
	const light = (on: boolean) => (on ? MOST : 0);
	const place = (share: number) => Math.round(MOST * Math.min(1, Math.max(0, share)));
	switch (command.type) {
		case 'style':
			return light(command.name === view.style);
		case 'styleAt': {
			const preset = presets[command.index];
			return preset && light(preset.name === view.style);
		}
		case 'toggle':
			return light(view.style === PASSTHROUGH);
		case 'prompt':
			return light(command.text === view.prompt);
		case 'panic':
			return light(view.panic === (command.on ?? true));
		case 'quantise':
			return light(command.to === view.quantise);
		case 'strength':
			return command.value === undefined ? place(view.strength) : light(command.value === view.strength);
		case 'fade':
			return command.seconds === undefined
				? place(Math.cbrt(view.fadeS / FADE_MOST_S))
				: light(command.seconds === view.fadeS);
		case 'tempo':
			if (!view.tempo) return undefined;
			return command.bpm === undefined
				? place((view.tempo.bpm - BPM_LEAST) / MOST)
				: light(command.bpm === view.tempo.bpm);
		default:
			return undefined;
	}
};

/** How a command is written where a value follows it: on the command line, and on the page. */
const VALUE_OF: Readonly<Record<string, { key: string; isNumber: boolean }>> = {
	style: { key: 'name', isNumber: false },
	styleAt: { key: 'index', isNumber: true },
	prompt: { key: 'text', isNumber: false },
	quantise: { key: 'to', isNumber: false },
	reference: { key: 'from', isNumber: false },
	strength: { key: 'value', isNumber: true },
	fade: { key: 'seconds', isNumber: true },
	tempo: { key: 'bpm', isNumber: true },
	seed: { key: 'value', isNumber: true },
};

/** `style anime`, `strength`, `panic on`, as `readWords` reads it. */
export const wordsOf = (command: MidiCommand): string => {
	const { type, ...values } = command;
	const word = type.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
	if (command.type === 'panic' && command.on !== undefined) return `panic ${command.on ? 'on' : 'off'}`;
	const value = (values as Record<string, string | number | undefined>)[VALUE_OF[type]?.key ?? ''];
	return value === undefined ? word : `${word} ${value}`;
};

/** A command as it is typed, to be checked by the schema: `style anime`, `strength`. */
export const readWords = ([word = '', ...rest]: readonly string[]): unknown => {
	const type = word.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
	if (rest.length === 0) return { type };
	const text = rest.join(' ');
	if (type === 'panic') return { type, on: { on: true, off: false }[text] ?? text };
	const { key, isNumber } = VALUE_OF[type] ?? { key: 'value', isNumber: false };
	return { type, [key]: isNumber && text.trim() !== '' && !Number.isNaN(Number(text)) ? Number(text) : text };
};
