import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import type { ServerState } from '../../sidecar/control/http/served.ts';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { until } from './engines.ts';
import { freePort } from './free-port.ts';

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** A message of the preview; egress/preview-sink.ts has its layout. */
export interface Seen {
	sequence: number;
	epoch: number;
	/** From capture to the preview, by the sidecar's clock. */
	latencyMs: number;
	/** Source and painting are one picture, as only the card is under a style that paints. */
	isCard: boolean;
	/** When it came, by ours. */
	atMs: number;
}

const seenOf = (message: Buffer): Seen => ({
	sequence: message.readUInt32LE(12),
	epoch: message.readUInt32LE(16),
	latencyMs: message.readUInt32LE(20) / 1000,
	isCard: (message.readUInt32LE(24) & 1) !== 0,
	atMs: performance.now(),
});

/** `allaprima run` of the built files, as a group of processes of its own, looked at through the preview as the page does. */
export class WatchedRun implements AsyncDisposable {
	readonly folder: string;
	readonly port: number;
	readonly process: ChildProcess;
	readonly seen: Seen[] = [];
	#socket: WebSocket | undefined;
	#log = '';

	private constructor(folder: string, port: number, args: readonly string[], environment: Record<string, string>) {
		this.folder = folder;
		this.port = port;
		const run = `run --source scene --sink null --provider cpu --fade 0 --http ${port} --report ${join(folder, 'report.json')}`;
		this.process = spawn(process.execPath, [CLI, ...run.split(' '), ...args], {
			stdio: ['ignore', 'ignore', 'pipe'],
			detached: true,
			env: { PATH: process.env['PATH'], HOME: folder, XDG_RUNTIME_DIR: folder, ...environment },
		});
		this.process.stderr!.on('data', (text) => (this.#log += String(text)));
	}

	/** Resolves when frames come. */
	static async start(
		args: readonly string[],
		{ folder = mkdtempSync(join(tmpdir(), 'allaprima-')), environment = {} } = {},
	): Promise<WatchedRun> {
		const run = new WatchedRun(folder, await freePort(), args, environment);
		try {
			await run.until(async () => (await run.state().catch(() => undefined))?.run.engine.state === 'painting');
			const socket = (run.#socket = new WebSocket(`ws://127.0.0.1:${run.port}/api/preview`));
			socket.on('error', () => {});
			socket.on('open', () => socket.send('next'));
			socket.on('message', (message: Buffer) => {
				run.seen.push(seenOf(message));
				socket.send('next');
			});
			await run.more(1);
			return run;
		} catch (error) {
			await run[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** What it said on stderr. */
	get log(): string {
		return this.#log;
	}

	get pid(): number {
		return this.process.pid!;
	}

	/** As `until`, and says why where the process ended instead. */
	async until(holds: () => boolean | Promise<boolean>, timeoutMs = 60_000): Promise<void> {
		await until(() => {
			if (this.process.exitCode !== null) throw new Error(`the run ended: ${this.#log}`);
			return holds();
		}, timeoutMs);
	}

	/** The next `count` frames that are seen. */
	async more(count: number): Promise<Seen[]> {
		const from = this.seen.length;
		await this.until(() => this.seen.length >= from + count);
		return this.seen.slice(from, from + count);
	}

	async get(path: string): Promise<Response> {
		return await fetch(`http://127.0.0.1:${this.port}${path}`, { headers: { connection: 'close' } });
	}

	async state(): Promise<ServerState> {
		return (await (await this.get('/api/state')).json()) as ServerState;
	}

	async ask(command: object): Promise<void> {
		const answer = await fetch(`http://127.0.0.1:${this.port}/api/commands`, {
			method: 'POST',
			headers: { 'Content-Type': 'application/json', connection: 'close' },
			body: JSON.stringify(command),
		});
		if (answer.status !== 200) throw new Error(await answer.text());
		await answer.text();
	}

	/** To the sidecar and all that it started. */
	signal(name: NodeJS.Signals): void {
		process.kill(-this.pid, name);
	}

	/** Ends it as Ctrl-C does, and reads what it reported. */
	async finish(): Promise<{ code: number | null; report: Report }> {
		const code = await this.#end('SIGINT');
		return { code, report: JSON.parse(readFileSync(join(this.folder, 'report.json'), 'utf8')) as Report };
	}

	async #end(signal: NodeJS.Signals): Promise<number | null> {
		this.#socket?.terminate();
		if (this.process.exitCode === null && this.process.signalCode === null) {
			const exited = once(this.process, 'exit');
			this.process.kill(signal);
			await exited;
		}
		return this.process.exitCode;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			this.signal('SIGKILL');
		} catch {
			// It ended by itself.
		}
		await this.#end('SIGKILL');
		rmSync(this.folder, { recursive: true, force: true });
	}
}

/** In ms, p50. */
export const latencyOf = (frames: readonly Seen[]): number =>
	frames.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b)[Math.floor(frames.length / 2)] ?? NaN;
