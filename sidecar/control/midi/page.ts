import { element, plainPage, row } from '../http/html.ts';
import type { MidiView } from './surface.ts';

const origins: Record<string, string> = { learned: 'learned', configuration: 'allaprima.json', default: '' };

/** What MIDI does here, to read without a script. Every text is escaped: names of ports and styles are not ours. */
export const midiPage = (view: MidiView | undefined): string =>
	plainPage('Alla Prima: MIDI', [
		element('h1', 'Alla Prima: MIDI'),
		...(view ? listening(view) : [element('p', 'MIDI is off. Turn it on with --midi NAME, or --midi all.')]),
	]);

const listening = ({ ports, counts, learning, mapping }: MidiView): string[] => [
	element('p', `Messages obeyed: ${counts.obeyed}; wrong: ${counts.refused}; without a mapping: ${counts.unmapped}.`),
	...(learning ? [element('p', `Touch the control for: ${learning.command}.`)] : []),
	'<table border="1" cellpadding="4">',
	row('th', ['Port', 'Direction', 'Now']),
	...ports.map(({ name, direction, isOpen }) => row('td', [name, direction, isOpen ? 'open' : ''])),
	'</table>',
	element('p', 'A control is mapped with: allaprima midi learn style anime; and that is undone with: midi forget.'),
	'<table border="1" cellpadding="4">',
	row('th', ['Control', 'What it does', 'From']),
	...mapping.map(({ control, command, from }) => row('td', [control, command, origins[from] ?? from])),
	'</table>',
];
