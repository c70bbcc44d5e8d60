import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';
import { until } from './engines.ts';
import type { Host } from './hosts.ts';

/** Where scripts/setup --tests unpacks Debian's package. */
const unpacked = fileURLToPath(new URL('../../.cache/nats-server/usr/sbin/nats-server', import.meta.url));

interface NatsSettings {
	/** Lines of its configuration, besides the port. */
	configuration?: string;
	jetStream?: boolean;
	/** Lines of its JetStream's. */
	storage?: string;
	/** Where it runs, at its usual port; this machine, unless told. */
	host?: Host;
	/** So much room is on its disk, in kB. */
	diskKb?: number;
}

const PORT = 4222;

/** A real nats-server on loopback or on a host, with files of its own. */
export class NatsServer implements AsyncDisposable {
	readonly address: string;
	readonly port: number;
	readonly folder: string;
	readonly #settings: NatsSettings;
	#child: ChildProcess | undefined;

	static async start(settings: NatsSettings = {}): Promise<NatsServer> {
		const folder = await mkdtemp(join(tmpdir(), 'allaprima-nats-'));
		const server = new NatsServer(settings, settings.host ? PORT : await freePort(), folder);
		await mkdir(join(folder, 'jetstream'));
		await server.configure(settings);
		await server.start();
		return server;
	}

	/** For the next `start`. */
	async configure({ configuration = '', jetStream = true, storage = '' }: NatsSettings): Promise<void> {
		await writeFile(
			join(this.folder, 'nats.conf'),
			[
				`listen: "${this.address}:${this.port}"`,
				...(jetStream ? [`jetstream { store_dir: "${this.folder}/jetstream", ${storage} }`] : []),
				configuration,
			].join('\n'),
		);
	}

	private constructor(settings: NatsSettings, port: number, folder: string) {
		this.#settings = settings;
		this.address = settings.host?.address ?? '127.0.0.1';
		this.port = port;
		this.folder = folder;
	}

	get url(): string {
		return `nats://${this.address}:${this.port}`;
	}

	/** Again, after `stop`, with what it had on disk. */
	async start(): Promise<void> {
		const { host, diskKb } = this.#settings;
		const own = [existsSync(unpacked) ? unpacked : 'nats-server', '-c', join(this.folder, 'nats.conf')] as const;
		const disk = `mount -t tmpfs -o size=${diskKb}k disk "${this.folder}/jetstream" && exec "$@"`;
		const command = diskKb === undefined ? own : (['unshare', '-rm', 'sh', '-c', disk, 'sh', ...own] as const);
		const [program, ...args] = host?.command(...command) ?? command;
		this.#child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
		let said = '';
		this.#child.stderr!.on('data', (text: Buffer) => (said += text.toString()));
		await until(() => {
			if (this.#child?.exitCode !== null) throw new Error(`nats-server ended:\n${said}`);
			return said.includes('Server is ready');
		});
	}

	async stop(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
		const child = this.#child;
		this.#child = undefined;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const exited = once(child, 'exit');
		child.kill(signal);
		await exited;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
		await rm(this.folder, { recursive: true, force: true });
	}
}

type Direction = 'toServer' | 'toClient';

/** A way to the server that can be cut without either end hearing of it, one way or both, and that can be slow. */
export class TcpRelay implements AsyncDisposable {
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	readonly #held: Record<Direction, (() => void)[]> = { toServer: [], toClient: [] };
	readonly #isCut: Record<Direction, boolean> = { toServer: false, toClient: false };
	delayMs = 0;

	static async to(port: number): Promise<TcpRelay> {
		const relay = new TcpRelay(port);
		relay.#server.listen(0, '127.0.0.1');
		await once(relay.#server, 'listening');
		return relay;
	}

	private constructor(port: number) {
		this.#server = createServer((client) => {
			const target = connect(port, '127.0.0.1');
			this.#join(client, target, 'toServer');
			this.#join(target, client, 'toClient');
		});
	}

	get url(): string {
		return `nats://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
	}

	cut(...directions: Direction[]): void {
		for (const direction of directions) this.#isCut[direction] = true;
	}

	/** What was held arrives late, as it does on a network. */
	heal(): void {
		for (const direction of ['toServer', 'toClient'] as const) {
			this.#isCut[direction] = false;
			for (const pass of this.#held[direction].splice(0)) pass();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const closed = once(this.#server, 'close');
		this.#server.close();
		for (const socket of this.#sockets) socket.destroy();
		await closed;
	}

	#join(from: Socket, to: Socket, direction: Direction): void {
		this.#sockets.add(from);
		const waiting: (() => void)[] = [];
		let lastDueMs = 0;
		from.on('data', (data) => {
			const pass = () => {
				if (this.#isCut[direction]) this.#held[direction].push(pass);
				else if (!to.destroyed) to.write(data);
			};
			if (this.delayMs === 0 && waiting.length === 0) return pass();
			// Each timer lets the oldest go: what came first stays first when the delay changes.
			waiting.push(pass);
			const nowMs = performance.now();
			lastDueMs = Math.max(lastDueMs, nowMs + this.delayMs);
			setTimeout(() => waiting.shift()!(), lastDueMs - nowMs);
			return undefined;
		});
		from.on('error', () => to.destroy());
		from.on('close', () => {
			this.#sockets.delete(from);
			to.destroy();
		});
	}
}
