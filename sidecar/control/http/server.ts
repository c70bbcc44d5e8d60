import { once } from 'node:events';
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { urlOf, type HttpAccess } from '../../config/http-access.ts';
import { SidecarError } from '../../errors.ts';
import { log } from '../../telemetry/logger.ts';
import { ChatDoor } from '../chat.ts';
import { Access } from './access.ts';
import { Refusal, refusalAnswer, SECURITY_HEADERS, type Answer } from './answer.ts';
import { refusalOf } from './guard.ts';
import { readPageFiles, type PageFiles } from './page-files.ts';
import { pathOf } from './request.ts';
import { routesAt } from './routes.ts';
import { channelNamed, type Served } from './served.ts';
import { refuseUpgrade, WebSockets } from './web-sockets.ts';

const REQUEST_MS = 10_000;
/** How often it is looked for requests that take too long. */
const CHECK_MS = 1000;
const CONNECTIONS = 64;

export interface HttpServerOptions extends Served, HttpAccess {
	/** How long a request may take to come, headers and body. */
	requestMs?: number;
	nowMs?: () => number;
}

/** Errors: ERR_CONFIG where the port cannot be had. */
export const startHttpServer = async (options: HttpServerOptions): Promise<HttpServer> => {
	const server = new HttpServer(options, await readPageFiles());
	await server.listen();
	return server;
};

/**
 * The page (page-files.ts), the API (routes.ts) and its WebSockets (web-sockets.ts): for this machine alone, or for whoever
 * has the token (access.ts).
 */
export class HttpServer implements AsyncDisposable {
	readonly #options: HttpServerOptions;
	readonly #page: PageFiles;
	readonly #server: Server;
	readonly #sockets: WebSockets;
	readonly #access: Access;
	readonly #nowMs: () => number;
	/** Of the channels there are, by name. */
	readonly #chats = new Map<string, ChatDoor>();

	constructor(options: HttpServerOptions, page: PageFiles) {
		const { requestMs = REQUEST_MS, nowMs = () => performance.now() } = options;
		this.#options = options;
		this.#page = page;
		this.#sockets = new WebSockets(options);
		this.#nowMs = nowMs;
		this.#access = new Access(options, nowMs);
		this.#server = createServer(
			{
				headersTimeout: requestMs,
				requestTimeout: requestMs,
				keepAliveTimeout: requestMs,
				connectionsCheckingInterval: Math.min(CHECK_MS, requestMs),
			},
			(request, response) => void this.#answer(request, response),
		);
		this.#server.maxConnections = CONNECTIONS;
		this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** For this machine. */
	get url(): string {
		return urlOf(this.#options.host, this.port);
	}

	/** How many look on, for the tests and the log. */
	get clientCount(): number {
		return this.#sockets.clientCount;
	}

	async listen(): Promise<void> {
		const { host, port } = this.#options;
		this.#server.listen(port, host);
		try {
			await once(this.#server, 'listening');
		} catch (cause) {
			const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
			const seen: Record<string, string> = {
				EADDRINUSE: 'is taken, perhaps by another allaprima',
				EACCES: 'may not be used by this user',
				EADDRNOTAVAIL: 'cannot be had: this machine has no such address',
				ENOTFOUND: 'cannot be had: there is no such name',
			};
			throw new SidecarError(
				'ERR_CONFIG',
				`Port ${port} of ${host} ${seen[code] ?? `cannot be opened (${code})`}. Choose another with --http PORT, or none with --http off.`,
				{ cause },
			);
		}
		this.#server.on('error', (error) => log.warn({ error }, 'page'));
		this.#sockets.start();
		log.info({ url: this.url }, 'page');
	}

	async [Symbol.asyncDispose](): Promise<void> {
		using _closing = this.#sockets.close();
		if (!this.#server.listening) return;
		const closed = once(this.#server, 'close');
		this.#server.close();
		this.#server.closeAllConnections();
		await closed;
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		let answer: Answer;
		try {
			answer = await this.#route(request);
		} catch (error) {
			if (response.destroyed) return;
			answer = refusalAnswer(error);
		}
		// What is left of the request is not worth reading.
		if (!request.complete) response.shouldKeepAlive = false;
		response.writeHead(answer.status ?? 200, {
			...SECURITY_HEADERS,
			'Content-Type': answer.type,
			'Content-Length': Buffer.byteLength(answer.body),
			...answer.headers,
		});
		response.end(answer.body);
	}

	async #route(request: IncomingMessage): Promise<Answer> {
		const refusal = this.#refusalOf(request);
		if (refusal) throw new Refusal(403, 'ERR_ORIGIN', refusal);
		const path = pathOf(request);
		const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
		// A browser has no token before the page has asked for it, and the page's files have no secrets.
		const file = this.#page.get(path);
		if (file) return method === 'GET' ? file : refuseMethod(path, ['GET']);
		this.#access.admit(request);
		const routes = routesAt(path);
		if (routes.size === 0) throw new Refusal(404, 'ERR_PATH', `There is nothing at ${path}.`);
		const route = routes.get(method);
		if (!route) return refuseMethod(path, [...routes.keys()]);
		return await route.handle({
			request,
			path: route.path,
			served: this.#options,
			access: this.#access,
			chatOf: (channel) => this.#chatOf(channel),
			nowUs: () => this.#nowMs() * 1000,
		});
	}

	#refusalOf({ headers, socket }: IncomingMessage): string | undefined {
		return refusalOf(headers, { hosts: this.#options.hosts, localAddress: socket.localAddress });
	}

	#chatOf(channel: string): ChatDoor | undefined {
		const { chat } = this.#options;
		if (!chat) return undefined;
		for (const name of this.#chats.keys()) if (!channelNamed(this.#options, name)) this.#chats.delete(name);
		const door = this.#chats.get(channel) ?? new ChatDoor(chat);
		this.#chats.set(channel, door);
		return door;
	}

	#upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
		socket.on('error', () => socket.destroy());
		const refusal = this.#refusalOf(request);
		if (refusal) return refuseUpgrade(socket, '403 Forbidden', refusal);
		try {
			this.#access.admitSocket(request);
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			return refuseUpgrade(socket, `${error.status} ${STATUS_CODES[error.status]}`, error.message);
		}
		this.#sockets.accept(request, socket, head);
	}
}

const refuseMethod = (path: string, allowed: readonly string[]): never => {
	const names = allowed.join(', ');
	throw new Refusal(405, 'ERR_METHOD', `${path} answers to ${names}.`, { Allow: names });
};
