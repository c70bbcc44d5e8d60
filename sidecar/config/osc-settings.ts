import { isIPv6 } from 'node:net';
import { SidecarError } from '../errors.ts';
import { isLoopback } from './http-access.ts';
import type { Configuration } from './schema/configuration.ts';
import { OSC_PORT } from './schema/osc.ts';

/** Where OSC listens, who may send, and who is told changes without asking. */
export interface OscSettings {
	/** An address of this machine. */
	host: string;
	/** 0 takes one that is free. */
	port: number;
	/** Addresses of senders; empty where all of this machine may send. */
	allow: readonly string[];
	feedback: readonly { address: string; port: number }[];
}

const LOOPBACK = '127.0.0.1';

/**
 * Undefined where OSC is off. Errors: ERR_CONFIG for a host that is reached from elsewhere without a list of senders, and for
 * feedback that could not get there.
 */
export const oscSettingsOf = ({ osc }: Pick<Configuration, 'osc'>): OscSettings | undefined => {
	if (osc === 'off') return undefined;
	const {
		port = OSC_PORT,
		host: asked = LOOPBACK,
		allow = [],
		feedback = [],
	} = typeof osc === 'number' ? { port: osc } : osc;
	const host = asked === 'localhost' ? LOOPBACK : asked;
	if (!isLoopback(host) && allow.length === 0)
		throw new SidecarError(
			'ERR_CONFIG',
			`${host} can be reached from other machines, and OSC knows no password: list the addresses that may send under osc.allow, or listen at ${LOOPBACK}.`,
		);
	const targets = feedback.map((target) => readTarget(target, host));
	for (const [index, { address }] of targets.entries())
		if (isLoopback(host) && !isLoopback(address))
			throw new SidecarError(
				'ERR_CONFIG',
				`Feedback to ${feedback[index]} cannot leave this machine from ${host}. Set osc.host to 0.0.0.0, and osc.allow to the addresses that may send.`,
			);
		else if (isIPv6(address) && !isIPv6(host))
			throw new SidecarError(
				'ERR_CONFIG',
				`Feedback to ${feedback[index]} cannot be sent from ${host}. Set osc.host to an address of IPv6, such as ::.`,
			);
	return { host, port, allow, feedback: targets };
};

/** The schema has seen that it is HOST:PORT. */
const readTarget = (target: string, host: string): { address: string; port: number } => {
	const colon = target.lastIndexOf(':');
	const address = target.slice(0, colon).replace(/^\[|\]$/g, '');
	const local = isIPv6(host) ? '::1' : LOOPBACK;
	return { address: address === 'localhost' ? local : address, port: Number(target.slice(colon + 1)) };
};
