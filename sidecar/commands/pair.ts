import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import {
	fleetServerFolder,
	forgetPair,
	freeName,
	isPaired,
	keepPair,
	PAIRED,
	pairOf,
	pairsPath,
	readPairs,
	type Environment,
} from '../config/pairs.ts';
import { FLEET_PORT, PAIRING_PORT, type Pair } from '../config/schema/pairing.ts';
import { SidecarError } from '../errors.ts';
import { advertise, discover } from '../fleet/discovery.ts';
import { keepServer, pairAccessOf } from '../fleet/fleet-bus.ts';
import { NatsBus } from '../fleet/nats.ts';
import { findNatsServer, readServerIdentity, writeServerIdentity } from '../fleet/nats-server.ts';
import { ownAddresses, ownName, ownNames } from '../fleet/own-addresses.ts';
import { formatCode, formatPlace, newSecret, parseCode } from '../fleet/pairing-code.ts';
import { typeCode } from '../fleet/pairing-guest.ts';
import { PairingHost } from '../fleet/pairing-host.ts';
import { makeServerIdentity } from '../fleet/server-identity.ts';
import { wholeNumber } from './numbers.ts';
import { printTable, printValue } from './print.ts';

export interface PairFlags {
	name?: string;
	address?: string[];
	port?: string;
	minutes?: string;
}

interface Surroundings {
	environment: Environment;
	json: boolean;
	/** Begins to take signals for a wish to end. */
	interruption: () => AbortSignal;
}

const MINUTES = 10;
const TOKEN_BYTES = 32;
const LOOPBACK = '127.0.0.1';
/** In place of a code, which others of this machine see among the arguments of a process. */
const STANDARD_INPUT = '-';

/** `allaprima pair` shows a code and waits for it; `allaprima pair CODE` types one, `allaprima pair -` reads it. Errors: ERR_PAIR, ERR_CONFIG, ERR_RUNTIME, ERR_FLEET. */
export const pair = async (code: string | undefined, flags: PairFlags, given: Surroundings): Promise<void> => {
	if (code === undefined) return await showCode(flags, given);
	const own = Object.entries(flags).find(([, value]) => value !== undefined)?.[0];
	if (own !== undefined)
		throw new SidecarError('ERR_CONFIG', `--${own} is for the machine that shows the code, and was said there.`);
	await enterCode(code === STANDARD_INPUT ? await readCode(process.stdin) : code, given);
};

/** A line; asked for where somebody types it. Errors: ERR_CONFIG, where none comes. */
const readCode = async (input: NodeJS.ReadStream): Promise<string> => {
	const lines = createInterface({ input, prompt: 'Code: ', ...(input.isTTY && { output: process.stderr }) });
	if (input.isTTY) lines.prompt();
	const [line] = (await Promise.race([once(lines, 'line'), once(lines, 'close')])) as string[];
	lines.close();
	if (line?.trim()) return line;
	throw new SidecarError('ERR_CONFIG', 'No code came on standard input, where allaprima pair - reads it.');
};

const showCode = async (flags: PairFlags, { environment, json, interruption }: Surroundings): Promise<void> => {
	const validMs = 60_000 * (flags.minutes === undefined ? MINUTES : wholeNumber('--minutes', flags.minutes, 1, 60));
	await findNatsServer(environment); // before there is anything to be undone
	const signal = interruption();
	const own = await ownPair(flags, environment);
	const identity = await readServerIdentity(fleetServerFolder(environment));
	// Whoever types the code finds out at once whether the way is open.
	await using _server = await keepServer(own, environment);
	await expectAccess(own).catch((cause: Error) => {
		throw new SidecarError(
			'ERR_FLEET',
			`Another program has port ${own.port} of this machine (${cause.message}). Choose another port: allaprima pair --port N.`,
			{ cause },
		);
	});
	const addresses = flags.address ?? ownAddresses();
	const odd = addresses.find((address) => !/^[A-Za-z0-9._:-]{1,253}$/.test(address));
	if (odd !== undefined)
		throw new SidecarError('ERR_CONFIG', `--address takes an address or a name of this machine; got ${odd}.`);
	if (addresses.length === 0)
		throw new SidecarError(
			'ERR_PAIR',
			'This machine is in no network. Connect it, or say by which address the other reaches it: --address.',
		);
	const secret = newSecret();
	await using host = await PairingHost.open({
		identity,
		secret,
		grant: { name: own.name, addresses: [...addresses, ...ownNames()].slice(0, 15), port: own.port, token: own.token },
		port: PAIRING_PORT,
		validMs,
		keep: async () => void (await keepPair(own, environment)),
		onWrong: (address, triesLeft) =>
			process.stderr.write(`A wrong code came from ${address}. ${triesLeft} more and this one is of no use.\n`),
	});
	// Who says by which address wants no other way.
	await using _told = flags.address ? undefined : advertise(`${own.name}-${host.port}`, host.port);
	const code = formatCode({ secret, places: [] });
	const places = addresses.map((address) => formatPlace({ host: address, port: host.port }));
	const codes = places.map((place) => `${code}@${place}`);
	if (json) printValue({ code, codes, name: own.name, expiresInS: validMs / 1000 });
	else process.stdout.write(invitation(flags.address ? [] : [code], codes, places, validMs));
	const interrupted = signal.aborted ? Promise.resolve() : once(signal, 'abort');
	const guest = await Promise.race([host.paired(), interrupted.then(() => undefined)]);
	if (!guest) return void process.stderr.write('The code is of no use any more.\n');
	if (json) return printValue({ paired: guest.host, address: guest.address });
	process.stdout.write(
		`Paired with ${guest.host} (${guest.address}).\nNow let this machine paint for it:\n\n    allaprima worker\n\n`,
	);
};

