import { setTimeout as sleep } from 'node:timers/promises';
import { MidiCommand } from '../config/schema/midi.ts';
import { parse } from '../config/schema/parse.ts';
import { readWords } from '../control/midi/commands.ts';
import { openMidiPorts } from '../control/midi/ports.ts';
import type { MidiView } from '../control/midi/surface.ts';
import { SidecarError } from '../errors.ts';
import { askSidecar, type ControlOptions } from './control.ts';
import { printTable, printValue } from './print.ts';

const LOOK_MS = 250;

/** `allaprima midi list`: the ports of this machine. Errors: ERR_MIDI. */
export const listMidiPorts = async ({ json }: { json: boolean }): Promise<void> => {
	using ports = await openMidiPorts();
	const found = [
		...ports.inputs().map((name) => ({ name, direction: 'in' })),
		...ports.outputs().map((name) => ({ name, direction: 'out' })),
	].filter(({ name }) => !name.startsWith('RtMidi '));
	if (json) printValue(found);
	else if (found.length > 0) printTable(found.map(({ name, direction }) => [direction, name]));
	else process.stderr.write('No MIDI port was found. Is a controller plugged in?\n');
};

/** `allaprima midi show`: what controls do in the running sidecar. Errors: ERR_CONTROL where none runs, or MIDI is off. */
export const showMidi = async (options: ControlOptions): Promise<void> => print(await ask(undefined, options), options);

/**
 * `allaprima midi learn COMMAND [VALUE]`: maps the control that is touched next. Errors: ERR_CONTROL where no sidecar runs
 * or nothing is touched, ERR_COMMAND.
 */
export const learnMidi = async (words: readonly string[], options: ControlOptions): Promise<void> => {
	const command = parse(MidiCommand, readWords(words), `The command ${words.join(' ')}`, 'ERR_COMMAND');
	let view = await ask({ path: '/api/midi/learn', body: { command } }, options);
	process.stderr.write(`Touch the control for: ${view.learning?.command ?? words.join(' ')}\n`);
	while (view.learning) {
		await sleep(LOOK_MS);
		view = await ask(undefined, options);
	}
	const { learned } = view;
	if (!learned)
		throw new SidecarError(
			'ERR_CONTROL',
			'No control was touched in time. Whether its port is open says: allaprima midi show',
		);
	if (options.json) printValue(learned);
	else printTable([[learned.control, learned.command]]);
};

/** `allaprima midi forget CONTROL`. Errors: ERR_CONTROL where no sidecar runs, ERR_COMMAND where nothing was learned of it. */
export const forgetMidi = async (control: string, options: ControlOptions): Promise<void> => {
	const view = await ask({ path: '/api/midi/forget', body: { control } }, options);
	const now = view.mapping.find(({ control: name }) => name === control);
	if (options.json) printValue(now ?? null);
	else printTable([[control, now?.command ?? 'nothing']]);
};

const print = ({ ports, mapping, learning }: MidiView, { json }: ControlOptions): void => {
	if (json) return printValue({ ports, mapping, ...(learning && { learning }) });
	printTable(ports.map(({ name, direction, isOpen }) => [isOpen ? 'open' : '', direction, name]));
	printTable(mapping.map(({ control, command, from }) => [control, command, from === 'default' ? '' : from]));
};

const ask = async (asked: { path: string; body: object } | undefined, options: ControlOptions): Promise<MidiView> =>
	await askSidecar<MidiView>(
		asked?.path ?? '/api/midi',
		asked?.body,
		options,
		({ mapping, ports }) => mapping !== undefined && ports !== undefined,
	);
