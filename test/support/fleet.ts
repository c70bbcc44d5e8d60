import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { FleetStatus } from '../../sidecar/config/schema/fleet.ts';
import type { RemoteNumbers } from '../../sidecar/engine/engine-process.ts';
import type { Parameters } from '../../sidecar/parameters.ts';
import { until } from './engines.ts';
import { levelOf, openStreamWith, type OpenFleet, type Shown, type StreamSettings } from './fleet-stream.mjs';
import { parametersOf } from './frames.ts';
import type { Host } from './hosts.ts';

/** The built fleet, with workers that are processes of their own, and the sidecar's end of it in the test or on a host. */

export { levelOf, NatsBus, nowUs, openFleet, PAINTED, type Shown } from './fleet-stream.mjs';

/** Where a process runs: this machine, unless told. */
export interface Where {
	host?: Host;
	environment?: Record<string, string>;
}

/** A program of ours that is spoken to. */
const start = (script: string, settings: object, { host, environment = {} }: Where): ChildProcess => {
	const file = fileURLToPath(new URL(script, import.meta.url));
	const command = [process.execPath, file, JSON.stringify(settings)] as const;
	const [program, ...args] = host?.command(...command) ?? command;
	return spawn(program, args, {
		env: { ...process.env, ...environment },
		stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
		serialization: 'advanced',
	});
};

const kill = async (child: ChildProcess): Promise<void> => {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = once(child, 'exit');
	child.kill('SIGKILL');
	await exited;
};

interface Resumed {
	epoch: number;
	source: number;
	painting: number;
	embedded: [prompt: string | null, data: number[]][];
}

/** A worker whose paintings are negatives, with its mark below. */
export class EchoWorker implements AsyncDisposable {
	readonly process: ChildProcess;
	readonly name: string;
	readonly mark: number;
	readonly resumed: Resumed[] = [];
	isDrained = false;
	/** Engines that were ended for being stuck. */
	killed = 0;
	#status: ((status: FleetStatus) => void) | undefined;

	static async start(
		url: string,
		name: string,
		mark: number,
		more: object = {},
		where: Where = {},
	): Promise<EchoWorker> {
		const worker = new EchoWorker({ url, name, mark, ...more }, where);
		await worker.#opened;
		return worker;
	}

	#opened: Promise<unknown>;

