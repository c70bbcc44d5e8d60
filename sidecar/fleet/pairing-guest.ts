import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { PAIRING_PROTOCOL, PairingAnswer, type Pair } from '../config/schema/pairing.ts';
import { SidecarError } from '../errors.ts';
import { bindingOf, isProof, pairingKey, proofOf, Talk, TALK_MS } from './pairing.ts';
import { formatPlace, type PairingCode } from './pairing-code.ts';
import { explainMissed, reach, type Place } from './reach.ts';
import { SERVER_NAME } from './server-identity.ts';

export interface GuestSettings {
	/** What this machine is called, to be shown there. */
	host: string;
	/** Whether what was agreed works: rejects with what is wrong. */
	check: (pair: Pair) => Promise<void>;
	/** Keeps it; only then does the other end hear that all is well. */
	keep: (pair: Pair) => Promise<void>;
	talkMs?: number;
}

/**
 * Types a code that another machine shows: gives what was agreed, once that works and is kept. Errors: ERR_PAIR, where nobody
 * answers, has that code, or is who shows it; whatever `check` and `keep` reject with.
 */
export const typeCode = async ({ secret, places }: PairingCode, settings: GuestSettings): Promise<Pair> => {
	const { reached, missed } = await reach(places);
	if (reached.length === 0)
		throw new SidecarError(
			'ERR_PAIR',
			`No machine with a code is there:\n${explainMissed(missed)}\nIs allaprima pair still waiting there? A code is good for a few minutes, and once. Are both machines in one network, and does the firewall there let in the port?`,
		);
	// One address may be another machine's, which may even show a code of its own: the next may be right.
	const asked = new Set<string>();
	const errors: NotThisOne[] = [];
	for (const place of reached) {
		try {
			return await talkTo(place, secret, asked, settings);
		} catch (error) {
			if (!(error instanceof NotThisOne)) throw error;
			errors.push(error);
		}
	}
	throw (errors.find(({ hasCode }) => hasCode) ?? errors[0]!).cause;
};

/** Nothing was given away that would matter at another address. */
class NotThisOne extends Error {
	/** Whether it waits for a code at all. */
	readonly hasCode: boolean;

	constructor(cause: SidecarError, hasCode: boolean) {
		super(cause.message, { cause });
		this.hasCode = hasCode;
	}
}

/** `asked` has the machines that were asked already, by their certificates: each wrong code counts there. */
const talkTo = async (
	place: Place,
	secret: string,
	asked: Set<string>,
	{ host, check, keep, talkMs }: GuestSettings,
): Promise<Pair> => {
	const where = formatPlace(place);
	const notThisOne = (cause: unknown) => {
		const why = `What answers at ${where} is no Alla Prima with a code (${(cause as Error).message}).`;
		return new NotThisOne(new SidecarError('ERR_PAIR', why, { cause }), false);
	};
	const socket = await secured(place, talkMs).catch((cause: unknown) => {
		throw notThisOne(cause);
	});
	using talk = new Talk(socket, talkMs);
	const { answer, expected, certificate } = await ask(socket, talk, { secret, host, asked }).catch((cause: unknown) => {
		throw notThisOne(cause);
	});
	if (answer.type === 'refused') throw new NotThisOne(refusal(answer.reason, where), true);
	if (!isProof(answer.proof, expected))
		throw new NotThisOne(
			new SidecarError(
				'ERR_PAIR',
				`What answers at ${where} does not know the code itself, so it is not the machine that shows it, and nothing was agreed. If the address is right, somebody in this network sits between the two.`,
			),
			true,
		);
	const { name, addresses, port, token } = answer;
	// By the way that was found first.
	const ways = [place.host, ...addresses.filter((address) => address !== place.host)].slice(0, 16);
	const pair: Pair = { name, isHost: false, addresses: ways, port, token, certificate };
	try {
		await check(pair);
	} catch (error) {
		talk.tell({ type: 'unreachable' });
		throw error;
	}
	await keep(pair);
	talk.tell({ type: 'kept' });
	return pair;
};

/** Shows that the code is known here, and hears the answer; `expected` is what shows that it is known there. */
const ask = async (
	socket: TLSSocket,
	talk: Talk,
	{ secret, host, asked }: { secret: string; host: string; asked: Set<string> },
): Promise<{ answer: PairingAnswer; expected: string; certificate: string }> => {
	const binding = bindingOf(socket);
	const certificate = socket.getPeerX509Certificate();
	if (!certificate) throw new Error('it shows no certificate');
	if (asked.has(certificate.fingerprint256)) throw new Error('it was asked already');
	asked.add(certificate.fingerprint256);
	const key = await pairingKey(secret, certificate.raw, binding);
	talk.tell({ protocol: PAIRING_PROTOCOL, host, proof: proofOf(key, 'typed', binding) });
	const answer = await talk.hear(PairingAnswer, 'the answer');
	return { answer, expected: proofOf(key, 'shown', binding), certificate: certificate.toString() };
};

/** The certificate is looked at with the code: nobody else vouches for it. */
const secured = async ({ host, port }: Place, talkMs = TALK_MS): Promise<TLSSocket> => {
	const socket = connect({ host, port, servername: SERVER_NAME, rejectUnauthorized: false, minVersion: 'TLSv1.3' });
	const late = setTimeout(() => socket.destroy(new Error('it says nothing')), talkMs);
	try {
		await once(socket, 'secureConnect');
	} catch (error) {
		socket.destroy();
		throw error;
	} finally {
		clearTimeout(late);
	}
	return socket;
};

const refusal = (reason: 'code' | 'used' | 'protocol', where: string): SidecarError =>
	new SidecarError(
		'ERR_PAIR',
		{
			code: `${where} shows another code. Look again at what it shows; after three wrong ones that code is of no use any more.`,
			used: `The code that ${where} showed is of no use any more: it was used, or is too old. Run allaprima pair there again for another.`,
			protocol: `${where} runs another version of Alla Prima. Both machines need the same.`,
		}[reason],
	);
