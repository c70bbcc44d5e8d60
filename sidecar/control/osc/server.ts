import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { OscSettings } from '../../config/osc-settings.ts';
import { isSidecarError, SidecarError } from '../../errors.ts';
import { log, repeated } from '../../telemetry/logger.ts';
import { readCommand } from '../commands.ts';
import type { Controller } from '../controller.ts';
import { channelSegment, OSC_ADDRESSES, OSC_ROOT, targetOf, type OscTarget } from './addresses.ts';
import { readDatagram, writeMessage, type OscArgument, type OscPart } from './codec.ts';
import { OscFeedback, type OscPeer } from './feedback.ts';

/** A prompt of 500 characters has at most 2000 bytes; what is longer than this is for somebody else. */
const DATAGRAM_BYTES = 8192;
/** What may wait in the socket before nothing more is told. */
const WAITING_BYTES = 256 * 1024;
const PROBLEM = `${OSC_ROOT}/error`;
const PROBLEM_LENGTH = 1000;

export interface OscChannel {
	name: string;
	controller: Controller;
}

export interface OscServerOptions extends OscSettings {
	/** Asked for each time: channels come and go. */
	channels: () => readonly OscChannel[];
	/** Calls back after each change of a channel's control, until what it gives is called. */
	subscribe: (listener: () => void) => () => void;
	/** Microseconds, monotonic. */
	nowUs: () => number;
	/** Calls back after that many microseconds, unless what it gives is called before. */
	after: (us: number, work: () => void) => () => void;
}

/** Errors: ERR_CONFIG where the port cannot be had. */
export const startOscServer = async (options: OscServerOptions): Promise<OscServer> => {
	const server = new OscServer(options);
	await server.listen();
	return server;
};

/**
 * OSC 1.0 over UDP: commands in (addresses.ts), the state out to whoever sent one. UDP senders can be made
 * up and know no password, so that what is not on this machine has to be on the list of those allowed.
 */
export class OscServer implements AsyncDisposable {
	readonly #options: OscServerOptions;
	readonly #socket: Socket;
	readonly #allowed = new BlockList();
	readonly #feedback: OscFeedback;
	readonly #warnRefused: ReturnType<typeof repeated>;
	readonly #warnForeign: ReturnType<typeof repeated>;
	readonly #warnUnsent: ReturnType<typeof repeated>;
	readonly #counts = { obeyed: 0, refused: 0, foreign: 0 };
	#ownAddresses: ReadonlySet<string> = new Set();
	#unsubscribe: (() => void) | undefined;

