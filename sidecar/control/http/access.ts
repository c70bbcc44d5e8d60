import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Refusal } from './answer.ts';
import { pathOf, queryOf } from './request.ts';

/** What somebody has to show to be answered. */
export interface Tokens {
	/** For everything; absent where all of this machine may ask. */
	token?: string;
	/** For POST /api/chat and nothing else. */
	chatToken?: string;
}

const CHAT_PATH = '/api/chat';
/** For whoever restarts the sidecar when it hangs, and says no more than that it does. */
const OPEN_PATH = '/healthz';

const TICKET_MS = 20_000;
const TICKETS = 64;
/** Wrong tokens of an address that cost nothing: somebody mistypes. */
const FREE_GUESSES = 3;
const FIRST_WAIT_MS = 1000;
const LAST_WAIT_MS = 60_000;
/** Whoever has more addresses than this to guess from is slowed by the length of the token alone. */
const ADDRESSES = 1024;

/**
 * Who may ask, where there is a token. A wrong one makes its address wait before another is looked at, twice as long each
 * time. A browser cannot put a header on a WebSocket: it asks for a ticket (`POST /api/tickets`), good for one WebSocket
 * and a few seconds, and gives it as `?ticket=`. The token itself in an address would stay in the logs of every proxy
 * and in the browser's history; a spent ticket opens nothing.
 */
export class Access {
	readonly #token: Buffer | undefined;
	readonly #chatToken: Buffer | undefined;
	readonly #nowMs: () => number;
	/** When each ends to be good. */
	readonly #tickets = new Map<string, number>();
	readonly #guesses = new Map<string, { count: number; waitUntilMs: number }>();

	constructor({ token, chatToken }: Tokens, nowMs: () => number = () => performance.now()) {
		this.#token = digestOf(token);
		this.#chatToken = digestOf(chatToken);
		this.#nowMs = nowMs;
	}

	/** Errors: ERR_TOKEN, as refusals: 401 without a token that is known, 403 for one of the chat, 429 after wrong ones. */
	admit(request: IncomingMessage): void {
		const path = pathOf(request);
		const needsToken = this.#token ?? (path === CHAT_PATH ? this.#chatToken : undefined);
		if (!needsToken || path === OPEN_PATH) return;
		const address = request.socket.remoteAddress ?? '';
		this.#expectPatience(address);
		const shown = digestOf(/^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]);
		if (!shown) throw unauthorized('This needs a token: Authorization: Bearer TOKEN.');
		const isToken = isSame(shown, this.#token);
		const isChatToken = isSame(shown, this.#chatToken);
		if (!isToken && !isChatToken) {
			this.#remember(address);
			throw unauthorized('This token is not known.');
		}
		this.#guesses.delete(address);
		if (!isToken && path !== CHAT_PATH) throw new Refusal(403, 'ERR_TOKEN', `This token is for ${CHAT_PATH} alone.`);
	}

	/** As `admit`, and a ticket will do. */
	admitSocket(request: IncomingMessage): void {
		const ticket = queryOf(request).get('ticket');
		if (ticket !== null && this.#spend(ticket)) return;
		this.admit(request);
	}

	/** For somebody who was admitted. The oldest make room. */
	newTicket(): { ticket: string; expiresInS: number } {
		const ticket = randomBytes(18).toString('base64url');
		keepNewest(this.#tickets, ticket, this.#nowMs() + TICKET_MS, TICKETS);
		return { ticket, expiresInS: TICKET_MS / 1000 };
	}

	#spend(ticket: string): boolean {
		const goodUntilMs = this.#tickets.get(ticket);
		this.#tickets.delete(ticket);
		return goodUntilMs !== undefined && this.#nowMs() < goodUntilMs;
	}

	#expectPatience(address: string): void {
		const waitMs = (this.#guesses.get(address)?.waitUntilMs ?? 0) - this.#nowMs();
		if (waitMs <= 0) return;
		const waitS = Math.ceil(waitMs / 1000);
		throw new Refusal(429, 'ERR_TOKEN', `Too many wrong tokens came from here. Try again in ${waitS} s.`, {
			'Retry-After': String(waitS),
		});
	}

	#remember(address: string): void {
		const count = (this.#guesses.get(address)?.count ?? 0) + 1;
		const over = count - FREE_GUESSES;
		const waitMs = over < 0 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** Math.min(over, 16), LAST_WAIT_MS);
		keepNewest(this.#guesses, address, { count, waitUntilMs: this.#nowMs() + waitMs }, ADDRESSES);
	}
}

/** Of equal length, so that a comparison takes as long for every token. */
const digestOf = (token: string | undefined): Buffer | undefined =>
	token === undefined ? undefined : createHash('sha256').update(token).digest();

const isSame = (shown: Buffer, known: Buffer | undefined): boolean =>
	known !== undefined && timingSafeEqual(shown, known);

const unauthorized = (message: string): Refusal =>
	new Refusal(401, 'ERR_TOKEN', message, { 'WWW-Authenticate': 'Bearer realm="Alla Prima"' });

const keepNewest = <K, V>(map: Map<K, V>, key: K, value: V, countMax: number): void => {
	map.delete(key);
	map.set(key, value);
	if (map.size <= countMax) return;
	for (const oldest of map.keys()) {
		map.delete(oldest);
		return;
	}
};
