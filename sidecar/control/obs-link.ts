import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { ObsMessage } from '../config/schema/obs-plugin.ts';
import { parse } from '../config/schema/parse.ts';
import { isSidecarError, SidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';
import { readCommand } from './commands.ts';
import type { Controller } from './controller.ts';
import type { SceneTable } from './scene-table.ts';

/** What this and the plugin speak: obs-bridge/protocol.md. */
const PROTOCOL = 1;
/** A line that is longer comes from no plugin of ours. */
const LINE_BYTES = 64 * 1024;
/** The plugin keeps as many: obs-bridge/plugin/styles.c. */
const STYLES = 256;
/** Two OBS with a dozen filters each fit into few connections. */
const CONNECTIONS = 16;
/** Filters of one OBS. */
const STREAMS = 64;
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
	scenes: SceneTable;
}

/** One filter that is painted. */
export interface ObsChannel {
	controller: Controller;
	/** The socket of the ring that the paintings are in. */
	painted: string;
	runState: () => ObsRunState;
}

interface Peer {
	socket: Socket;
	streams: Map<string, ObsStream>;
}

/**
 * The plugin's other end: hears of its filters and of what is asked in OBS, and tells it how the painting goes. The first
 * filter that is wanted is the run's own, with the controller of the options; others are painted beside it. A filter is
 * known by its name, which it keeps when OBS starts again. Errors: ERR_CONTROL where another sidecar has the socket.
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
	#stream: ObsStream | undefined;
	/** By the names of filters; undefined is the run's own. */
	readonly #channels = new Map<string | undefined, ObsChannel>();
	/** What a filter asked for last: only what changed in its dialog is a command. */
	readonly #asked = new Map<string, Pick<ObsStream, 'style' | 'prompt' | 'strength' | 'region'>>();
	readonly #glassToGlass = new Map<string, { p50: number; p95: number }>();
	#transitionS: number | undefined;
	#wakes: (() => void)[] = [];
	#unsubscribe: (() => void) | undefined;

	constructor(options: ObsLinkOptions) {
		this.#options = options;
		this.#server = createServer((socket) => this.#welcome(socket));
		this.#server.maxConnections = CONNECTIONS;
	}

	/** The run's own filter. */
	get stream(): ObsStream | undefined {
		return this.#stream;
	}

	/** All filters that are wanted, the run's own among them. */
	get streams(): ObsStream[] {
		const { wanted } = this.#options;
		const all = [...this.#peers].flatMap(({ streams }) => [...streams.values()]);
		return all.filter(({ name }) => wanted === undefined || name.includes(wanted));
	}

	/** Of all filters that are painted, the run's own first. */
	get controllers(): Controller[] {
		const others = [...this.#channels.values()].map(({ controller }) => controller);
		return [...new Set([this.#options.controller, ...others])];
	}

	named(name: string): ObsStream | undefined {
		return this.streams.find((stream) => stream.name === name);
	}

	/** From render to program, as the plugin measured it last; of the run's own filter where no name is given. */
	glassToGlassMs(name = this.#stream?.name): { p50: number; p95: number } | undefined {
		return name === undefined ? undefined : this.#glassToGlass.get(name);
	}

	/** Resolves when a filter came, went, or has its tap elsewhere, or the signal aborts. */
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

	/**
	 * Where the paintings of a filter are and how that goes; undefined is the run's own, whichever that is. Its dialog
	 * speaks to this controller from here on, until what this gives is disposed of.
	 */
	serve(name: string | undefined, channel: ObsChannel): Disposable {
		this.#channels.set(name, channel);
		if (this.#transitionS !== undefined) channel.controller.followTransition(this.#transitionS);
		const unsubscribe = channel.controller.subscribe(() => this.announce(name));
		for (const stream of this.streams) {
			this.#follow(stream);
			this.#offerPainted(stream);
		}
		return {
			[Symbol.dispose]: () => {
				unsubscribe();
				if (this.#channels.get(name) === channel) this.#channels.delete(name);
			},
		};
	}

	/** Tells the plugin how the painting of a filter goes; undefined is the run's own. */
	announce(name: string | undefined): void {
		const stream = name === undefined ? this.#stream : this.named(name);
		if (stream) this.#announce(stream);
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
		const { controller } = this.#options;
		let { presets } = controller;
		this.#unsubscribe = controller.subscribe(() => {
			if (presets === controller.presets) return;
			presets = controller.presets;
			for (const { socket } of this.#peers) this.#tellStyles(socket);
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#unsubscribe?.();
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
			if (socket.writableEnded) return; // it was hung up on
			const lines = (rest + text).split('\n');
			rest = lines.pop()!;
			try {
				if (rest.length > LINE_BYTES || lines.some((line) => line.length > LINE_BYTES))
					throw new SidecarError('ERR_COMMAND', `A line has at most ${LINE_BYTES} bytes.`);
				for (const line of lines) if (line.trim()) this.#hear(peer, line);
			} catch (error) {
				log.warn({ error }, 'plugin hung up on');
				rest = '';
				send(socket, { type: 'error', message: (error as Error).message });
				socket.end(() => socket.destroy()); // a plugin that goes on talking is let go
			}
		});
		socket.on('error', () => socket.destroy());
		socket.on('close', () => {
			this.#peers.delete(peer);
			this.#choose();
		});
		send(socket, { type: 'hello', protocol: PROTOCOL, sidecar: this.#options.version });
		this.#tellStyles(socket);
	}

	#tellStyles(socket: Socket): void {
		const { presets } = this.#options.controller;
		const styles = presets.slice(0, STYLES).map(({ name, title }) => ({ name, title }));
		const message = { type: 'styles', styles };
		while (Buffer.byteLength(JSON.stringify(message)) >= LINE_BYTES) styles.pop();
		send(socket, message);
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
				if (peer.streams.size >= STREAMS && !peer.streams.has(stream.id))
					throw new SidecarError('ERR_COMMAND', `A plugin has at most ${STREAMS} filters.`);
				peer.streams.set(stream.id, stream);
				return this.#choose();
			}
			case 'stream_removed':
				peer.streams.delete(message.id);
				return this.#choose();
			case 'command':
				return this.#carryOut(peer, message.command, this.#controllersOf(peer, message.id));
			case 'scene_switch_started': {
				const { scenes } = this.#options;
				scenes.show(message.to);
				const style = scenes.styleOf(message.to);
				if (style === undefined) return;
				return this.#carryOut(
					peer,
					{ type: 'style', name: style, fadeS: secondsOf(message) },
					this.#controllersOf(peer),
				);
			}
			case 'scenes':
				return this.#options.scenes.know(message.scenes.map(({ name }) => name));
			case 'transition':
				this.#transitionS = secondsOf(message);
				for (const controller of this.#controllersOf(peer)) controller.followTransition(this.#transitionS);
				return;
			case 'shown': {
				const stream = peer.streams.get(message.id);
				if (stream && this.#channelOf(stream)) this.#glassToGlass.set(stream.name, message.glassToGlassMs);
			}
		}
	}

	/** Of one stream, or of all: whose filters come and go hear of panic through the plugin, which shows it by itself. */
	#controllersOf(peer: Peer, id?: string): Controller[] {
		const stream = id === undefined ? undefined : peer.streams.get(id);
		if (!stream) return this.controllers;
		const controller = this.#controllerOf(stream);
		return controller ? [controller] : [];
	}

	#channelOf({ name }: ObsStream): ObsChannel | undefined {
		return this.#channels.get(name === this.#stream?.name ? undefined : name);
	}

	#controllerOf(stream: ObsStream): Controller | undefined {
		return stream.name === this.#stream?.name ? this.#options.controller : this.#channelOf(stream)?.controller;
	}

	/** What is refused is told, and the connection stays. */
	#carryOut(peer: Peer, command: unknown, controllers: Controller[]): void {
		try {
			for (const controller of controllers) controller.apply(readCommand(command));
		} catch (error) {
			if (!isSidecarError(error)) throw error;
			log.warn({ code: error.code, reason: error.message }, 'asked from OBS and refused');
			send(peer.socket, { type: 'error', message: error.message });
		}
	}

	/** The run's own filter stays what it is while it is there, and after OBS came back; else the first that is wanted. */
	#choose(): void {
		const { streams } = this;
		const before = this.#stream;
		this.#stream = streams.find(({ name }) => name === before?.name) ?? streams[0];
		if (this.#stream?.name !== before?.name)
			log.info({ stream: this.#stream?.name }, this.#stream ? 'filter painted' : 'filter gone');
		for (const stream of streams) this.#follow(stream);
		for (const stream of streams) this.#offerPainted(stream);
		for (const wake of this.#wakes.splice(0)) wake();
	}

	/** What was changed in the filter's dialog. */
	#follow(stream: ObsStream): void {
		const controller = this.#controllerOf(stream);
		const peer = [...this.#peers].find(({ streams }) => streams.has(stream.id));
		if (!controller || !peer) return;
		const { name, style, prompt, strength, region } = stream;
		const asked = this.#asked.get(name);
		if (this.#asked.size > 4 * STREAMS) this.#asked.clear(); // filters that nobody has any more
		this.#asked.set(name, { style, prompt, strength, ...(region && { region }) });
		const ask = (command: unknown) => this.#carryOut(peer, command, [controller]);
		if (region !== asked?.region) ask({ type: 'region', region: region ?? 'preset' });
		// A picture cannot be chosen there: one that was given stays until another style is.
		const isGiven = !asked && controller.view().reference?.isOfPreset === false;
		if (isGiven) return ask({ type: 'strength', value: strength });
		if (style && style !== asked?.style) ask({ type: 'style', name: style });
		if (prompt && (prompt !== asked?.prompt || style !== asked?.style)) ask({ type: 'prompt', text: prompt });
		else if (!prompt && asked?.prompt) ask({ type: 'style', name: style });
		if (strength !== asked?.strength) ask({ type: 'strength', value: strength });
	}

	#offerPainted(stream: ObsStream): void {
		const channel = this.#channelOf(stream);
		if (!channel) return;
		this.#tell({ type: 'painted', id: stream.id, ring: channel.painted });
		this.#announce(stream);
	}

	#announce(stream: ObsStream): void {
		const channel = this.#channelOf(stream);
		if (!channel) return;
		const { style, epoch } = channel.controller.view();
		this.#tell({ type: 'state', id: stream.id, style, epoch, ...channel.runState() });
	}

	#tell(message: { type: string; id: string; [fact: string]: unknown }): void {
		for (const { socket, streams } of this.#peers) if (streams.has(message.id)) send(socket, message);
	}
}

/** Of a transition, as a fade takes it. */
const secondsOf = ({ durationMs }: { durationMs: number }): number => Math.min(durationMs / 1000, 60);

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
