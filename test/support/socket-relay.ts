import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A unix socket that leads to another, for tests that cut the way or speak into it. */
export class SocketRelay implements AsyncDisposable {
	readonly #server: Server;
	readonly #pairs = new Set<{ client: Socket; target: Socket }>();

	private constructor(targetPath: string) {
		this.#server = createServer((client) => {
			const target = connect(targetPath);
			const pair = { client, target };
			this.#pairs.add(pair);
			for (const [from, to] of [
				[client, target],
				[target, client],
			] as const) {
				from.pipe(to);
				from.on('error', () => to.destroy());
				from.on('close', () => {
					to.destroy();
					this.#pairs.delete(pair);
				});
			}
		});
	}

	static async listen(path: string, targetPath: string): Promise<SocketRelay> {
		rmSync(path, { force: true });
		const relay = new SocketRelay(targetPath);
		relay.#server.listen(path);
		await once(relay.#server, 'listening');
		return relay;
	}

	/** How many are connected, all the way to the target. */
	get connections(): number {
		return [...this.#pairs].filter(({ target }) => target.readyState === 'open').length;
	}

	/** Hangs up on all who are connected, at both ends. */
	cut(): void {
		for (const { client, target } of this.#pairs) {
			client.destroy();
			target.destroy();
		}
	}

	/** Says something to all ends of one kind, as if the other had. */
	say(to: 'client' | 'target', bytes: Buffer): void {
		for (const pair of this.#pairs) pair[to].write(bytes);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const closed = once(this.#server, 'close');
		this.#server.close();
		this.cut();
		await closed;
	}
}