const invitation = (short: string[], codes: readonly string[], places: readonly string[], validMs: number): string =>
	[
		`On the other machine, within ${validMs / 60_000} minutes:`,
		'',
		...short.flatMap((code) => [`    allaprima pair ${code}`, '', 'If that finds nobody there:', '']),
		`    allaprima pair ${codes[0]}`,
		'',
		...(places.length > 1
			? [`Where ${places[0]} is not reached from there, with another ending: @${places.slice(1).join(' or @')}`, '']
			: []),
	].join('\n');

/** This machine as others know it: as it was, or made anew. */
const ownPair = async (flags: PairFlags, environment: Environment): Promise<Pair> => {
	const port = flags.port === undefined ? undefined : wholeNumber('--port', flags.port, 1024, 65_535);
	if (flags.name !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(flags.name))
		throw new SidecarError('ERR_CONFIG', `--name takes 1 to 64 letters, digits, _ or -; got ${flags.name}.`);
	const pairs = await readPairs(environment);
	const known = pairs.find(({ isHost }) => isHost);
	if (known) {
		// Others know it so.
		if ((port ?? known.port) !== known.port || (flags.name ?? known.name) !== known.name)
			throw new SidecarError(
				'ERR_CONFIG',
				`This machine is paired already, as ${known.name} at port ${known.port}, and those it is paired with know it so. Leave --name and --port out, or begin anew: allaprima pair forget ${known.name}`,
			);
		return known;
	}
	const identity = await makeServerIdentity();
	await writeServerIdentity(fleetServerFolder(environment), identity);
	return {
		name: freeName(flags.name ?? ownName(), pairs),
		isHost: true,
		addresses: [LOOPBACK],
		port: port ?? FLEET_PORT,
		token: randomBytes(TOKEN_BYTES).toString('base64url'),
		certificate: identity.certificate,
	};
};

const enterCode = async (text: string, { environment, json }: Surroundings): Promise<void> => {
	const { secret, places } = parseCode(text);
	await readPairs(environment); // what cannot be read cannot be kept either
	const found = places.length > 0 ? places : await discover();
	if (found.length === 0)
		throw new SidecarError(
			'ERR_PAIR',
			'No machine that waits for a code was found in this network. Type the code with the address that is shown there, as in K7QM-2XVD-9RTP@192.168.1.20. If none is shown any more, the code is too old: run allaprima pair there again.',
		);
	let name = '';
	const made = await typeCode(
		{ secret, places: found },
		{
			host: ownName(),
			check: async (agreed) => {
				const isOwn = (known: Pair) => known.isHost && known.certificate === agreed.certificate;
				if ((await readPairs(environment)).some(isOwn))
					throw new SidecarError('ERR_PAIR', 'This is the machine that shows the code. Type it on the other.');
				await expectAccess(agreed);
			},
			keep: async (agreed) => void ({ name } = await keepPair(agreed, environment)),
		},
	);
	if (json) return printValue({ paired: name, engine: PAIRED, file: pairsPath(environment) });
	process.stdout.write(
		`Paired with ${name} (${made.addresses[0]}); kept in ${pairsPath(environment)}.\n` +
			`Once allaprima worker runs there, paint with it from here:\n\n    allaprima run --engine ${PAIRED}\n\n`,
	);
};

/** That the server of a pair is reached, lets us in, and has a table for leases. */
const expectAccess = async (own: Pair): Promise<void> => {
	await using bus = await NatsBus.connect(await pairAccessOf(PAIRED, own));
	await bus.leases();
};

/** `allaprima pair list`: the machines that this one is paired with; no secret of theirs. Errors: ERR_CONFIG. */
export const listPairs = async ({ environment, json }: Omit<Surroundings, 'interruption'>): Promise<void> => {
	const pairs = await readPairs(environment);
	const rows = pairs.map(({ name, isHost, addresses, port }) => ({ name, isHost, addresses, port }));
	if (json) return printValue(rows);
	if (rows.length === 0) return void process.stderr.write('This machine is not paired.\n');
	printTable([
		['NAME', 'ENGINE', 'AT'],
		...rows.map(({ name, isHost, addresses, port }, index) => [
			name,
			index === 0 ? PAIRED : `${PAIRED}:${name}`,
			isHost ? `this machine, port ${port}` : `${addresses.join(', ')}, port ${port}`,
		]),
	]);
};

/** `allaprima pair forget`. Errors: ERR_CONFIG, where there is none of that name. */
export const forget = async (given: string, { environment }: Pick<Surroundings, 'environment'>): Promise<void> => {
	const { name } = isPaired(given) ? await pairOf(given, environment) : { name: given };
	const forgotten = await forgetPair(name, environment);
	if (!forgotten)
		throw new SidecarError(
			'ERR_CONFIG',
			`This machine is not paired with ${name}. allaprima pair list says with whom.`,
		);
	process.stderr.write(
		forgotten.isHost
			? 'Forgotten. Once a painter that runs here has ended, nobody who was paired with this machine gets in any more.\n'
			: `Forgotten. ${name} still lets in whoever has what was agreed; allaprima pair forget there ends that.\n`,
	);
};
