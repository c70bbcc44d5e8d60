import type { IncomingHttpHeaders } from 'node:http';

/** Names that no resolver can point elsewhere. */
const THIS_MACHINE = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

/**
 * Says why a request must be refused, or nothing. What listens on this machine is open to every page that the user
 * visits: a page may send requests here (CSRF, and WebSockets are under no same-origin policy), and a foreign name may
 * be made to point here (DNS rebinding). So the host has to be this machine under its own name, and a browser, which
 * always says where it comes from, has to come from here. The port is left open for tunnels.
 */
export const refusalOf = ({ host, origin }: IncomingHttpHeaders): string | undefined => {
	if (host === undefined || !THIS_MACHINE.test(host))
		return 'This is answered on this machine alone, by the names localhost and 127.0.0.1.';
	if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`)
		return 'Pages of other origins may not ask here.';
	return undefined;
};
