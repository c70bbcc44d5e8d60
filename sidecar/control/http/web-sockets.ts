import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { NewestMessage } from './newest-message.ts';
import { BODY_BYTES, channelNameOf, pathOf } from './request.ts';
import { channelNamed, stateOf, type Served } from './served.ts';

/** Of each path. */
const CLIENTS = 16;
const TICK_MS = 500;
/** Of ticks: half a minute without reading. */
const STALLED_TICKS = 60;
const CLOSING_MS = 1000;
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;

/** Somebody who looks on, and at which channel; undefined is the first. */
interface Client {
	line: NewestMessage;
	channel: string | undefined;
}

/**
 * | path         | messages                                                                               |
 * | ------------ | -------------------------------------------------------------------------------------- |
 * | /api/events  | `ServerState` as JSON after each change, and twice a second                             |
 * | /api/preview | each message that the client sends asks for one frame (egress/preview-sink.ts)         |
 *
 * A client that does not read has one message of each kind under way and no more, and is let go after half a minute.
 */
export class WebSockets {
	readonly #served: Served;
	readonly #server = new WebSocketServer({
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
	#ticking: NodeJS.Timeout | undefined;
	#unsubscribe: (() => void) | undefined;

	constructor(served: Served) {
		this.#served = served;
	}

	get clientCount(): number {
		return Object.values(this.#clients).reduce((sum, clients) => sum + clients.size, 0);
	}

	start(): void {
		this.#ticking = setInterval(() => this.#tick(), TICK_MS);
		this.#ticking.unref();
		this.#unsubscribe = this.#served.subscribe(() => this.#announce());
	}

	/** Says goodbye, and lets go of who does not answer, until what it gives is disposed of. */
	close(): Disposable {
		clearInterval(this.#ticking);
		this.#unsubscribe?.();
		const sockets = Object.values(this.#clients).flatMap((clients) => [...clients.keys()]);
		for (const socket of sockets) socket.close(GOING_AWAY, 'the sidecar ends');
		// A client that does not answer has had its chance.
		const impatience = setTimeout(() => {
			for (const socket of sockets) socket.terminate();
		}, CLOSING_MS);
		return { [Symbol.dispose]: () => clearTimeout(impatience) };
	}

	/** A request that is allowed becomes a WebSocket, or is told why not. */
	accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
		const path = pathOf(request);
		const channel = channelNameOf(request);
		const clients = Object.hasOwn(this.#clients, path) ? this.#clients[path] : undefined;
		if (!clients) refuseUpgrade(socket, '404 Not Found', 'There is no WebSocket here.');
		else if (!channelNamed(this.#served, channel)) refuseUpgrade(socket, '404 Not Found', 'There is no such channel.');
		else if (clients.size >= CLIENTS)
			refuseUpgrade(socket, '503 Service Unavailable', `${CLIENTS} clients look on already.`);
		else
			this.#server.handleUpgrade(request, socket, head, (client) => this.#connect(client, clients, { path, channel }));
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
		const preview = channelNamed(this.#served, channel)?.preview;
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
		const served = channelNamed(this.#served, channel);
		if (served) line.offer(() => JSON.stringify(stateOf(this.#served, served)));
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

/** `status` and `message` are ours: nothing of the request may get into a header. A client that goes on talking is let go. */
export const refuseUpgrade = (socket: Duplex, status: string, message: string): void => {
	socket.once('finish', () => socket.destroy());
	socket.end(
		`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
	);
};
