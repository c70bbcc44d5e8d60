import { createHash, createHmac, scrypt, timingSafeEqual } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { parse, type Schema } from '../config/schema/parse.ts';
import { SidecarError } from '../errors.ts';

/**
 * How two machines know that both have the same code, over a TLS 1.3 connection whose certificate nobody vouches for: each
 * shows a MAC, under a key made of the code, of what is this one connection's alone (RFC 9266, channel bindings). Whoever
 * sits between has two connections, and the MAC of one is none of the other. docs/two-pc.md says what that leaves.
 */

/** Which end shows it: what one said is of no use as the other's. */
export type PairingEndpoint = 'typed' | 'shown';

/** About 0.1 s and 32 MiB for a guess (RFC 7914). */
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
const KEY_BYTES = 32;
const BINDING_BYTES = 32;
const LABEL = 'EXPORTER-allaprima-pairing';
/** A whole conversation. */
export const TALK_MS = 15_000;
const LINE_LENGTH_MAX = 8192;

/**
 * Of the code, the certificate (DER) of the machine that shows it, and this connection: whoever answers in its place has a
 * certificate of his own, and could have made the keys of all codes for it before.
 */
export const pairingKey = (secret: string, certificate: Uint8Array, binding: Buffer): Promise<Buffer> =>
	new Promise((resolve, reject) => {
		const salt = createHash('sha256').update(binding).update(certificate).digest();
		scrypt(secret, salt, KEY_BYTES, SCRYPT, (error, key) => (error ? reject(error) : resolve(key)));
	});

/** What only the two ends of this connection know (RFC 5705, RFC 8446 section 7.5). */
export const bindingOf = (socket: TLSSocket): Buffer =>
	socket.exportKeyingMaterial(BINDING_BYTES, LABEL, Buffer.alloc(0));

export const proofOf = (key: Buffer, endpoint: PairingEndpoint, binding: Buffer): string =>
	createHmac('sha256', key).update(`${endpoint}\n`).update(binding).digest('base64url');

/** In the same time, whatever is wrong with it. */
export const isProof = (proof: string, expected: string): boolean => {
	const [a, b] = [Buffer.from(proof), Buffer.from(expected)];
	return a.length === b.length && timingSafeEqual(a, b);
};

/** A conversation in lines of JSON, of a bounded length and time. */
export class Talk implements Disposable {
	readonly #socket: TLSSocket;
	readonly #lines: AsyncGenerator<string, void>;
	readonly #timer: NodeJS.Timeout;

	constructor(socket: TLSSocket, talkMs = TALK_MS) {
		this.#socket = socket;
		socket.setEncoding('utf8');
		socket.on('error', () => {}); // told to who listens, as the end of the lines
		this.#lines = linesOf(socket);
		this.#timer = setTimeout(() => socket.destroy(new Error('it took too long')), talkMs);
	}

	/** Errors: ERR_PAIR, where nothing comes, or not that. */
	async hear<Said>(schema: Schema<Said>, what: string): Promise<Said> {
		let line: IteratorResult<string, void>;
		try {
			line = await this.#lines.next();
		} catch (cause) {
			throw new SidecarError('ERR_PAIR', `${what} did not come (${(cause as Error).message}).`, { cause });
		}
		if (line.done) throw new SidecarError('ERR_PAIR', `${what} did not come: the other end hung up.`);
		let json: unknown;
		try {
			json = JSON.parse(line.value);
		} catch (cause) {
			throw new SidecarError('ERR_PAIR', `${what} is not JSON.`, { cause });
		}
		return parse(schema, json, what, 'ERR_PAIR');
	}

	tell(said: object): void {
		if (this.#socket.writable) this.#socket.write(`${JSON.stringify(said)}\n`);
	}

	/** What was told arrives all the same. */
	[Symbol.dispose](): void {
		clearTimeout(this.#timer);
		if (this.#socket.writable) this.#socket.end(() => this.#socket.destroy());
		else this.#socket.destroy();
	}
}

async function* linesOf(socket: TLSSocket): AsyncGenerator<string, void> {
	let text = '';
	for await (const piece of socket as AsyncIterable<string>) {
		text += piece;
		for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
			if (end > LINE_LENGTH_MAX) break;
			const line = text.slice(0, end);
			text = text.slice(end + 1);
			yield line;
		}
		if (text.length > LINE_LENGTH_MAX) throw new Error('it is too long');
	}
}
