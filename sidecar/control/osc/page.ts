import { OSC_PORT } from '../../config/schema/osc.ts';
import type { Controller } from '../controller.ts';
import { element, escaped, plainPage, row } from '../http/html.ts';
import { channelSegment, OSC_ADDRESSES, OSC_ROOT } from './addresses.ts';
import type { OscArgument } from './codec.ts';
import type { OscChannel } from './server.ts';

/** OSC as far as the page tells of it. */
export interface OscListening {
	readonly host: string;
	readonly port: number;
	readonly counts: { obeyed: number; refused: number; foreign: number; subscribers: number };
}

export interface OscPageOptions {
	/** Undefined where OSC is off. */
	osc: OscListening | undefined;
	/** All there are, by name. */
	names: readonly string[];
	/** The one whose values are shown. */
	channel: OscChannel;
}

/** What OSC understands, and what is in force, to read without a script. Every text is escaped: prompts and names are not ours. */
export const oscPage = ({ osc, names, channel: { name, controller } }: OscPageOptions): string => {
	const prefix = names.length > 1 ? `${OSC_ROOT}/channel/${channelSegment(name)}/` : `${OSC_ROOT}/`;
	return plainPage('Alla Prima: OSC', [
		element('h1', 'Alla Prima: OSC'),
		element('p', listening(osc)),
		...(names.length > 1
			? [
					element('p', 'Each channel has its own addresses. Those of the first also go without the channel:'),
					'<ul>',
					...names.map((other) => `<li><a href="/osc?channel=${encodeURIComponent(other)}">${escaped(other)}</a></li>`),
					'</ul>',
				]
			: []),
		'<table border="1" cellpadding="4">',
		row('th', ['Address', 'Arguments', 'What it does', 'Now']),
		...rowsOf(controller).map(([path, ...cells]) => row('td', [prefix + path, ...cells])),
		'</table>',
		element(
			'p',
			'Whoever sends a message that is understood is told these values, and each change of them, for five minutes after its last message. What is wrong changes nothing and is answered at /allaprima/error.',
		),
	]);
};

const listening = (osc: OscListening | undefined): string => {
	if (!osc) return `OSC is off. --osc ${OSC_PORT} listens at UDP port ${OSC_PORT} of this machine.`;
	const { obeyed, refused, foreign, subscribers } = osc.counts;
	return `Listens at UDP port ${osc.port} of ${osc.host}. Messages obeyed: ${obeyed}; wrong: ${refused}; from addresses that are not allowed: ${foreign}. Subscribers: ${subscribers}.`;
};

/** A row of the table for each address; an address for each style. */
const rowsOf = (controller: Controller): string[][] =>
	OSC_ADDRESSES.flatMap(({ path, takes, does, values }) => {
		const told: [string, OscArgument | undefined][] = values?.(controller.view(), controller) ?? [];
		const now = told.length > 0 ? told : [[path, undefined] as const];
		return now.map(([own, value]) => [own, takes, does, value ? `${value.tag} ${value.value}` : '']);
	});
