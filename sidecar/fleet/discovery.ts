import { isIP, isIPv6 } from 'node:net';
import { Bonjour, type Service } from 'bonjour-service';
import { log } from '../telemetry/logger.ts';
import type { Place } from './reach.ts';

/**
 * Where a machine waits for a code, told and found in this network (DNS-SD over mDNS, RFC 6763 and 6762). Whoever answers is
 * believed in nothing but that: the code says who it is.
 */

const SERVICE = 'allaprima-pair';
const WITHIN_MS = 2000;
/** Once one has answered, the others have so long to do so, too. */
const MORE_MS = 300;
const ASK_EVERY_MS = 500;
const PLACES_MAX = 16;

/** Of the library below it: by which of this machine's addresses to ask, all of them where it is absent, and to hear. */
export interface DiscoverySettings {
	interface?: string;
	bind?: string;
}

const open = (settings: DiscoverySettings): Bonjour =>
	new Bonjour(settings as object as ConstructorParameters<typeof Bonjour>[0], (error: unknown) =>
		log.debug({ error }, 'no mDNS here'),
	);

/** What is not answered, for there is no mDNS, is not waited for. */
const done = (work: (callback: () => void) => void): Promise<void> =>
	new Promise((resolve) => {
		const timer = setTimeout(resolve, MORE_MS);
		work(() => {
			clearTimeout(timer);
			resolve();
		});
	});
const close = (bonjour: Bonjour): Promise<void> => done((callback) => bonjour.destroy(callback));

/** Tells the network until it is disposed of. Where there is no mDNS nobody is told, and nothing else happens. */
export const advertise = (name: string, port: number, settings: DiscoverySettings = {}): AsyncDisposable => {
	const bonjour = open(settings);
	bonjour.publish({ name, type: SERVICE, port, probe: false });
	return {
		[Symbol.asyncDispose]: async () => {
			await done((callback) => bonjour.unpublishAll(callback));
			await close(bonjour);
		},
	};
};

/** The machines in this network that wait for a code; none where nobody answers, or there is no mDNS. */
export const discover = async (settings: DiscoverySettings = {}): Promise<Place[]> => {
	const bonjour = open(settings);
	const places = new Map<string, Place>();
	let asking: NodeJS.Timeout | undefined;
	await new Promise<void>((resolve) => {
		let timer = setTimeout(resolve, WITHIN_MS);
		const browser = bonjour.find({ type: SERVICE }, (service) => {
			if (places.size === 0) {
				clearTimeout(timer);
				timer = setTimeout(resolve, MORE_MS);
			}
			for (const place of placesOf(service)) places.set(`${place.host} ${place.port}`, place);
		});
		asking = setInterval(() => browser.update(), ASK_EVERY_MS); // a datagram may be lost
	});
	clearInterval(asking);
	await close(bonjour);
	return [...places.values()].slice(0, PLACES_MAX);
};

/** The address that the answer came from first: it is in this network. Those of a single link need its name. */
const placesOf = ({ referer, addresses = [], port }: Service): Place[] =>
	Number.isInteger(port) && port > 0 && port < 65_536
		? [...(referer ? [referer.address] : []), ...addresses]
				.filter((host) => isIP(host) !== 0 && !(isIPv6(host) && /^fe[89ab]/i.test(host)))
				.map((host) => ({ host, port }))
		: [];
