import { isIP } from 'node:net';
import { fleetAccessOf, type FleetAccess } from '../config/fleet-access.ts';
import { fleetServerFolder, isPaired, pairOf, type Environment } from '../config/pairs.ts';
import type { Fleet } from '../config/schema/configuration.ts';
import type { Pair } from '../config/schema/pairing.ts';
import { SidecarError } from '../errors.ts';
import { NatsBus } from './nats.ts';
import { FleetServer, findNatsServer, readServerIdentity } from './nats-server.ts';
import { explainMissed, reach } from './reach.ts';
import { SERVER_NAME } from './server-identity.ts';

export interface FleetBus extends AsyncDisposable {
	readonly bus: NatsBus;
}

export interface FleetBusSettings {
	/** What opens a server that is given by its URL; a pair has its own. */
	fleet: Pick<Fleet, 'caFile' | 'certFile' | 'keyFile' | 'credsFile'>;
	environment: Environment;
	/** Whether the server of a pair is kept running while this is open, where it is this machine's. */
	keepsServer?: boolean;
}

/**
 * The NATS server that `--engine` or `--nats` means: by its URL, or `paired` for that of a pair. Errors: ERR_CONFIG, ERR_FLEET,
 * ERR_RUNTIME.
 */
export const openFleetBus = async (
	url: string,
	{ fleet, environment, keepsServer = false }: FleetBusSettings,
): Promise<FleetBus> => {
	if (!isPaired(url)) {
		const bus = await NatsBus.connect(await fleetAccessOf(url, fleet, environment));
		return { bus, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
	}
	const pair = await pairOf(url, environment);
	const server = pair.isHost && keepsServer ? await keepServer(pair, environment) : undefined;
	try {
		const bus = await NatsBus.connect(await pairAccessOf(url, pair));
		const close = async () => {
			await bus[Symbol.asyncDispose]();
			await server?.[Symbol.asyncDispose]();
		};
		return { bus, [Symbol.asyncDispose]: close };
	} catch (error) {
		await server?.[Symbol.asyncDispose]();
		throw error;
	}
};

/** The server of a pair, on the machine that has it. Errors: ERR_RUNTIME, ERR_FLEET, ERR_CONFIG. */
export const keepServer = async (
	pair: Pick<Pair, 'port' | 'token'>,
	environment: Environment,
): Promise<FleetServer> => {
	const folder = fleetServerFolder(environment);
	await readServerIdentity(folder); // it is there
	return await FleetServer.keep({ program: await findNatsServer(environment), folder, pair });
};

/** Errors: ERR_FLEET, where no way to it is open. */
export const pairAccessOf = async (
	url: string,
	{ name, isHost, addresses, port, token, certificate }: Pair,
): Promise<FleetAccess> => {
	const { reached, missed } = await reach(addresses.map((host) => ({ host, port })));
	// Whatever may be a way later is tried again; an address that says nothing would hold up all the others for seconds.
	const later = missed.filter(({ host, code }) => code !== 'ETIMEDOUT' || isIP(host) === 0);
	const servers = [...reached, ...later].map(({ host }) =>
		host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
	);
	if (servers[0] === undefined || reached.length === 0)
		throw new SidecarError(
			'ERR_FLEET',
			isHost
				? `Nothing listens at port ${port} of this machine, by which paired machines talk. Start the painter: allaprima worker`
				: `The paired machine ${name} is not reached:\n${explainMissed(missed)}\nDoes allaprima worker run there, and does its firewall let in TCP ${port}? If its address has changed, pair the two again: allaprima pair.`,
		);
	return {
		url,
		server: servers[0],
		servers,
		isPaired: true,
		token,
		tls: { ca: certificate, servername: SERVER_NAME },
	};
};