	private constructor(settings: { url: string; name: string; mark: number }, where: Where) {
		this.name = settings.name;
		this.mark = settings.mark;
		this.process = start('./echo-worker.process.mjs', settings, where);
		this.#opened = new Promise((resolve, reject) => {
			this.process.once('exit', () => reject(new Error('the worker ended before it was open')));
			this.process.on('message', (message: { type: string; status: FleetStatus } & Resumed) => {
				if (message.type === 'open') resolve(undefined);
				else if (message.type === 'drained') this.isDrained = true;
				else if (message.type === 'killed') this.killed++;
				else if (message.type === 'resumed') this.resumed.push(message);
				else this.#status?.(message.status);
			});
		});
	}

	async status(): Promise<FleetStatus> {
		const answer = new Promise<FleetStatus>((resolve) => (this.#status = resolve));
		this.process.send({ type: 'status' });
		return await answer;
	}

	tell(message: object): void {
		this.process.send(message);
	}

	/** As a crash or a power cut does it. */
	async kill(): Promise<void> {
		await kill(this.process);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
	}
}

/** NV12 at full range keeps a grey but for rounding. */
export const near = (level: number, expected: number) => Math.abs(level - expected) <= 2;

/** Each painting is of its own frame, no frame comes twice or after a later one. */
export const expectWhole = (shown: readonly Shown[]) => {
	for (const { kind, sequence, source, level } of shown) {
		expect(source).toBe(levelOf(sequence));
		expect(near(level, kind === 'painting' ? 255 - levelOf(sequence) : levelOf(sequence))).toBe(true);
	}
	const sequences = shown.map(({ sequence }) => sequence);
	expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
};

/** The marks of the workers in the order in which they painted; one that comes back is there twice. */
export const painters = (shown: readonly Shown[], workers: readonly EchoWorker[]): (string | undefined)[] => {
	const marks = shown
		.filter(({ kind }) => kind === 'painting')
		.map((frame) => workers.find(({ mark }) => near(frame.mark, mark))?.name);
	return marks.filter((mark, i) => mark !== marks[i - 1]);
};

/** The one that paints now. */
export const painterOf = (shown: readonly Shown[], workers: readonly EchoWorker[]): EchoWorker => {
	const name = painters(shown, workers).at(-1);
	return workers.find((worker) => worker.name === name)!;
};

/** What was shown of a stream, wherever that is. */
abstract class SeenStream {
	readonly shown: Shown[] = [];
	protected failure: unknown;

	paintings(): Shown[] {
		return this.shown.filter(({ kind }) => kind === 'painting');
	}

	error(): { code: string; message: string } | undefined {
		return this.failure as { code: string; message: string } | undefined;
	}

	/** So many more paintings from now on. */
	async paints(more = 5): Promise<void> {
		const before = this.paintings().length;
		await until(() => this.failure !== undefined || this.paintings().length >= before + more);
		if (this.failure !== undefined) throw this.failure;
	}
}

class OwnStream extends SeenStream implements AsyncDisposable {
	readonly #stream: ReturnType<typeof openStreamWith>;
	readonly #over: Promise<void>;

	constructor(fleet: Pick<OpenFleet, 'engines'>, settings: StreamSettings) {
		super();
		this.#stream = openStreamWith(fleet, parametersOf(), (shown) => this.shown.push(shown), settings);
		this.#over = this.#stream.painting.catch((reason: unknown) => void (this.failure = reason));
	}

	get engine() {
		return this.#stream.engine;
	}

	/** Of one whose engine is elsewhere. */
	remote(): RemoteNumbers {
		return this.#stream.remote()!;
	}

	change(to: Parameters): void {
		this.#stream.change(to);
	}

	over(): Promise<void> {
		return this.#over;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#stream[Symbol.asyncDispose]();
	}
}

/** Frames of one grey each at a steady rate, painted by a supervised engine of the fleet. */
export const openStream = (fleet: Pick<OpenFleet, 'engines'>, settings: StreamSettings = {}): OwnStream =>
	new OwnStream(fleet, settings);

/** The same in a process of its own. */
export class FarStream extends SeenStream implements AsyncDisposable {
	readonly #process: ChildProcess;
	readonly #opened: Promise<unknown>;
	#state: ((state: RemoteNumbers & { restarts: number }) => void) | undefined;
	#answer: ((answer: string | undefined) => void) | undefined;

	static async open(
		url: string,
		where: Where,
		{ fleet = {}, ...stream }: StreamSettings & { fleet?: { deadlineMs?: number } } = {},
	): Promise<FarStream> {
		const far = new FarStream({ url, parameters: parametersOf(), fleet, stream }, where);
		await far.#opened;
		return far;
	}

	private constructor(settings: object, where: Where) {
		super();
		this.#process = start('./fleet-stream.process.mjs', settings, where);
		this.#opened = new Promise((resolve, reject) => {
			this.#process.once('exit', () => reject(new Error('the stream ended before it was open')));
			this.#process.on(
				'message',
				(
					message:
						| { type: 'open' }
						| { type: 'shown'; shown: Shown }
						| { type: 'error'; error: unknown }
						| { type: 'answer'; answer: string | undefined }
						| { type: 'state'; state: RemoteNumbers & { restarts: number } },
				) => {
					if (message.type === 'open') resolve(undefined);
					else if (message.type === 'shown') this.shown.push(message.shown);
					else if (message.type === 'error') this.failure = message.error;
					else if (message.type === 'answer') this.#answer?.(message.answer);
					else this.#state?.(message.state);
				},
			);
		});
	}

	async state(): Promise<RemoteNumbers & { restarts: number }> {
		const answer = new Promise<RemoteNumbers & { restarts: number }>((resolve) => (this.#state = resolve));
		this.#process.send({});
		return await answer;
	}

	/** Asks on its connection; undefined where nobody answers. */
	async request(subject: string, data = ''): Promise<string | undefined> {
		const answer = new Promise<string | undefined>((resolve) => (this.#answer = resolve));
		this.#process.send({ subject, data });
		return await answer;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await kill(this.#process);
	}
}
