import { Kvm, type KV } from '@nats-io/kv';
import { connect, createInbox, credsAuthenticator, type Msg, type NatsConnection } from '@nats-io/transport-node';
import type { FleetAccess } from '../config/fleet-access.ts';
import { SidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';
import { collectWholeHeapSeldom } from './collector.ts';
import type { LeaseStore } from './leases.ts';

/** NATS as the fleet uses it; the only file that knows the client's library. */

/** What came on a subject. */
export interface Received {
	/** A view of the client's memory that stays as it is. */
	data: Uint8Array;
	/** The server says that nobody listens where a message of ours went. */
	isNobody: boolean;
	/** Does nothing where the sender waits for no answer. */
	respond(data: Uint8Array): void;
}

export interface Bus {
	/** The longest message that the server passes on, in bytes. */
	readonly payloadMax: number;
	/** Messages of now go nowhere while it is false; the client tries again and again. */
	readonly isConnected: boolean;
	/** Calls back when the connection is lost, and messages with it, until what it gives is called. */
	onLost(callback: () => void): () => void;
	/** `replyTo` hears it, too, where nobody listens on `subject`. */
	publish(subject: string, data: Uint8Array, replyTo?: string): void;
	/** Once it resolves nothing that is sent there is missed. Gives what ends it. */
	subscribe(subject: string, hear: (message: Received) => void): Promise<() => void>;
	/** Undefined where nobody listens, or answers in time. */
	request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array | undefined>;
	/** All answers within `firstMs`, and `moreMs` after the first, or `enough` of them; none at once where nobody listens. */
	requestAll(
		subject: string,
		data: Uint8Array,
		wait: { firstMs: number; moreMs: number; enough?: number },
	): Promise<{ data: Uint8Array; afterMs: number }[]>;
}

const BUCKET = 'allaprima-leases';
/** The fewest of which most are still there when one is lost. */
const CLUSTER_REPLICAS = 3;
/** Three seconds without a worker that was cut off, at most; a sidecar that knows of it takes the lease away before. */
const TTL_MS = 3000;
/** What the table is asked is of no use later: a lease is renewed five times while it lasts. */
const ANSWER_MS = 1000;
const CONNECT_TIMEOUT_MS = 5000;
const RECONNECT_MS = 100;
/** A connection that was cut without a word is noticed after two of them. */
const PING_MS = 1000;
const NO_RESPONDERS = 503;
/** nats-server, server/errors.json. */
const WRONG_LAST_SEQUENCE = 10071;

/** One connection to a NATS server, made again for as long as it is not closed. */
export class NatsBus implements Bus, AsyncDisposable {
	readonly #connection: NatsConnection;
	readonly #onLost = new Set<() => void>();
	#isConnected = true;

	/** Errors: ERR_FLEET. */
	static async connect(access: FleetAccess): Promise<NatsBus> {
		const { server, servers, token, user, password, credentials, tls } = access;
		collectWholeHeapSeldom();
		try {
			const connection = await connect({
				// Where all the ways are known, what the server says of itself adds none.
				...(servers ? { servers: [...servers], noRandomize: true, ignoreClusterUpdates: true } : { servers: server }),
				name: 'allaprima',
				...(token !== undefined && { token }),
				...(user !== undefined && { user }),
				...(password !== undefined && { pass: password }),
				...(credentials && { authenticator: credsAuthenticator(credentials) }),
				...(tls && { tls }),
				timeout: CONNECT_TIMEOUT_MS,
				maxReconnectAttempts: -1,
				reconnectTimeWait: RECONNECT_MS,
				reconnectJitterTLS: RECONNECT_MS, // as without TLS; its own would be a second
				pingInterval: PING_MS,
				maxPingOut: 2,
				noAsyncTraces: true,
				ignoreAuthErrorAbort: true, // else the second refusal, however long after the first, ends it for good
			});
			return new NatsBus(connection);
		} catch (cause) {
			throw new SidecarError('ERR_FLEET', whyNot(access, cause as Error), { cause });
		}
	}

	private constructor(connection: NatsConnection) {
		this.#connection = connection;
		void this.#follow();
	}

	get payloadMax(): number {
		return this.#connection.info?.max_payload ?? 0;
	}

	get isConnected(): boolean {
		return this.#isConnected && !this.#connection.isClosed();
	}

	onLost(callback: () => void): () => void {
		this.#onLost.add(callback);
		return () => void this.#onLost.delete(callback);
	}

	publish(subject: string, data: Uint8Array, replyTo?: string): void {
		// The client would keep it for later, when it is of no use.
		if (this.isConnected) this.#connection.publish(subject, data, replyTo === undefined ? {} : { reply: replyTo });
	}

	async subscribe(subject: string, hear: (message: Received) => void): Promise<() => void> {
		const unsubscribe = this.#listen(subject, hear);
		try {
			await this.#connection.flush();
		} catch (cause) {
			unsubscribe();
			throw new SidecarError('ERR_FLEET', 'The connection to the NATS server is closed.', { cause });
		}
		return unsubscribe;
	}

	async request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array | undefined> {
		if (!this.isConnected) return undefined;
		try {
			return (await this.#connection.request(subject, data, { timeout: timeoutMs })).data;
		} catch {
			return undefined; // nobody there, or nobody in time
		}
	}

	async requestAll(
		subject: string,
		data: Uint8Array,
		{ firstMs, moreMs, enough = Infinity }: { firstMs: number; moreMs: number; enough?: number },
	): Promise<{ data: Uint8Array; afterMs: number }[]> {
		if (!this.isConnected) return [];
		const inbox = createInbox();
		const startMs = performance.now();
		const answers: { data: Uint8Array; afterMs: number }[] = [];
		let timer: NodeJS.Timeout | undefined;
		const { promise: over, resolve: end } = withResolvers();
		// The server takes what we say in its order: first this, then the question.
		const unsubscribe = this.#listen(inbox, (message) => {
			if (message.isNobody) return end();
			if (answers.length === 0) {
				clearTimeout(timer);
				timer = setTimeout(end, moreMs);
			}
			answers.push({ data: message.data, afterMs: performance.now() - startMs });
			if (answers.length >= enough) end();
		});
		timer = setTimeout(end, firstMs);
		this.publish(subject, data, inbox);
		await over;
		clearTimeout(timer);
		unsubscribe();
		return answers;
	}

	/** Resolves once it was closed here. Errors: ERR_FLEET, where the client has given it up. */
	async closed(): Promise<void> {
		const cause = await this.#connection.closed();
		if (cause)
			throw new SidecarError('ERR_FLEET', `The connection to the NATS server was given up (${cause.message}).`, {
				cause,
			});
	}

	/** The table of leases, made where there is none. Errors: ERR_FLEET. */
	async leases(): Promise<LeaseStore> {
		const leases = await NatsLeases.open(this.#connection, () => this.isConnected);
		this.onLost(() => leases.forget());
		return leases;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#connection.flush().catch(() => {});
		await this.#connection.close();
	}

	#listen(subject: string, hear: (message: Received) => void): () => void {
		const subscription = this.#connection.subscribe(subject, {
			callback: (error, message) => {
				if (error) log.error({ subject, reason: error.message }, 'subscription lost');
				else hear(receivedOf(message));
			},
		});
		return () => subscription.unsubscribe();
	}

	async #follow(): Promise<void> {
		for await (const { type } of this.#connection.status()) {
			const was = this.#isConnected;
			if (type === 'disconnect' || type === 'staleConnection') this.#isConnected = false;
			else if (type === 'reconnect') this.#isConnected = true;
			if (was && !this.#isConnected) {
				log.warn({}, 'NATS server lost');
				for (const callback of this.#onLost) callback();
			} else if (!was && this.#isConnected) log.info({}, 'NATS server reached again');
		}
	}
}

