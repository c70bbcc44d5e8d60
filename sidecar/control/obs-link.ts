import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { ObsMessage, parse, type Configuration } from '../config/schema.ts';
import { isSidecarError, SidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';
import { readCommand } from './commands.ts';
import type { Controller } from './controller.ts';

/** What this and the plugin speak: obs-bridge/protocol.md. */
const PROTOCOL = 1;
/** A line that is longer comes from no plugin of ours. */
const LINE_BYTES = 64 * 1024;
/** Two OBS with a dozen filters each fit into few connections. */
const CONNECTIONS = 16;
/** What a plugin that does not read may leave waiting here before it is hung up on. */
const WAITING_BYTES = 1024 * 1024;

export type ObsStream = Omit<Extract<ObsMessage, { type: 'stream' }>, 'type'>;

/** What the filter's dialog shows of the run. */
export interface ObsRunState {
	engine: string;
	fps: number;
	latencyMs: number;
}

export interface ObsLinkOptions {
	/** Of the socket; the folder is this user's alone. */
	path: string;
	version: string;
	controller: Controller;
	/** A part of the stream's name; the first stream there is, where it is left out. */
	wanted: string | undefined;
	/** Styles by the scenes that are switched to. */
	scenes: Configuration['obs']['scenes'];
}

interface Peer {
	socket: Socket;
	streams: Map<string, ObsStream>;
}

/**
 * The plugin's other end: hears of its filters and of what is asked in OBS, and tells it how the painting goes. Paints
 * one filter at a time, the first that is wanted. Errors: ERR_CONTROL where another sidecar has the socket.
 */
export const openObsLink = async (options: ObsLinkOptions): Promise<ObsLink> => {
	const link = new ObsLink(options);
	await link.listen();
	return link;
};

export class ObsLink implements AsyncDisposable {
	readonly #options: ObsLinkOptions;
	readonly #server: Server;
	readonly #peers = new Set<Peer>();
	readonly #unsubscribe: () => void;
	#stream: ObsStream | undefined;
	/** What the filter asked for last: only what changed in its dialog is a command. */
	#asked: Pick<ObsStream, 'style' | 'prompt' | 'strength'> | undefined;
	#painted: string | undefined;
	#runState: (() => ObsRunState) | undefined;
	#glassToGlass: { p50: number; p95: number } | undefined;
	#wakes: (() => void)[] = [];

	constructor(options: ObsLinkOptions) {
		this.#options = options;
		this.#server = createServer((socket) => this.#welcome(socket));
		this.#server.maxConnections = CONNECTIONS;
		this.#unsubscribe = options.controller.subscribe(() => this.announce());
	}

	/** The filter that is painted. */
	get stream(): ObsStream | undefined {
		return this.#stream;
	}

	/** From render to program, as the plugin measured it last. */
	get glassToGlassMs(): { p50: number; p95: number } | undefined {
		return this.#glassToGlass;
	}

	/** Resolves when another filter is painted, or its tap moved, or the signal aborts. */
	changed(signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const wake = () => {
				signal.removeEventListener('abort', wake);
				resolve();
			};
			signal.addEventListener('abort', wake, { once: true });
			this.#wakes.push(wake);
		});
	}

	/** Where the paintings are, and how the run goes; `announce` tells it from here on. */
	serve(painted: string, runState: () => ObsRunState): void {
		this.#painted = painted;
		this.#runState = runState;
		this.#offerPainted();
	}

	/** Tells the plugin how the run goes. */
	announce(): void {
		const stream = this.#stream;
		const run = this.#runState?.();
		if (!stream || !run) return;
		const { style, epoch } = this.#options.controller.view();
		this.#tell({ type: 'state', id: stream.id, style, epoch, ...run });
	}

	async listen(): Promise<void> {
		const { path } = this.#options;
		if (await isAnswered(path))
			throw new SidecarError('ERR_CONTROL', `Another allaprima already paints for OBS (${path}). End it first.`);
		rmSync(path, { force: true }); // of one that died
		this.#server.listen(path);
		try {
			await once(this.#server, 'listening');
		} catch (cause) {
			throw new SidecarError('ERR_CONTROL', `${path} cannot be opened for OBS (${(cause as Error).message}).`, {
				cause,
			});
		}
		chmodSync(path, 0o600);
		this.#server.on('error', (error) => log.warn({ error }, 'link to OBS'));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#unsubscribe();
		for (const { socket } of this.#peers) socket.destroy();
		if (!this.#server.listening) return;
		const closed = once(this.#server, 'close');
		this.#server.close();
		await closed;
	}

	#welcome(socket: Socket): void {
		const peer: Peer = { socket, streams: new Map() };
		this.#peers.add(peer);
		socket.setEncoding('utf8');
		let rest = '';
		socket.on('data', (text: string) => {
			const lines = (rest + text).split('\n');
			rest = lines.pop()!;
			try {
				if (rest.length > LINE_BYTES || lines.some((line) => line.length > LINE_BYTES))
					throw new SidecarError('ERR_COMMAND', `A line has at most ${LINE_BYTES} bytes.`);
				for (const line of lines) if (line.trim()) this.#hear(peer, line);
			} catch (error) {
				log.warn({ error }, 'plugin hung up on');
				send(socket, { type: 'error', message: (error as Error).message });
				socket.end();
			}
		});
		socket.on('error', () => socket.destroy());
		socket.on('close', () => {
			this.#peers.delete(peer);
			this.#choose();
		});
		const { version, controller } = this.#options;
		send(socket, { type: 'hello', protocol: PROTOCOL, sidecar: version });
		send(socket, { type: 'styles', styles: controller.presets.map(({ name, title }) => ({ name, title })) });
	}

	#hear(peer: Peer, line: string): void {
		const message = readMessage(line);
		switch (message.type) {
			case 'hello':
				if (message.protocol !== PROTOCOL)
					throw new SidecarError(
						'ERR_COMMAND',
						`The plugin speaks protocol ${message.protocol}, this sidecar ${PROTOCOL}. Install them from one release.`,
					);
				log.info({ plugin: message.plugin, obs: message.obs }, 'OBS is there');
				return;
			case 'stream': {
				const { type: _, ...stream } = message;
				peer.streams.set(stream.id, stream);
				return this.#choose();
			}
			case 'stream_removed':
				peer.streams.delete(message.id);
				return this.#choose();
			case 'command':
				return this.#carryOut(peer, message.command);
			case 'scene_switch_started': {
				const style = Object.hasOwn(this.#options.scenes, message.to) ? this.#options.scenes[message.to] : undefined;
				if (style === undefined) return;
				return this.#carryOut(peer, { type: 'style', name: style, fadeS: Math.min(message.durationMs / 1000, 60) });
			}
			case 'shown':
				if (message.id === this.#stream?.id) this.#glassToGlass = message.glassToGlassMs;
		}
	}

	/** What is refused is told, and the connection stays. */
	#carryOut(peer: Peer, command: unknown): void {
		try {
			this.#options.controller.apply(readCommand(command));
		} catch (error) {
			if (!isSidecarError(error)) throw error;
			log.warn({ code: error.code, reason: error.message }, 'asked from OBS and refused');
			send(peer.socket, { type: 'error', message: error.message });
		}
	}

	/** The stream that is painted, while it is there; else the first that is wanted. */
	#choose(): void {
		const { wanted } = this.#options;
		const known = [...this.#peers].flatMap((peer) => [...peer.streams.values()].map((stream) => ({ peer, stream })));
		const candidates = known.filter(({ stream }) => wanted === undefined || stream.name.includes(wanted));
		const before = this.#stream;
		const chosen = candidates.find(({ stream }) => stream.id === before?.id) ?? candidates[0];
		this.#stream = chosen?.stream;
		if (chosen) this.#follow(chosen.peer, chosen.stream);
		if (chosen?.stream.id !== before?.id) {
			this.#glassToGlass = undefined;
			log.info({ stream: chosen?.stream.name }, chosen ? 'filter painted' : 'filter gone');
			this.#offerPainted();
		}
		if (chosen?.stream.tap === before?.tap) return;
		for (const wake of this.#wakes.splice(0)) wake();
	}

	/** What was changed in the filter's dialog. */
	#follow(peer: Peer, { style, prompt, strength }: ObsStream): void {
		const asked = this.#asked;
		this.#asked = { style, prompt, strength };
		if (style && style !== asked?.style) this.#carryOut(peer, { type: 'style', name: style });
		if (prompt && (prompt !== asked?.prompt || style !== asked?.style))
			this.#carryOut(peer, { type: 'prompt', text: prompt });
		else if (!prompt && asked?.prompt) this.#carryOut(peer, { type: 'style', name: style });
		if (strength !== asked?.strength) this.#carryOut(peer, { type: 'strength', value: strength });
	}

	#offerPainted(): void {
		if (!this.#stream || this.#painted === undefined) return;
		this.#tell({ type: 'painted', id: this.#stream.id, ring: this.#painted });
		this.announce();
	}

	#tell(message: { type: string; id: string; [fact: string]: unknown }): void {
		for (const { socket, streams } of this.#peers) if (streams.has(message.id)) send(socket, message);
	}
}

const readMessage = (line: string): ObsMessage => {
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch (cause) {
		throw new SidecarError('ERR_COMMAND', 'The plugin sent a line that is not JSON.', { cause });
	}
	return parse(ObsMessage, value, "The plugin's message", 'ERR_COMMAND');
};

const send = (socket: Socket, message: object): void => {
	if (socket.destroyed || !socket.writable) return;
	if (socket.writableLength > WAITING_BYTES) socket.destroy();
	else socket.write(`${JSON.stringify(message)}\n`);
};

/** Whether somebody listens at the path. */
const isAnswered = async (path: string): Promise<boolean> => {
	const socket = connect(path);
	try {
		await once(socket, 'connect');
		return true;
	} catch {
		return false;
	} finally {
		socket.destroy();
	}
};