	constructor(options: OscServerOptions) {
		this.#options = options;
		const { host, allow, feedback, nowUs, after } = options;
		const warn = (facts: object, message: string) => log.warn(facts, message);
		this.#warnRefused = repeated(warn, 'osc message refused', { nowUs });
		this.#warnForeign = repeated(warn, 'osc message from an address that is not allowed', { nowUs });
		this.#warnUnsent = repeated(warn, 'osc feedback not sent', { nowUs });
		for (const address of allow) this.#allowed.addAddress(address, familyOf(address));
		this.#socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
		const fixed = feedback.map(({ address, port }) => ({ address: this.#reachable(address), port }));
		this.#feedback = new OscFeedback(fixed, PROBLEM, {
			values: () => this.#values(),
			send: (address, value, to) => this.#send(address, value, to),
			isFree: () => this.#socket.getSendQueueSize() < WAITING_BYTES,
			nowUs,
			after,
		});
	}

	get port(): number {
		return this.#socket.address().port;
	}

	get host(): string {
		return this.#options.host;
	}

	/** Messages that were obeyed, that were wrong, and that came from elsewhere; and who is told. */
	get counts(): { obeyed: number; refused: number; foreign: number; subscribers: number } {
		return { ...this.#counts, subscribers: this.#feedback.count };
	}

	async listen(): Promise<void> {
		const { host, port, subscribe } = this.#options;
		this.#socket.bind({ address: host, port, exclusive: true });
		try {
			await once(this.#socket, 'listening');
		} catch (cause) {
			this.#feedback[Symbol.dispose]();
			this.#socket.close();
			const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
			const seen: Record<string, string> = {
				EADDRINUSE: 'is taken, perhaps by another allaprima',
				EACCES: 'may not be used by this user',
				EADDRNOTAVAIL: 'cannot be had: this machine has no such address',
			};
			throw new SidecarError(
				'ERR_CONFIG',
				`UDP port ${port} of ${host} ${seen[code] ?? `cannot be opened (${code})`}. Choose another with --osc PORT, or none with --osc off.`,
				{ cause },
			);
		}
		this.#ownAddresses = ownAddresses();
		this.#socket.on('error', (error) => this.#warnUnsent({ error }));
		this.#socket.on('message', (datagram, from) => this.#hear(datagram, from));
		this.#unsubscribe = subscribe(() => this.#feedback.changed());
		log.info({ host, port: this.port }, 'osc');
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#unsubscribe?.();
		this.#feedback[Symbol.dispose]();
		const closed = once(this.#socket, 'close');
		this.#socket.close();
		await closed;
		for (const warn of [this.#warnRefused, this.#warnForeign, this.#warnUnsent]) warn.flush();
	}

	#hear(datagram: Buffer, { address, port }: RemoteInfo): void {
		const from = { address, port };
		if (!this.#isAllowed(address)) {
			this.#counts.foreign++;
			return this.#warnForeign({ address });
		}
		// What it tells itself would keep it subscribed for ever.
		if (port === this.port && this.#isOwn(address)) return;
		if (datagram.length > DATAGRAM_BYTES)
			return this.#refuse(from, `Expected at most ${DATAGRAM_BYTES} bytes in a datagram, got ${datagram.length}.`);
		for (const part of readDatagram(datagram)) this.#take(part, from);
	}

	#take(part: OscPart, from: OscPeer): void {
		// Said by another sidecar; to answer it would not end.
		if ('address' in part && part.address === PROBLEM) return;
		try {
			this.#obey(part, from);
			this.#counts.obeyed++;
		} catch (error) {
			if (isSidecarError(error)) this.#refuse(from, error.message);
			else this.#refuse(from, 'The log says what went wrong.', { error });
		}
	}

	/** Errors: ERR_COMMAND, ERR_STYLE. */
	#obey(part: OscPart, from: OscPeer): void {
		if ('problem' in part) throw new SidecarError('ERR_COMMAND', part.problem);
		const { address, args } = part;
		const target = targetOf(address);
		if (!target) throw unknownAddress(address);
		const { name, controller } = this.#channelOf(target);
		const request = target.address.read(args, controller, target.name);
		if (!request) throw wrongArguments(address, target, args);
		switch (request.type) {
			case 'nothing':
				break;
			case 'state':
				this.#feedback.repeat(from);
				break;
			case 'subscribe':
				return this.#subscribe(from, request.port ?? from.port);
			default:
				try {
					controller.apply(readCommand(request));
				} catch (error) {
					throw isSidecarError(error) && error.code === 'ERR_COMMAND' ? wrongArguments(address, target, args) : error;
				}
		}
		this.#feedback.heard(from);
		this.#correct(from, { name, controller }, target, args[0]);
	}

	#subscribe(from: OscPeer, port: number): void {
		if (port === this.port && this.#isOwn(from.address))
			throw new SidecarError('ERR_COMMAND', `Port ${port} is where this listens itself. Choose another.`);
		this.#feedback.subscribe(from, port);
	}

	/** A control of the sender may show something else than is in force, as a button that was let go. */
	#correct(from: OscPeer, { name, controller }: OscChannel, target: OscTarget, sent: OscArgument | undefined): void {
		const values = target.address.values?.(controller.view(), controller) ?? [];
		const value = values.find(([path]) => path === target.path)?.[1].value;
		if (value === undefined || sent === undefined) return;
		const shown = typeof sent.value === 'boolean' ? Number(sent.value) : sent.value;
		for (const prefix of this.#prefixesOf(name))
			this.#feedback.shown(from, prefix + target.path, { shown, inForce: value });
	}

	/** Errors: ERR_COMMAND where there is no such channel. */
	#channelOf({ channel }: OscTarget): OscChannel {
		const channels = this.#options.channels();
		const found =
			channel === undefined
				? channels[0]
				: channels.find(({ name }) => name === channel || channelSegment(name) === channel);
		if (found) return found;
		const known = channels.map(({ name }) => channelSegment(name)).join(', ');
		throw new SidecarError(
			'ERR_COMMAND',
			known === ''
				? 'Nothing is painted yet.'
				: `There is no channel ${clipped(channel ?? '')}. Expected one of ${known}.`,
		);
	}

	/** What stands before the paths of a channel: of several, each has its own, and the first also none. */
	#prefixesOf(name: string): string[] {
		const channels = this.#options.channels();
		return [
			...(channels[0]?.name === name ? [`${OSC_ROOT}/`] : []),
			...(channels.length > 1 ? [`${OSC_ROOT}/channel/${channelSegment(name)}/`] : []),
		];
	}

	#values(): Map<string, OscArgument> {
		const values = new Map<string, OscArgument>();
		for (const { name, controller } of this.#options.channels()) {
			const view = controller.view();
			const rows = OSC_ADDRESSES.flatMap((address) => address.values?.(view, controller) ?? []);
			for (const prefix of this.#prefixesOf(name)) for (const [path, value] of rows) values.set(prefix + path, value);
		}
		return values;
	}

	#refuse(from: OscPeer, problem: string, facts: object = {}): void {
		const message = problem.slice(0, PROBLEM_LENGTH);
		this.#counts.refused++;
		this.#feedback.refused(from, message);
		this.#warnRefused({ from: from.address, message, ...facts });
	}

	#send(address: string, value: OscArgument, to: OscPeer): void {
		this.#socket.send(writeMessage(address, value), to.port, to.address, (error) => {
			if (error) this.#warnUnsent({ to: to.address, error });
		});
	}

	/** Without a list, the host is this machine's alone (config/osc-settings.ts). */
	#isAllowed(address: string): boolean {
		const plain = plainAddress(address);
		return this.#options.allow.length === 0 || this.#allowed.check(plain, familyOf(plain));
	}

	#isOwn(address: string): boolean {
		const plain = plainAddress(address);
		return plain.startsWith('127.') || this.#ownAddresses.has(plain);
	}

	/** An address as this socket's family has it. */
	#reachable(address: string): string {
		return isIPv6(this.#options.host) && isIPv4(address) ? `::ffff:${address}` : address;
	}
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv6(address) ? 'ipv6' : 'ipv4');

/** IPv4 in the clothes of IPv6 is IPv4; a zone is of no concern. */
const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');

const ownAddresses = (): Set<string> =>
	new Set(Object.values(networkInterfaces()).flatMap((cards = []) => cards.map(({ address }) => address)));

const unknownAddress = (address: string): SidecarError => {
	const known = OSC_ADDRESSES.map(({ path }) => path).join(', ');
	return new SidecarError(
		'ERR_COMMAND',
		`There is nothing at ${clipped(address)}. Expected ${OSC_ROOT}/ and one of ${known}.`,
	);
};

const wrongArguments = (address: string, { address: { takes } }: OscTarget, args: readonly OscArgument[]) => {
	const got = args.map(({ tag, value }) =>
		typeof value === 'boolean' ? tag : `${tag} ${clipped(String(value ?? ''))}`,
	);
	return new SidecarError('ERR_COMMAND', `${clipped(address)} takes ${takes}. Got ${got.join(', ') || 'nothing'}.`);
};

const CLIPPED = 60;
const clipped = (text: string): string =>
	text.length > CLIPPED ? `${text.slice(0, CLIPPED)}... (${text.length} characters)` : text;