const receivedOf = (message: Msg): Received => ({
	data: message.data,
	isNobody: message.data.length === 0 && message.headers?.code === NO_RESPONDERS,
	respond: (data) => void message.respond(data),
});

const withResolvers = (): { promise: Promise<void>; resolve: () => void } => {
	let resolve = () => {};
	const promise = new Promise<void>((settle) => (resolve = settle));
	return { promise, resolve };
};

const whyNot = ({ url, isPaired }: FleetAccess, { name, message }: Error): string => {
	if (isPaired)
		return `What answers where the paired machine was is not it, or has been paired anew since (${message}). Is another program at that port? Else pair the two again: allaprima pair.`;
	const where = `The NATS server ${url}`;
	if (/authorization|authentication|user|credentials/i.test(`${name} ${message}`))
		return `${where} refused us (${message}). Set ALLAPRIMA_NATS_TOKEN, or ALLAPRIMA_NATS_USER and ALLAPRIMA_NATS_PASSWORD, or fleet.credsFile.`;
	if (/tls|certificate|self.signed|issuer|ssl|altname/i.test(`${name} ${message}`))
		return `${where} and this end do not agree about TLS (${message}). Use tls://, and fleet.caFile where its certificate is signed by an authority of your own.`;
	return `${where} cannot be reached (${message}). Is it running, and is that its address?`;
};

