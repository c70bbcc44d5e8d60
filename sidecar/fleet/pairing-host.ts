import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { PAIRING_PROTOCOL, PairingEnd, PairingProof, type PairingAnswer } from '../config/schema/pairing.ts';
import { isSidecarError, SidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';
import { bindingOf, isProof, pairingKey, proofOf, Talk, TALK_MS } from './pairing.ts';
import type { ServerIdentity } from './server-identity.ts';

/** How often a wrong code is taken for a slip. */
const TRIES = 3;
const CONNECTIONS_MAX = 8;
const CLOSE_MS = 300;

export interface PairingHostSettings {
	identity: ServerIdentity;
	/** Of the code; it is good once. */
	secret: string;
	/** What whoever has the code is given. */
	grant: Pick<Extract<PairingAnswer, { type: 'granted' }>, 'name' | 'addresses' | 'port' | 'token'>;
	/** Where it waits; where that is taken, another port is. */
	port: number;
	validMs: number;
	/** Keeps what is granted, before it is. */
	keep?: () => Promise<void>;
	/** Somebody had another code. */
	onWrong?: (address: string, triesLeft: number) => void;
	talkMs?: number;
}

/** Who typed the code. */
export interface Guest {
	host: string;
	address: string;
}

/** Waits for the code to be typed on another machine: once, for a while, and with few slips. */
export class PairingHost implements AsyncDisposable {
	readonly #settings: PairingHostSettings;
	readonly #certificate: Buffer;
	readonly #server: Server;
	/** Those that speak TLS, and all that there are. */
	readonly #secured = new Set<TLSSocket>();
	readonly #connections = new Set<Socket>();
	readonly #guest: Promise<Guest>;
	#settle: { resolve: (guest: Guest) => void; reject: (error: unknown) => void };
	readonly #expiry: NodeJS.Timeout;
	#triesLeft = TRIES;
	#isUsed = false;

	/** Errors: ERR_PAIR, where there is no port to wait at. */
	static async open(settings: PairingHostSettings): Promise<PairingHost> {
		const host = new PairingHost(settings);
		try {
			await host.#listen();
		} catch (error) {
			await host[Symbol.asyncDispose]();
			throw error;
		}
		return host;
	}

	private constructor(settings: PairingHostSettings) {
		const { certificate: cert, key: privateKey } = settings.identity;
		this.#settings = settings;
		this.#certificate = new X509Certificate(cert).raw;
		this.#settle = { resolve: () => {}, reject: () => {} };
		this.#guest = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
		this.#guest.catch(() => {}); // heard by whoever asks
		this.#server = createServer({ cert, key: privateKey, minVersion: 'TLSv1.3', handshakeTimeout: TALK_MS });
		this.#server.maxConnections = CONNECTIONS_MAX;
		this.#server.on('connection', (socket: Socket) => {
			this.#connections.add(socket);
			socket.once('close', () => this.#connections.delete(socket));
		});
		this.#server.on('secureConnection', (socket) => void this.#serve(socket));
		this.#server.on('tlsClientError', (error) => log.debug({ error }, 'no TLS'));
		this.#server.on('error', () => {}); // heard by #listen
		this.#expiry = setTimeout(
			// Who has begun in time may come to an end with it.
			() => this.#isUsed || this.#fail('Nobody has typed the code in time: it is of no use any more.'),
			settings.validMs,
		);
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** Errors: ERR_PAIR, where the code expired, was guessed at, or led to nothing. */
	paired(): Promise<Guest> {
		return this.#guest;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		clearTimeout(this.#expiry);
		if (!this.#server.listening) return;
		const closed = once(this.#server, 'close');
		this.#server.close();
		// What was said last is to arrive.
		for (const socket of this.#secured) socket.destroySoon();
		const late = setTimeout(() => {
			for (const socket of this.#connections) socket.destroy();
		}, CLOSE_MS);
		await closed;
		clearTimeout(late);
	}

	async #listen(): Promise<void> {
		const { port } = this.#settings;
		for (const own of [port, 0]) {
			try {
				// Both families, where the machine has both.
				this.#server.listen(own);
				await once(this.#server, 'listening');
				return;
			} catch (cause) {
				const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
				if (code !== 'EADDRINUSE' || own === 0)
					throw new SidecarError('ERR_PAIR', `No port can be had to wait for the other machine at (${code}).`, {
						cause,
					});
			}
		}
	}

	async #serve(socket: TLSSocket): Promise<void> {
		const { secret, grant, keep, onWrong, talkMs } = this.#settings;
		const address = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
		this.#secured.add(socket);
		socket.once('close', () => this.#secured.delete(socket));
		using talk = new Talk(socket, talkMs);
		const refuse = (reason: 'code' | 'used' | 'protocol') => talk.tell({ type: 'refused', reason });
		try {
			const binding = bindingOf(socket);
			const { protocol, host, proof } = await talk.hear(PairingProof, 'What the other machine says');
			if (protocol !== PAIRING_PROTOCOL) return refuse('protocol');
			if (this.#isUsed) return refuse('used');
			const key = await pairingKey(secret, this.#certificate, binding);
			if (this.#isUsed) return refuse('used'); // by another meanwhile
			if (!isProof(proof, proofOf(key, 'typed', binding))) {
				this.#triesLeft--;
				refuse('code');
				onWrong?.(address, this.#triesLeft);
				if (this.#triesLeft === 0)
					this.#fail(
						`A wrong code came ${TRIES} times, at last from ${address}: the code is of no use any more. If that was not you, somebody in this network is guessing.`,
					);
				return;
			}
			this.#isUsed = true;
			try {
				await keep?.();
			} catch (error) {
				return this.#settle.reject(error);
			}
			talk.tell({ type: 'granted', proof: proofOf(key, 'shown', binding), ...grant });
			const { type } = await talk.hear(PairingEnd, 'What came of it').catch(() => ({ type: 'silent' }));
			if (type === 'kept') return this.#settle.resolve({ host, address });
			this.#fail(
				`${host} (${address}) had the code, but ${type === 'unreachable' ? `did not reach port ${grant.port} of this machine: let TCP ${grant.port} through its firewall` : 'did not come to an end with it'}.`,
			);
		} catch (error) {
			// Whoever talks nonsense has not shown a code, right or wrong.
			log.debug({ address, reason: isSidecarError(error) ? error.message : String(error) }, 'not understood');
		}
	}

	#fail(message: string): void {
		this.#isUsed = true;
		this.#settle.reject(new SidecarError('ERR_PAIR', `${message} Run allaprima pair again for another code.`));
	}
}
