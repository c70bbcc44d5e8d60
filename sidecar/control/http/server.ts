import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { SidecarError } from '../../errors.ts';
import { log } from '../../telemetry/logger.ts';
import { Refusal, refusalAnswer, SECURITY_HEADERS, type Answer } from './answer.ts';
import { refusalOf } from './guard.ts';
import { readPageFiles, type PageFiles } from './page-files.ts';
import { pathOf } from './request.ts';
import { routesAt } from './routes.ts';
import type { Served } from './served.ts';
import { refuseUpgrade, WebSockets } from './web-sockets.ts';

const HOST = '127.0.0.1';
const REQUEST_MS = 10_000;
const CONNECTIONS = 64;

export interface HttpServerOptions extends Served {
	/** 0 takes one that is free. */
	port: number;
}

/** Errors: ERR_CONFIG where the port cannot be had. */
export const startHttpServer = async (options: HttpServerOptions): Promise<HttpServer> => {
	const server = new HttpServer(options, await readPageFiles());
	await server.listen(options.port);
	return server;
};

/** The page (page-files.ts), the API (routes.ts) and its WebSockets (web-sockets.ts), for this machine alone. */
export class HttpServer implements AsyncDisposable {
	readonly #options: HttpServerOptions;
	readonly #page: PageFiles;
	readonly #server: Server;
	readonly #sockets: WebSockets;

	constructor(options: HttpServerOptions, page: PageFiles) {
		this.#options = options;
		this.#page = page;
		this.#sockets = new WebSockets(options);
		this.#server = createServer(
			{ headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, keepAliveTimeout: REQUEST_MS },
			(request, response) => void this.#answer(request, response),
		);
		this.#server.maxConnections = CONNECTIONS;
		this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	get url(): string {
		return `http://${HOST}:${this.port}/`;
	}

	/** How many look on, for the tests and the log. */
	get clientCount(): number {
		return this.#sockets.clientCount;
	}

	async listen(port: number): Promise<void> {
		this.#server.listen(port, HOST);
		try {
			await once(this.#server, 'listening');
		} catch (cause) {
			const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
			const seen: Record<string, string> = {
				EADDRINUSE: 'is taken, perhaps by another allaprima',
				EACCES: 'may not be used by this user',
			};
			throw new SidecarError(
				'ERR_CONFIG',
				`Port ${port} of ${HOST} ${seen[code] ?? `cannot be opened (${code})`}. Choose another with --http PORT, or none with --http off.`,
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
		const refusal = refusalOf(request.headers);
		if (refusal) throw new Refusal(403, 'ERR_ORIGIN', refusal);
		const path = pathOf(request);
		const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
		const file = this.#page.get(path);
		const routes = file ? { GET: () => file } : routesAt(path);
		if (!routes) throw new Refusal(404, 'ERR_PATH', `There is nothing at ${path}.`);
		const handler = new Map(Object.entries(routes)).get(method);
		if (!handler) {
			const allowed = Object.keys(routes).join(', ');
			throw new Refusal(405, 'ERR_METHOD', `${path} answers to ${allowed}.`, { Allow: allowed });
		}
		return await handler(request, this.#options);
	}

	#upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
		socket.on('error', () => socket.destroy());
		const refusal = refusalOf(request.headers);
		if (refusal) refuseUpgrade(socket, '403 Forbidden', refusal);
		else this.#sockets.accept(request, socket, head);
	}
}