/** JetStream's key-value table. Where the server has lost it, it is made again. */
class NatsLeases implements LeaseStore {
	readonly ttlMs: number;
	readonly #connection: NatsConnection;
	readonly #isConnected: () => boolean;
	#table: Promise<KV> | undefined;

	static async open(connection: NatsConnection, isConnected: () => boolean): Promise<NatsLeases> {
		try {
			const table = await openTable(connection);
			return new NatsLeases(connection, isConnected, { table, ttlMs: (await table.status()).ttl });
		} catch (cause) {
			throw new SidecarError(
				'ERR_FLEET',
				`The NATS server has no table for leases (${(cause as Error).message}). It needs JetStream: start it with -js, or with "jetstream {}" in its configuration, and with rights to it for this account.`,
				{ cause },
			);
		}
	}

	private constructor(
		connection: NatsConnection,
		isConnected: () => boolean,
		{ table, ttlMs }: { table: KV; ttlMs: number },
	) {
		this.#connection = connection;
		this.#isConnected = isConnected;
		this.#table = Promise.resolve(table);
		this.ttlMs = ttlMs;
	}

	/** The server may come back without it. */
	forget(): void {
		this.#table = undefined;
	}

	create(key: string, value: string): Promise<number | undefined> {
		return this.#unlessTaken((table) => table.create(key, value));
	}

	update(key: string, value: string, revision: number): Promise<number | undefined> {
		return this.#unlessTaken((table) => table.update(key, value, revision));
	}

	async delete(key: string, revision: number): Promise<void> {
		await this.#unlessTaken((table) => table.delete(key, { previousSeq: revision }));
	}

	async get(key: string): Promise<{ value: string; revision: number } | undefined> {
		const entry = await this.#asked((table) => table.get(key));
		return entry?.operation === 'PUT' ? { value: entry.string(), revision: entry.revision } : undefined;
	}

	#unlessTaken<Result>(work: (table: KV) => Promise<Result>): Promise<Result | undefined> {
		return this.#asked(async (table) => {
			try {
				return await work(table);
			} catch (error) {
				if ((error as { code?: unknown }).code === WRONG_LAST_SEQUENCE) return undefined;
				throw error;
			}
		});
	}

	async #asked<Result>(work: (table: KV) => Promise<Result>): Promise<Result> {
		try {
			if (!this.#isConnected()) throw new Error('the connection to the server is lost');
			this.#table ??= openTable(this.#connection);
			return await within(ANSWER_MS, this.#table.then(work));
		} catch (cause) {
			this.#table = undefined;
			const reason = (cause as Error).message;
			throw new SidecarError('ERR_FLEET', `The table of leases cannot be used (${reason}).`, { cause });
		}
	}
}

/** Errors: that it took longer. What it was goes on, and nobody hears of it. */
const within = <Result>(ms: number, work: Promise<Result>): Promise<Result> => {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error('the server does not answer')), ms);
	});
	return Promise.race([work, late]).finally(() => clearTimeout(timer));
};

const openTable = async (connection: NatsConnection): Promise<KV> => {
	const tables = new Kvm(connection);
	try {
		// On disk: numbers of leases have to grow over a restart of the server, too. In a cluster on three of its servers, so that
		// any of them may be lost.
		const replicas = connection.info?.cluster === undefined ? 1 : CLUSTER_REPLICAS;
		return await tables.create(BUCKET, { ttl: TTL_MS, history: 1, storage: 'file', replicas });
	} catch (error) {
		// Somebody else made it otherwise. To open one that is not there is no error before it is used.
		try {
			const table = await tables.open(BUCKET);
			await table.status();
			return table;
		} catch {
			throw error;
		}
	}
};
