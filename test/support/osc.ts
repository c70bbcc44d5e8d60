import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { fromBuffer, toBuffer, type OscPacketInput } from 'osc-min';

/** A value as it was told, with the letter of its type. */
export type Told = [tag: string, value: unknown];

const LETTERS: Record<string, string> = { integer: 'i', float: 'f', string: 's', bigint: 'h' };

/** A controller: sends messages from a socket of its own, and keeps what it is told. */
export class OscClient implements AsyncDisposable {
	readonly socket: Socket;
	/** In the order in which they came. */
	readonly heard: [address: string, ...Told][] = [];
	readonly #server: { address: string; port: number };

	private constructor(socket: Socket, server: { address: string; port: number }) {
		this.socket = socket;
		this.#server = server;
		socket.on('message', (datagram) => {
			const packet = fromBuffer(datagram);
			if (packet.oscType !== 'message') throw new Error('expected a message, got a bundle');
			const [argument] = packet.args;
			this.heard.push([packet.address, LETTERS[argument!.type] ?? argument!.type, argument!.value]);
		});
	}

	/** `from` is the address that it sends from. */
	static async open(port: number, { from = '127.0.0.1', to = '127.0.0.1' } = {}): Promise<OscClient> {
		const socket = createSocket('udp4');
		socket.bind(0, from);
		await once(socket, 'listening');
		return new OscClient(socket, { address: to, port });
	}

	get port(): number {
		return this.socket.address().port;
	}

	/** The value last told at an address. */
	value(address: string): unknown {
		return this.heard.findLast(([told]) => told === address)?.[2];
	}

	/** A message; numbers are floats unless they say otherwise. */
	async send(address: string, ...args: OscArguments): Promise<void> {
		await this.sendPacket({ address, args });
	}

	async sendPacket(packet: OscPacketInput): Promise<void> {
		await this.sendBytes(toBuffer(packet));
	}

	async sendBytes(bytes: NodeJS.ArrayBufferView): Promise<void> {
		const { address, port } = this.#server;
		await new Promise<void>((resolve, reject) => {
			this.socket.send(bytes, port, address, (error) => (error ? reject(error) : resolve()));
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const closed = once(this.socket, 'close');
		this.socket.close();
		await closed;
	}
}

type OscArguments = Extract<Extract<OscPacketInput, { address: string }>['args'], unknown[]>;

export const i = (value: number) => ({ type: 'integer' as const, value });
