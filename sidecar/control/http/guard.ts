import type { IncomingHttpHeaders } from 'node:http';

/** Names that no resolver can point elsewhere. */
const THIS_MACHINE = /^(localhost|127\.0\.0\.1|\[::1\])$/;

/** Where the server can be reached, besides at this machine's own names. */
export interface Reach {
	/** Names that the configuration gives it, in lower case. */
	hosts: readonly string[];
	/** The address to which this connection came: a number is nobody's to point elsewhere. */
	localAddress?: string | undefined;
}

/**
 * Says why a request must be refused, or nothing. What listens on this machine is open to every page that the user
 * visits: a page may send requests here (CSRF, and WebSockets are under no same-origin policy), and a foreign name may
 * be made to point here (DNS rebinding). So the host has to be this machine under a name of its own, and a browser, which
 * always says where it comes from, has to come from here. The port is left open for tunnels.
 */
export const refusalOf = (
	{ host: given, origin }: IncomingHttpHeaders,
	{ hosts, localAddress }: Reach = { hosts: [] },
): string | undefined => {
	const host = given?.toLowerCase() ?? '';
	const name = /^(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:\d{1,5})?$/.exec(host)?.[1];
	const isConfigured = name !== undefined && hosts.includes(name.replace(/^\[(.*)\]$/, '$1'));
	if (name === undefined || !(THIS_MACHINE.test(name) || isConfigured || name === hostOf(localAddress)))
		return 'This is answered by the names localhost and 127.0.0.1 and those of http.hosts in the configuration alone.';
	if (origin === undefined || origin.toLowerCase() === `http://${host}`) return undefined;
	// A reverse proxy adds TLS; this server has none, so nobody else has that origin.
	if (isConfigured && origin.toLowerCase() === `https://${host}`) return undefined;
	return 'Pages of other origins may not ask here.';
};

/** An address as a Host header has it; IPv4 comes in to a socket of IPv6 as ::ffff:192.0.2.1. */
const hostOf = (address: string | undefined): string | undefined => {
	const plain = address?.replace(/^::ffff:(?=\d+\.)/, '');
	return plain?.includes(':') ? `[${plain}]` : plain;
};
