import { hostName } from './api.ts';
import { fleetId } from './fleet.ts';
import { z } from './zod.ts';

/** Where the NATS server of a pair listens, unless `allaprima pair --port` says otherwise. */
export const FLEET_PORT = 7720;
/** Where a machine that shows a code waits for it, unless that is taken: then the code has the port. */
export const PAIRING_PORT = 7721;
/** Raised with every change after which two machines cannot be paired any more. */
export const PAIRING_PROTOCOL = 2;

const tcpPort = z.int().min(1).max(65_535);
const pairToken = z.string().regex(/^[A-Za-z0-9_-]{32,128}$/, 'expected 32 to 128 letters, digits, _ or -');
const pairAddresses = z.array(hostName).min(1).max(16);
const certificate = z
	.string()
	.max(8192)
	.regex(
		/^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?$/,
		'expected one certificate, as PEM',
	);

/** What two machines agreed on, at either end. */
export const Pair = z.strictObject({
	/** Of the machine with the NATS server. */
	name: fleetId,
	/** Whether that is this one. */
	isHost: z.boolean(),
	/** Where it is reached; the first that answers is taken. */
	addresses: pairAddresses,
	port: tcpPort,
	token: pairToken,
	/** The only one that is trusted there. */
	certificate,
});
export type Pair = z.infer<typeof Pair>;

/** `paired.json`: the newest first. */
export const PairsFile = z.strictObject({
	format: z.literal('allaprima-pairs'),
	formatVersion: z.literal(1),
	pairs: z.array(Pair).max(64),
});
export type PairsFile = z.infer<typeof PairsFile>;

/** Of 32 bytes, in base64url. */
const pairingProof = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'expected 43 letters, digits, _ or -');

/** What the machine says where the code was typed, first; loose, for another version says it otherwise. */
export const PairingProof = z.object({
	protocol: z.int(),
	/** What it is called, to be shown. */
	host: fleetId,
	proof: pairingProof,
});
export type PairingProof = z.infer<typeof PairingProof>;

/** What the machine with the code answers. */
export const PairingAnswer = z.discriminatedUnion('type', [
	z.strictObject({
		type: z.literal('granted'),
		proof: pairingProof,
		name: fleetId,
		addresses: pairAddresses,
		port: tcpPort,
		token: pairToken,
	}),
	z.strictObject({ type: z.literal('refused'), reason: z.enum(['code', 'used', 'protocol']) }),
]);
export type PairingAnswer = z.infer<typeof PairingAnswer>;

/** What came of it, for the machine with the code. */
export const PairingEnd = z.strictObject({ type: z.enum(['kept', 'unreachable']) });
export type PairingEnd = z.infer<typeof PairingEnd>;
