import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { isSidecarError, SidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';
import { readCommand } from './commands.ts';
import type { Controller, ControlView } from './controller.ts';
import { refusalOf } from './http-guard.ts';
import { NewestMessage } from './newest-message.ts';

/**
 * The page and the API, for this machine alone. Where several channels are painted, `?channel=NAME` says which one is
 * meant; without it the first is.
 *
 * | request            | answer                                                                             |
 * | ------------------ | ---------------------------------------------------------------------------------- |
 * | GET /              | the page                                                                           |
 * | GET /api/state     | `ServerState`                                                                      |
 * | GET /api/presets   | `[{ name, title, prompt, strength, seed }]`, in the order of next and previous     |
 * | POST /api/commands | one command (control/commands.ts) as JSON; answers `ServerState`                   |
 * | /api/events        | WebSocket: `ServerState` as JSON after each change, and twice a second             |
 * | GET /healthz       | 200 while the process does its work; else 503, with what is wrong, as `/readyz`      |
 * | GET /readyz        | 200 while every channel has a picture to show                                      |
 * | GET /metrics       | for Prometheus                                                                     |
 * | /api/preview       | WebSocket: each message that the client sends asks for one frame (egress/preview-sink.ts) |
 *
 * An error is `{ "error": { "code", "message" } }`. A client that does not read has one message of each kind under
 * way and no more, and is let go after half a minute.
 */
const HOST = '127.0.0.1';
const BODY_BYTES = 16 * 1024;
const REQUEST_MS = 10_000;
const CLIENTS = 16;
const CONNECTIONS = 64;
const TICK_MS = 500;
/** Of ticks: half a minute without reading. */
const STALLED_TICKS = 60;
const CLOSING_MS = 1000;
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;

/** What the run has to say about itself; where it comes from is for app.ts to know. */
export interface RunView {
	engine: {
		state: 'starting' | 'painting' | 'stale' | 'restarting';
		model: string;
		provider: string;
		restarts: number;
	};
	source: string;
	painted: { width: number; height: number };
	/** Over the last seconds, as the latency. */
	fps: number;
	latencyMs: { p50: number; p95: number };
	/** Per batch, p50. */
	sideStreamMs: number;
	mainStreamMs: number;
	framesIn: number;
	framesOut: number;
	framesDropped: number;
	framesRepeated: number;
	framesUnpainted: number;
}

export interface ServerState {
	version: string;
	/** All that are painted, by name. */
	channels: readonly string[];
	channel: string;
	control: ControlView;
	run: RunView;
}

/** Gives somebody frames, one for each time they are asked for; `egress/preview-sink.ts` is one. */
export interface PreviewFeed {
	watch(send: (message: Uint8Array) => void): Disposable & { ready(): void };
}

/** One channel as the page steers it. */
export interface ServedChannel {
	name: string;
	controller: Controller;
	/** Absent until there is a picture. */
	preview: PreviewFeed | undefined;
	run: () => RunView;
}

/** What is wrong, a line each; empty where nothing is. */
export interface Health {
	/** Only a new start helps. */
	failing: readonly string[];
	/** There is no picture yet, or none any more. */
	unready: readonly string[];
}

export interface HttpServerOptions {
	/** 0 takes one that is free. */
	port: number;
	version: string;
	/** Asked for each time: channels come and go. */
	channels: () => readonly ServedChannel[];
	/** Calls back after each change of a channel's control, until what it gives is called. */
	subscribe: (listener: () => void) => () => void;
	health: () => Health;
	/** In Prometheus' text format. */
	metrics: () => Promise<string>;
}

/** Errors: ERR_CONFIG where the port cannot be had. */
export const startHttpServer = async (options: HttpServerOptions): Promise<HttpServer> => {
	const server = new HttpServer(options, await readPage());
	await server.listen(options.port);
	return server;
};

interface PageFile {
	type: string;
	body: Buffer;
}

/** Plain files that need no build: dist/ and sidecar/ see them at the same place. */
const PAGE_FOLDER = new URL('../../sidecar/control/page/', import.meta.url);
const PAGE_FILES: Record<string, [file: string, type: string]> = {
	'/': ['index.html', 'text/html'],
	'/page.css': ['page.css', 'text/css'],
	'/page.js': ['page.js', 'text/javascript'],
	'/stage.js': ['stage.js', 'text/javascript'],
	'/plot.js': ['plot.js', 'text/javascript'],
	'/link.js': ['link.js', 'text/javascript'],
};

const readPage = async (): Promise<Map<string, PageFile>> => {
	const files = Object.entries(PAGE_FILES).map(async ([path, [file, type]]): Promise<[string, PageFile]> => {
		const body = await readFile(new URL(file, PAGE_FOLDER));
		return [path, { type: `${type}; charset=utf-8`, body }];
	});
	return new Map(await Promise.all(files));
};

const SECURITY_HEADERS = {
	'Content-Security-Policy':
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	'Cross-Origin-Resource-Policy': 'same-origin',
	'Referrer-Policy': 'no-referrer',
	'X-Content-Type-Options': 'nosniff',
	'Cache-Control': 'no-store',
};

/** An answer other than success, to be thrown. */
class Refusal extends Error {
	readonly status: number;
	readonly code: string;
	readonly headers: Record<string, string>;

	constructor(status: number, code: string, message: string, headers: Record<string, string> = {}) {
		super(message);
		this.status = status;
		this.code = code;
		this.headers = headers;
	}
}

type Answer = { type: string; body: Buffer | string; status?: number };

const json = (value: unknown): Answer => ({ type: 'application/json', body: JSON.stringify(value) });

export class HttpServer implements AsyncDisposable {
	readonly #options: HttpServerOptions;
	readonly #page: Map<string, PageFile>;
	readonly #server: Server;
	readonly #sockets = new WebSocketServer({
		noServer: true,
		clientTracking: false,
		maxPayload: BODY_BYTES,
		perMessageDeflate: false,
	});
	/** Who is connected, by path. */
	readonly #clients: Record<string, Map<WebSocket, Client>> = {
		'/api/events': new Map(),
		'/api/preview': new Map(),
	};
	readonly #routes: Record<string, Record<string, (request: IncomingMessage) => Answer | Promise<Answer>>>;
	#ticking: NodeJS.Timeout | undefined;
	#unsubscribe: (() => void) | undefined;

	constructor(options: HttpServerOptions, page: Map<string, PageFile>) {
		this.#options = options;
		this.#page = page;
		this.#routes = {
			'/api/state': { GET: (request) => json(this.#state(this.#channelOf(request))) },
			'/api/presets': {
				GET: (request) =>
					json(
						this.#channelOf(request).controller.presets.map(({ name, title, prompt, strength, seed }) => ({
							name,
							title,
							prompt,
							strength,
							seed,
						})),
					),
			},
			'/api/commands': { POST: (request) => this.#command(request) },
			'/healthz': { GET: () => healthAnswer(options.health().failing) },
			'/readyz': { GET: () => healthAnswer(Object.values(options.health()).flat()) },
			'/metrics': {
				GET: async () => ({ type: 'text/plain; version=0.0.4; charset=utf-8', body: await options.metrics() }),
			},
		};
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
		return Object.values(this.#clients).reduce((sum, clients) => sum + clients.size, 0);
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
		this.#ticking = setInterval(() => this.#tick(), TICK_MS);
		this.#ticking.unref();
		this.#unsubscribe = this.#options.subscribe(() => this.#announce());
		log.info({ url: this.url }, 'page');
	}

	async [Symbol.asyncDispose](): Promise<void> {
		clearInterval(this.#ticking);
		this.#unsubscribe?.();
		if (!this.#server.listening) return;
		const closed = once(this.#server, 'close');
		this.#server.close();
		this.#server.closeAllConnections();
		const sockets = Object.values(this.#clients).flatMap((clients) => [...clients.keys()]);
		for (const socket of sockets) socket.close(GOING_AWAY, 'the sidecar ends');
		// A client that does not answer has had its chance.
		const impatience = setTimeout(() => {
			for (const socket of sockets) socket.terminate();
		}, CLOSING_MS);
		await closed;
		clearTimeout(impatience);
	}

	/** The channel that a request is about. Errors: ERR_CHANNEL, as refusals. */
	#channelOf({ url }: IncomingMessage): ServedChannel {
		const channel = this.#channelNamed(channelNameOf(url));
		if (channel) return channel;
		const names = this.#options.channels().map(({ name }) => name);
		if (names.length === 0) throw new Refusal(503, 'ERR_CHANNEL', 'Nothing is painted yet.', { 'Retry-After': '1' });
		throw new Refusal(404, 'ERR_CHANNEL', `There is no such channel. Expected one of ${names.join(', ')}.`);
	}

	#channelNamed(name: string | undefined): ServedChannel | undefined {
		const channels = this.#options.channels();
		return name === undefined ? channels[0] : channels.find((channel) => channel.name === name);
	}

	#state({ name, controller, run }: ServedChannel): ServerState {
		const { version, channels } = this.#options;
		return {
			version,
			channels: channels().map((channel) => channel.name),
			channel: name,
			control: controller.view(),
			run: run(),
		};
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		let status: number;
		let answer: Answer;
		let headers: Record<string, string> = {};
		try {
			answer = await this.#route(request);
			status = answer.status ?? 200;
		} catch (error) {
			if (response.destroyed) return;
			({ status, headers, answer } = refusalAnswer(error));
		}
		// What is left of the request is not worth reading.
		if (!request.complete) response.shouldKeepAlive = false;
		response.writeHead(status, {
			...SECURITY_HEADERS,
			'Content-Type': answer.type,
			'Content-Length': Buffer.byteLength(answer.body),
			...headers,
		});
		response.end(answer.body);
	}

	async #route(request: IncomingMessage): Promise<Answer> {
		const refusal = refusalOf(request.headers);
		if (refusal) throw new Refusal(403, 'ERR_ORIGIN', refusal);
		const path = pathOf(request);
		const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
		const file = this.#page.get(path);
		const routes = file ? { GET: () => file } : Object.hasOwn(this.#routes, path) ? this.#routes[path]! : undefined;
		if (!routes) throw new Refusal(404, 'ERR_PATH', `There is nothing at ${path}.`);
		if (!Object.hasOwn(routes, method)) {
			const allowed = Object.keys(routes).join(', ');
			throw new Refusal(405, 'ERR_METHOD', `${path} answers to ${allowed}.`, { Allow: allowed });
		}
		return await (routes as Record<string, (request: IncomingMessage) => Answer | Promise<Answer>>)[method]!(request);
	}

	async #command(request: IncomingMessage): Promise<Answer> {
		if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? ''))
			throw new Refusal(415, 'ERR_COMMAND', 'A command is sent as application/json.');
		const channel = this.#channelOf(request);
		channel.controller.apply(readCommand(await readJson(request)));
		return json(this.#state(channel));
	}

	#upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
		socket.on('error', () => socket.destroy());
		const path = pathOf(request);
		const clients = Object.hasOwn(this.#clients, path) ? this.#clients[path] : undefined;
		const refusal = refusalOf(request.headers);
		const refuse = (status: string, message: string) =>
			socket.end(
				`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
			);
		if (refusal) refuse('403 Forbidden', refusal);
		else if (!clients) refuse('404 Not Found', 'There is no WebSocket here.');
		else if (!this.#channelNamed(channelNameOf(request.url))) refuse('404 Not Found', 'There is no such channel.');
		else if (clients.size >= CLIENTS) refuse('503 Service Unavailable', `${CLIENTS} clients look on already.`);
		else
			this.#sockets.handleUpgrade(request, socket, head, (client) =>
				this.#connect(client, clients, { path, channel: channelNameOf(request.url) }),
			);
	}

	#connect(
		client: WebSocket,
		clients: Map<WebSocket, Client>,
		{ path, channel }: { path: string; channel: string | undefined },
	): void {
		const line = new NewestMessage((message, done) => client.send(message, () => done()));
		clients.set(client, { line, channel });
		client.on('error', () => client.terminate());
		client.on('close', () => clients.delete(client));
		if (path === '/api/events') {
			this.#tell({ line, channel });
			return;
		}
		const preview = this.#channelNamed(channel)?.preview;
		// The page asks again, until there is a picture.
		if (!preview) return client.close(TRY_AGAIN_LATER, 'no picture yet');
		const watcher = preview.watch((message) => line.offer(() => message));
		client.on('close', () => watcher[Symbol.dispose]());
		// Who asks again before the last frame has gone out waits for that.
		client.on('message', () =>
			line.whenFree(() => {
				if (client.readyState === WebSocket.OPEN) watcher.ready();
			}),
		);
	}

	#tell({ line, channel }: Client): void {
		const served = this.#channelNamed(channel);
		if (served) line.offer(() => JSON.stringify(this.#state(served)));
	}

	#announce(): void {
		for (const client of this.#clients['/api/events']!.values()) this.#tell(client);
	}

	#tick(): void {
		this.#announce();
		for (const clients of Object.values(this.#clients))
			for (const [client, { line }] of clients) if (line.tick() > STALLED_TICKS) client.terminate();
	}
}

/** Somebody who looks on, and at which channel; undefined is the first. */
interface Client {
	line: NewestMessage;
	channel: string | undefined;
}

const healthAnswer = (wrong: readonly string[]): Answer => ({
	type: 'text/plain; charset=utf-8',
	body: wrong.length === 0 ? 'ok\n' : `${wrong.join('\n')}\n`,
	status: wrong.length === 0 ? 200 : 503,
});

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0]!;

const channelNameOf = (url = ''): string | undefined =>
	new URLSearchParams(url.split('?').slice(1).join('?')).get('channel') ?? undefined;

const refusalAnswer = (error: unknown): { status: number; headers: Record<string, string>; answer: Answer } => {
	const explain = (code: string, message: string) => json({ error: { code, message } });
	if (error instanceof Refusal)
		return { status: error.status, headers: error.headers, answer: explain(error.code, error.message) };
	if (isSidecarError(error)) return { status: 400, headers: {}, answer: explain(error.code, error.message) };
	log.error({ error }, 'request failed');
	return { status: 500, headers: {}, answer: explain('ERR_INTERNAL', 'The log says what went wrong.') };
};

/** Errors: ERR_COMMAND, as refusals. */
const readJson = async (request: IncomingMessage): Promise<unknown> => {
	const chunks: Buffer[] = [];
	let byteLength = 0;
	await new Promise<void>((resolve, reject) => {
		request.on('data', (chunk: Buffer) => {
			byteLength += chunk.length;
			chunks.push(chunk);
			if (byteLength <= BODY_BYTES) return;
			request.pause();
			reject(new Refusal(413, 'ERR_COMMAND', `A command has at most ${BODY_BYTES} bytes.`));
		});
		request.on('end', resolve);
		request.on('close', () => reject(new Refusal(400, 'ERR_COMMAND', 'The request was cut off.')));
	});
	try {
		return JSON.parse(Buffer.concat(chunks).toString('utf8'));
	} catch (cause) {
		throw new Refusal(400, 'ERR_COMMAND', `The command is not JSON: ${(cause as Error).message}.`);
	}
};
