import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isSidecarError, SidecarError, type ErrorCode } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Frame, type Picture, type Size } from '../frame/frame.ts';
import { passEnd, ringPair, SharedRingReader, SharedRingWriter } from '../frame/shared-ring.ts';
import type { Parameters } from '../parameters.ts';
import type { EncodedPrompt, LineState } from './engine.ts';
import {
	ENDS_FD,
	LINES_MAX,
	pictureSequences,
	toSend,
	type Answer,
	type FromEngine,
	type LineRequest,
	type OpenRequest,
	type Timings,
	type ToEngine,
} from './engine-protocol.ts';

/** What an engine chose. */
export type EngineFacts = Omit<Extract<FromEngine, { type: 'ready' }>, 'type'>;

/** Hears what an engine says. After `gone` it says no more. */
export interface EngineListener {
	ready(facts: EngineFacts): void;
	/** The line wants one more frame. */
	pull(): void;
	/** In the order of the frames; without pictures where the style gives none. */
	answer(answer: Answer, pictures: { source: Picture; picture: Picture } | undefined, timings: Timings): void;
	/** It came too late to be painted, or its painting to be shown. Only engines elsewhere say so. */
	dropped?(sequence: number): void;
	/** It goes on, but another engine should take its place. Only engines elsewhere say so. */
	leaving?(): void;
	/** Those in use, where `tellsPrompts` asks for them. */
	prompts?(prompts: readonly EncodedPrompt[]): void;
	/** The engine died or said that it failed, and nothing of it is left. */
	gone(error: SidecarError): void;
}

/** A running engine, wherever it runs. */
export interface EngineHandle {
	readonly pid: number | undefined;
	/** Answers one `pull`. `data` may be changed when this returns. */
	send(frame: Frame, data: Uint8Array, parameters: Parameters): void;
	/** Before the first frame: goes on where another engine was. Engines elsewhere know that by themselves. */
	resume?(state: LineState): void;
	/** There are no more frames; those that it has are still answered. */
	end(): void;
	/** One answer was dealt with: another may come. */
	taken(): void;
	/** Is not heard of any more, `gone` neither; waits until what it had is given back. */
	stop(): Promise<void>;
	/** As `stop`, and the process ends at once, with all who share it: they hear that it is gone. */
	kill(): Promise<void>;
}

export interface EngineSettings extends OpenRequest, LineRequest {
	/** The largest frame, in bytes. */
	frameBytes: number;
	/** Frames that may be in the engine at a time. */
	inFlightMax: number;
	/** What the other lines of its process are painted at, where that is not this line's size. */
	paintedBeside?: Size;
	/** Whose frames these are: the engines of one stream go on from each other, where they run elsewhere. */
	stream?: object;
}

/** Starts engines, wherever they run. */
export interface Engines {
	/** Errors: ERR_RING. */
	start(settings: EngineSettings, listener: EngineListener): EngineHandle;
	/** How a stream fares whose engine runs elsewhere; absent where it runs here. */
	remote?(stream: object): RemoteNumbers | undefined;
}

/** Counts are of the whole run. */
export interface RemoteNumbers {
	/** Where it is painted; undefined while nobody paints it. */
	worker: string | undefined;
	/** To the worker and back; undefined before that was measured. */
	roundTripMs: number | undefined;
	/** Frames and paintings that were dropped for being late. */
	framesLate: number;
	/** Workers that took it over, the first one too. */
	placements: number;
	/** How pictures cross the network now. */
	encoding: 'nv12' | 'jpeg';
	/** What the link carried of the last pictures, the narrower way; undefined before that was measured. */
	linkBitsPerSecond: number | undefined;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
	for (const child of running) child.kill('SIGKILL');
});

/** The processes that paint. Channels that want the same graphs share one: its memory, its threads, its batches. */
export class EnginePool implements Engines {
	readonly #processes = new Set<EngineProcess>();

