import { randomInt } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { PAIRING_PORT } from '../config/schema/pairing.ts';
import { SidecarError } from '../errors.ts';
import type { Place } from './reach.ts';

/**
 * What one machine shows and the other is told: `K7QM-2XVD-9RTP`, a secret that is good once. Where mDNS finds nobody, it goes
 * with where to ask: `K7QM-2XVD-9RTP@192.168.1.20`, one place or several, [ADDRESS]:PORT where it is IPv6 and has another port
 * than usual.
 */
export interface PairingCode {
	/** 11 characters of 5 bits, and one to check them by. */
	secret: string;
	/** Empty where they are to be found. */
	places: Place[];
}

/** Crockford's base 32: no letter looks like a digit (https://www.crockford.com/base32.html). */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const LOOK_ALIKES: Record<string, string> = { O: '0', I: '1', L: '1' };
/** 55 bits: docs/two-pc.md says why they are enough. */
const RANDOM_CHARACTERS = 11;
const PLACES_MAX = 8;
const CODE_LENGTH_MAX = 1024;

/** As many as there are in a set of `radix`, `draw(radix)` gives 0 to radix - 1. */
export const newSecret = (draw: (radix: number) => number = randomInt): string => {
	const random = Array.from({ length: RANDOM_CHARACTERS }, () => ALPHABET[draw(ALPHABET.length)]!).join('');
	return random + checkCharacterOf(random);
};

/** Luhn's algorithm in base 32: one wrong character is always noticed, and nearly always two that changed places. */
const checkCharacterOf = (characters: string): string => {
	let sum = 0;
	let factor = 2;
	for (const character of [...characters].reverse()) {
		const addend = factor * ALPHABET.indexOf(character);
		sum += Math.floor(addend / ALPHABET.length) + (addend % ALPHABET.length);
		factor = 3 - factor;
	}
	return ALPHABET[(ALPHABET.length - (sum % ALPHABET.length)) % ALPHABET.length]!;
};

export const formatPlace = ({ host, port }: Place): string => {
	const own = isIPv6(host) ? `[${host}]` : host;
	return port === PAIRING_PORT ? own : `${own}:${port}`;
};

export const formatCode = ({ secret, places }: PairingCode): string => {
	const grouped = secret.match(/.{1,4}/g)!.join('-');
	return places.length === 0 ? grouped : `${grouped}@${places.map(formatPlace).join(',')}`;
};

/** As a person typed it: small letters, other hyphens or none, O for 0. Errors: ERR_CONFIG, never with the code in it. */
export const parseCode = (text: string): PairingCode => {
	const [typed = '', typedPlaces, ...more] = text.length > CODE_LENGTH_MAX ? ['', '', ''] : text.trim().split('@');
	const secret = [...typed.toUpperCase().replaceAll(/[-\s]/g, '')]
		.map((character) => LOOK_ALIKES[character] ?? character)
		.join('');
	const isOfAlphabet = [...secret].every((character) => ALPHABET.includes(character));
	if (more.length > 0 || secret.length !== RANDOM_CHARACTERS + 1 || !isOfAlphabet)
		throw new SidecarError(
			'ERR_CONFIG',
			`This is no code of another machine. Expected ${RANDOM_CHARACTERS + 1} letters and digits, as in K7QM-2XVD-9RTP or K7QM-2XVD-9RTP@192.168.1.20; got ${secret.length}${isOfAlphabet ? '' : ', and what is no letter or digit, or a U, among them'}. Run allaprima pair there without anything after it, and type here what it shows.`,
		);
	if (checkCharacterOf(secret.slice(0, -1)) !== secret.at(-1))
		throw new SidecarError('ERR_CONFIG', 'The code is mistyped: its last letter does not fit the others. Look again.');
	const places = typedPlaces === undefined ? [] : typedPlaces.split(',').map(parsePlace);
	if (places.length > PLACES_MAX)
		throw new SidecarError('ERR_CONFIG', `A code has ${PLACES_MAX} addresses at most; this one has ${places.length}.`);
	return { secret, places };
};

const parsePlace = (text: string): Place => {
	const own = text.trim();
	if (isIPv6(own)) return { host: own, port: PAIRING_PORT };
	const [, bracketed, name, digits] =
		/^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(own) ?? [];
	const host = name ?? bracketed;
	const port = digits === undefined ? PAIRING_PORT : Number(digits);
	if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed)) || port < 1 || port > 65_535)
		throw new SidecarError(
			'ERR_CONFIG',
			`After the @ of a code stands where the other machine is: 192.168.1.20, [fd00::20] or studio.lan, each with :PORT where it was shown with one. Got ${JSON.stringify(own.slice(0, 60))}.`,
		);
	return { host, port };
};
