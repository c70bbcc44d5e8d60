import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { until } from './engines.ts';

/** A frame as the plugin tapped it; pixels are blue, green, red, alpha. */
export interface TappedFrame {
	id: string;
	sequence: number;
	missed: number;
	capturedUs: number;
	width: number;
	height: number;
	middle: [number, number, number, number];
	corner: [number, number, number, number];
}

export interface EchoOptions {
	protocol?: number;
	/** Whether frames come back. */
	paints?: boolean;
	format?: 'BGRA' | 'RGBA' | 'RGB';
	/** The painted size, as a part of the source's. */
	scale?: number;
	/** Added to the capture time of what is painted. */
	capturedAheadUs?: number;
	/** How long a frame takes to come back. */
	delayMs?: number;
}

export type Message = { type: string } & Record<string, unknown>;

/** A sidecar that inverts instead of painting: the peer of the plugin in tests. */
export class ObsEcho {
	readonly heard: Message[] = [];
	readonly failures: string[] = [];
	/** The newest frame of each stream. */
	readonly frames = new Map<string, TappedFrame>();
	readonly #process: ChildProcess;

	private constructor(process: ChildProcess) {
		this.#process = process;
		process.on('message', (message: { heard?: Message; frame?: TappedFrame; failed?: string }) => {
			if (message.heard) this.heard.push(message.heard);
			if (message.frame) this.frames.set(message.frame.id, message.frame);
			if (message.failed) this.failures.push(message.failed);
		});
	}

	/** Listens when this resolves. */
	static async start(runtimeFolder: string, options: EchoOptions = {}): Promise<ObsEcho> {
		const child = fork(fileURLToPath(new URL('./obs-echo.process.mjs', import.meta.url)), {
			env: { ...process.env, XDG_RUNTIME_DIR: runtimeFolder, OBS_ECHO_OPTIONS: JSON.stringify(options) },
		});
		const echo = new ObsEcho(child);
		await once(child, 'message');
		return echo;
	}

	/** Changes options, or says a message, or text that is none, to the plugin. */
	tell(change: EchoOptions & { say?: Message; raw?: string; hangUp?: boolean }): void {
		this.#process.send(change);
	}

	/** Resolves with the first message of a type, of those heard and those to come, that `matches`. */
	async hears(type: string, matches: (message: Message) => boolean = () => true): Promise<Message> {
		const find = () => this.heard.find((message) => message.type === type && matches(message));
		await until(() => find() !== undefined, 20_000);
		return find()!;
	}

	/** Resolves with a frame of a stream that comes after this call and `matches`. */
	async frame(id: string, matches: (frame: TappedFrame) => boolean = () => true): Promise<TappedFrame> {
		const before = this.frames.get(id)?.sequence;
		const find = () => {
			const frame = this.frames.get(id);
			return frame && frame.sequence !== before && matches(frame) ? frame : undefined;
		};
		await until(() => find() !== undefined, 20_000);
		return find()!;
	}

	/** Stops it as a hang does; `resume` lets it go on. */
	hang(): void {
		this.#process.kill('SIGSTOP');
	}

	resume(): void {
		this.#process.kill('SIGCONT');
	}

	async kill(): Promise<void> {
		if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
		const exited = once(this.#process, 'exit');
		this.#process.kill('SIGKILL');
		await exited;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.kill();
	}
}