	/** Errors: ERR_RING. */
	start(settings: EngineSettings, listener: EngineListener): EngineHandle {
		const { frameBytes, inFlightMax, paintedBeside, stream: _, ...request } = settings;
		const { folder, provider, precision, painted, favours = 'latency', logLevel } = request;
		const open = { folder, provider, precision, painted: paintedBeside ?? painted, favours, logLevel };
		let process = [...this.#processes].find((one) => one.serves(open));
		if (!process) {
			process = new EngineProcess(open, () => this.#processes.delete(process!));
			this.#processes.add(process);
		}
		return process.open(request, { frameBytes, inFlightMax, listener });
	}
}

const OTHERS_MEMORY = new SidecarError('ERR_ENGINE', 'The engine had no memory for another of its lines.');

/** In a process group of its own: Ctrl-C in a terminal reaches the sidecar alone, which still wants the last paintings. */
class EngineProcess {
	readonly #child: ChildProcess;
	readonly #request: OpenRequest;
	readonly #onOver: () => void;
	/** On which the ends of lines are passed. */
	readonly #endsFd: number;
	readonly #lines = new Map<number, EngineLine>();
	#nextLine = 0;
	#facts: EngineFacts | undefined;
	/** What it said that broke it; `line` is whose doing that was, where it was one's. */
	#failure: { error: SidecarError; line?: number } | undefined;
	#isOver = false;

	constructor(request: OpenRequest, onOver: () => void) {
		this.#request = request;
		this.#onOver = onOver;
		const [here, there] = ringPair();
		this.#endsFd = here;
		const stdio: ('ignore' | 'inherit' | 'ipc' | number)[] = ['ignore', 'ignore', 'inherit', 'ipc'];
		stdio[ENDS_FD] = there;
		this.#child = fork(fileURLToPath(new URL('./engine.process.js', import.meta.url)), [], {
			stdio,
			execArgv: [],
			serialization: 'advanced',
			detached: true,
		});
		running.add(this.#child);
		closeSync(there);
		this.#child.on('message', (message: FromEngine) => this.#hear(message));
		this.#child.on('error', (cause) => this.over(`could not be started (${cause.message})`, cause));
		this.#child.on('exit', (code, signal) => this.over(`ended (${signal ?? `code ${code}`})`));
		this.tell({ type: 'open', ...request });
	}

	get pid(): number | undefined {
		return this.#child.pid;
	}

	/** Whether a line that asks for this may have its place here. */
	serves({ folder, provider, precision, painted, favours }: OpenRequest): boolean {
		const mine = this.#request;
		const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
		return (
			!this.#isOver &&
			this.#lines.size < LINES_MAX &&
			folder.path === mine.folder.path &&
			same(painted, mine.painted) &&
			favours === mine.favours &&
			[mine.provider, this.#facts?.provider].includes(provider) &&
			(same(precision, mine.precision) || same(precision, this.#facts?.int8Graphs))
		);
	}

	open(request: LineRequest, how: { frameBytes: number; inFlightMax: number; listener: EngineListener }): EngineLine {
		const line = this.#nextLine++;
		const { painted, fit, batchDeadlineMs, parameters, tellsPrompts = false } = request;
		const opened = new EngineLine(this, { line, request, ...how });
		this.#lines.set(line, opened);
		opened.onReady = () => {
			if (this.#isOver) return;
			try {
				opened.passEnds(this.#endsFd);
			} catch (cause) {
				return this.over(`took no more lines (${(cause as Error).message})`, cause);
			}
			this.tell({ type: 'line', line, painted, fit, batchDeadlineMs, parameters, tellsPrompts });
		};
		if (this.#facts) opened.onReady();
		return opened;
	}

	tell(message: ToEngine): void {
		// Whether it is still there says its exit, not a pipe that broke.
		if (!this.#isOver) this.#child.send(message, () => {});
	}

	/** The last one out ends the process. */
	async close(line: number): Promise<void> {
		this.#lines.delete(line);
		this.tell({ type: 'close', line });
		if (this.#lines.size === 0) await this.#end();
	}

	/** Nothing of it is to be heard any more by those whom `error` was not for. */
	over(how: string, cause?: unknown): void {
		if (this.#isOver) return;
		const error = this.#failure?.error ?? new SidecarError('ERR_ENGINE', `The engine's process ${how}.`, { cause });
		const lines = [...this.#lines.values()];
		void this.#end().then(() => {
			for (const line of lines) line.gone(this.#isNotOf(line.number) ? OTHERS_MEMORY : error);
		});
	}

	async kill(line: number): Promise<void> {
		this.#lines.delete(line);
		this.over('was ended, because it was stuck');
		await this.#end();
	}

	#hear(message: FromEngine): void {
		if (this.#isOver) return;
		switch (message.type) {
			case 'ready': {
				const { type: _, ...facts } = message;
				this.#facts = facts;
				for (const line of this.#lines.values()) line.onReady();
				return;
			}
			case 'failed': {
				const error = asSidecarError(message);
				const line = message.line === undefined ? undefined : this.#lines.get(message.line);
				// What a line cannot do is its own affair; what broke while painting may have broken all.
				if (line && error.code !== 'ERR_ENGINE' && error.code !== 'ERR_MEMORY') {
					void this.close(line.number).then(() => line.gone(error));
					return;
				}
				this.#failure = { error, ...(line && { line: line.number }) };
				if (line) this.over('failed');
				return;
			}
			default:
				void this.#lines.get(message.line)?.hear(message, this.#facts!);
		}
	}

	/** A line that asks for less than another need not ask for less still. */
	#isNotOf(line: number): boolean {
		const { error, line: whose } = this.#failure ?? {};
		return error?.code === 'ERR_MEMORY' && whose !== undefined && whose !== line;
	}

	async #end(): Promise<void> {
		if (!this.#isOver) closeSync(this.#endsFd);
		this.#isOver = true;
		this.#onOver();
		const { exitCode, signalCode, pid } = this.#child;
		if (pid !== undefined && exitCode === null && signalCode === null) {
			const exited = once(this.#child, 'exit');
			this.#child.kill('SIGKILL');
			await exited;
		}
		running.delete(this.#child);
	}
}

/** One channel's part of a process. */
class EngineLine implements EngineHandle {
	readonly number: number;
	/** Called once the model is open. */
	onReady = (): void => {};
	readonly #process: EngineProcess;
	/** Of the ring of frames. */
	readonly #end: number;
	/** The ends that are for the child, until it has them. */
	readonly #ends: number[];
	readonly #frames: SharedRingWriter;
	readonly #listener: EngineListener;
	readonly #pictureBytes: number;
	readonly #paintings: Promise<SharedRingReader>;
	#reader: SharedRingReader | undefined;
	#parameters: Parameters;
	#answers = 0;
	#isOver = false;

	constructor(
		process: EngineProcess,
		{
			line,
			request,
			frameBytes,
			inFlightMax,
			listener,
		}: {
			line: number;
			request: LineRequest;
			frameBytes: number;
			inFlightMax: number;
			listener: EngineListener;
		},
	) {
		this.number = line;
		this.#process = process;
		this.#listener = listener;
		this.#parameters = request.parameters;
		this.#pictureBytes = pictureByteLength(rgbLayout(request.painted));
		// The ring takes four slots at least; one more than are in flight is being written.
		this.#frames = new SharedRingWriter({ slotCount: Math.max(4, inFlightMax + 1), slotBytes: frameBytes });
		const [frames, framesThere] = ringPair();
		const [paintings, paintingsThere] = ringPair();
		this.#end = frames;
		this.#ends = [framesThere, paintingsThere];
		// Opening a large model takes minutes; whether the child still lives says its exit.
		this.#paintings = SharedRingReader.connect(paintings, { timeoutMs: 2 ** 31 - 1 });
		this.#paintings.catch(() => {}); // heard when it is opened, or gone
	}

	get pid(): number | undefined {
		return this.#process.pid;
	}

	/** A writer does not wait long for a reader that it adopted, so not before there is one. Errors: ERR_RING. */
	passEnds(channel: number): void {
		for (const end of this.#ends) passEnd(channel, end);
		for (const end of this.#ends.splice(0)) closeSync(end);
		this.#frames.adopt(this.#end);
	}

	send(frame: Frame, data: Uint8Array, parameters: Parameters): void {
		const line = this.number;
		if (parameters !== this.#parameters) {
			this.#process.tell({ type: 'parameters', line, parameters: toSend(parameters, this.#parameters) });
			this.#parameters = parameters;
		}
		const slot = this.#frames.write(frame, data);
		const { mask: _, ...told } = frame;
		this.#process.tell({ type: 'frame', line, frame: { ...told, slot } });
	}

	resume(state: LineState): void {
		this.#process.tell({ type: 'resume', line: this.number, state });
	}

	end(): void {
		this.#process.tell({ type: 'end', line: this.number });
	}

	taken(): void {
		this.#process.tell({ type: 'taken', line: this.number });
	}

	async stop(): Promise<void> {
		this.#close();
		await this.#process.close(this.number);
	}

	async kill(): Promise<void> {
		this.#close();
		await this.#process.kill(this.number);
	}

	/** The process, or the line in it, is no more. */
	gone(error: SidecarError): void {
		if (this.#isOver) return;
		this.#close();
		this.#listener.gone(error);
	}

	async hear(
		message: Extract<FromEngine, { type: 'opened' | 'pull' | 'answer' | 'prompts' }>,
		facts: EngineFacts,
	): Promise<void> {
		try {
			switch (message.type) {
				case 'opened':
					this.#reader ??= await this.#paintings;
					if (!this.#isOver) this.#listener.ready(facts);
					return;
				case 'pull':
					return this.#listener.pull();
				case 'prompts':
					return this.#listener.prompts?.(message.prompts);
				case 'answer':
					// The first one may be there before its ring.
					if (message.slots) this.#reader ??= await this.#paintings;
					return this.#listener.answer(message.answer, this.#read(message), message.timings);
			}
		} catch (cause) {
			this.#process.over(`gave something that cannot be read (${(cause as Error).message})`, cause);
		}
	}

	#read({ answer, slots }: Extract<FromEngine, { type: 'answer' }>): { source: Picture; picture: Picture } | undefined {
		if (!slots) return undefined;
		const sequences = pictureSequences(this.#answers++);
		const read = (slot: number, sequence: number): Picture => {
			const data = new Uint8Array(this.#pictureBytes);
			const frame = this.#reader!.read(slot, sequence, data);
			if (!frame) throw new Error(`painting ${answer.sequence} was written over`);
			return { ...frame.layout, data };
		};
		return { source: read(slots.source, sequences.source), picture: read(slots.picture, sequences.picture) };
	}

	#close(): void {
		if (this.#isOver) return;
		this.#isOver = true;
		if (this.#ends.length > 0) for (const end of [this.#end, ...this.#ends.splice(0)]) closeSync(end);
		this.#frames.close();
		this.#paintings.then(
			(reader) => reader.close(),
			() => {},
		);
	}
}

const asSidecarError = ({ code, message }: { code: string; message: string }): SidecarError => {
	const remote = Object.assign(new Error(message), { code });
	return new SidecarError(isSidecarError(remote) ? (code as ErrorCode) : 'ERR_ENGINE', message);
};
