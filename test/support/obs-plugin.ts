import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** The plugin's end of the link, as obs-bridge/protocol.md has it, for tests without OBS. */
export class PluginEnd {
	readonly heard: Record<string, unknown>[] = [];
	readonly socket: Socket;
	isClosed = false;
	#wakes: (() => void)[] = [];

	private constructor(socket: Socket) {
		this.socket = socket;
		const lines = createInterface({ input: socket });
		lines.on('error', () => {}); // as the socket's
		lines.on('line', (line) => {
			this.heard.push(JSON.parse(line) as Record<string, unknown>);
			for (const wake of this.#wakes.splice(0)) wake();
		});
		socket.on('error', () => {});
		socket.on('close', () => {
			this.isClosed = true;
			for (const wake of this.#wakes.splice(0)) wake();
		});
	}

	static async connect(path: string, { protocol = 1 } = {}): Promise<PluginEnd> {
		const socket = connect(path);
		await once(socket, 'connect');
		const plugin = new PluginEnd(socket);
		plugin.say({ type: 'hello', protocol, plugin: '0.1.0', obs: '29.0.2', pid: 1, instance: '1-ab' });
		return plugin;
	}

	say(message: object): void {
		this.socket.write(`${JSON.stringify(message)}\n`);
	}

	/** A filter, as it announces itself. */
	stream(
		parts: {
			id?: string;
			name?: string;
			tap?: string;
			style?: string;
			prompt?: string;
			strength?: number;
			failure?: string;
			holdS?: number;
			afterHold?: string;
			region?: string;
		} = {},
	): void {
		this.say({
			type: 'stream',
			id: '1-ab-0',
			name: 'Camera / Alla Prima',
			tap: '/nowhere.sock',
			width: 320,
			height: 180,
			fps: { num: 30, den: 1 },
			mode: 'replace',
			failure: 'passthrough',
			style: 'oil-painting',
			prompt: '',
			strength: 1,
			active: true,
			...parts,
		});
	}

	/** The first message of that type, now or later, for which `holds` does. */
	async hears(type: string, holds: (message: Record<string, unknown>) => boolean = () => true) {
		for (;;) {
			const found = this.heard.find((message) => message['type'] === type && holds(message));
			if (found) return found;
			if (this.isClosed) throw new Error(`the link closed before it said ${type}`);
			await new Promise<void>((resolve) => this.#wakes.push(resolve));
		}
	}

	async closed(): Promise<void> {
		while (!this.isClosed) await new Promise<void>((resolve) => this.#wakes.push(resolve));
	}
}
