import { connect } from 'node:net';

export interface Place {
	/** A name or an address, without brackets. */
	host: string;
	port: number;
}

export interface Missed extends Place {
	/** Of the system, or ETIMEDOUT where nothing came in time. */
	code: string;
}

export interface Reach {
	/** In the order in which they answered. */
	reached: Place[];
	missed: Missed[];
}

const WITHIN_MS = 3000;
/** Once one has answered, the others have so long to do so, too. */
const MORE_MS = 200;

/**
 * Tries all ways to a machine at the same time, for an address that is not there any more says nothing for long (as RFC
 * 8305, with all at once). Connections are closed again at once.
 */
export const reach = async (places: readonly Place[], withinMs = WITHIN_MS): Promise<Reach> => {
	const reached: Place[] = [];
	const missed = new Map<Place, string>();
	const over = new AbortController();
	let timer = setTimeout(() => over.abort(), withinMs);
	await Promise.all(
		places.map(async (place) => {
			const code = await tryPlace(place, over.signal);
			if (code !== undefined) return void missed.set(place, code);
			if (reached.length === 0) {
				clearTimeout(timer);
				timer = setTimeout(() => over.abort(), MORE_MS);
			}
			reached.push(place);
		}),
	);
	clearTimeout(timer);
	return {
		reached,
		missed: places.flatMap((place) => (missed.has(place) ? { ...place, code: missed.get(place)! } : [])),
	};
};

/** Why not; undefined where somebody listens. */
const tryPlace = ({ host, port }: Place, signal: AbortSignal): Promise<string | undefined> =>
	new Promise((resolve) => {
		const socket = connect({ host, port });
		const end = (code: string | undefined) => {
			signal.removeEventListener('abort', late);
			socket.destroy();
			resolve(code);
		};
		const late = () => end('ETIMEDOUT');
		socket.once('connect', () => end(undefined));
		socket.on('error', ({ code }: NodeJS.ErrnoException) => end(code ?? 'ECONNREFUSED'));
		signal.addEventListener('abort', late);
	});

const REASONS: Record<string, string> = {
	ECONNREFUSED: 'the machine answers, but nothing waits there',
	ECONNRESET: 'the machine answers, but nothing waits there',
	ETIMEDOUT: 'no answer: the machine is off, in another network, or its firewall lets nobody in',
	EHOSTUNREACH: 'there is no way to it from here: it is off, or in another network',
	ENETUNREACH: 'there is no way to it from here: it is in another network',
	EADDRNOTAVAIL: 'there is no way to it from here: it is in another network',
	ENOTFOUND: 'nobody here knows that name',
	EAI_AGAIN: 'nobody here knows that name',
};

/** A line for each way that led nowhere, for people. */
export const explainMissed = (missed: readonly Missed[]): string =>
	missed
		.map(({ host, port, code }) => {
			const own = host.includes(':') ? `[${host}]` : host;
			return `${own}, port ${port}: ${REASONS[code] ?? code}`;
		})
		.join('\n');
