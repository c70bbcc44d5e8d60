import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isSidecarError, SidecarError, type ErrorCode } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Frame, type Picture } from '../frame/frame.ts';
import { ringPair, SharedRingReader, SharedRingWriter } from '../frame/shared-ring.ts';
import type { Parameters } from '../parameters.ts';
import {
	FRAMES_FD,
	PAINTINGS_FD,
	pictureSequences,
	type Answer,
	type FromEngine,
	type OpenRequest,
	type Timings,
	type ToEngine,
} from './engine-protocol.ts';

/** Hears what an engine says. After `gone` it says no more. */
export interface EngineListener {
	ready(facts: Omit<Extract<FromEngine, { type: 'ready' }>, 'type'>): void;
	/** The line wants one more frame. */
	pull(): void;
	/** In the order of the frames; without pictures where the style gives none. */
	answer(answer: Answer, pictures: { source: Picture; picture: Picture } | undefined, timings: Timings): void;
	/** The engine died or said that it failed, and nothing of it is left. */
	gone(error: SidecarError): void;
}

/** A running engine, wherever it runs. */
export interface EngineHandle {
	readonly pid: number | undefined;
	/** Answers one `pull`. `data` may be changed when this returns. */
	send(frame: Frame, data: Uint8Array, parameters: Parameters): void;
	/** There are no more frames; those that it has are still answered. */
	end(): void;
	/** One answer was dealt with: another may come. */
	taken(): void;
	/** Ends it at once and waits until it is gone; `gone` is not called. */
	stop(): Promise<void>;
}

export interface EngineProcessSettings extends OpenRequest {
	/** The largest frame, in bytes. */
	frameBytes: number;
	/** Frames that may be in the engine at a time. */
	inFlightMax: number;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
	for (const child of running) child.kill('SIGKILL');
});

/**
 * Starts an engine in a process of its own, in a process group of its own: Ctrl-C in a terminal reaches the
 * sidecar alone, which still wants the last paintings. Errors: ERR_RING.
 */
export const startEngineProcess = (settings: EngineProcessSettings, listener: EngineListener): EngineHandle =>
	new EngineProcess(settings, listener);

class EngineProcess implements EngineHandle {
	readonly #child: ChildProcess;
	readonly #frames: SharedRingWriter;
	readonly #listener: EngineListener;
	readonly #pictureBytes: number;
	readonly #paintings: Promise<SharedRingReader>;
	#reader: SharedRingReader | undefined;
	#parameters: Parameters;
	#answers = 0;
	#isOver = false;
	#failure: SidecarError | undefined;

	constructor({ frameBytes, inFlightMax, ...request }: EngineProcessSettings, listener: EngineListener) {
		this.#listener = listener;
		this.#parameters = request.parameters;
		this.#pictureBytes = pictureByteLength(rgbLayout(request.painted));
		// The ring takes four slots at least; one more than are in flight is being written.
		this.#frames = new SharedRingWriter({ slotCount: Math.max(4, inFlightMax + 1), slotBytes: frameBytes });
		const [framesHere, framesThere] = ringPair();
		const [paintingsHere, paintingsThere] = ringPair();
		this.#frames.adopt(framesHere);
		const stdio: ('ignore' | 'inherit' | 'ipc' | number)[] = ['ignore', 'ignore', 'inherit', 'ipc'];
		stdio[FRAMES_FD] = framesThere;
		stdio[PAINTINGS_FD] = paintingsThere;
		this.#child = fork(fileURLToPath(new URL('./engine.process.js', import.meta.url)), [], {
			stdio,
			execArgv: [],
			serialization: 'advanced',
			detached: true,
		});
		running.add(this.#child);
		closeSync(framesThere);
		closeSync(paintingsThere);
		// Opening a large model takes minutes; whether the child still lives says its exit.
		this.#paintings = SharedRingReader.connect(paintingsHere, { timeoutMs: 2 ** 31 - 1 });
		this.#paintings.catch(() => {}); // heard when it is ready, or gone
		this.#child.on('message', (message: FromEngine) => void this.#hear(message));
		this.#child.on('error', (cause) => this.#over(`could not be started (${cause.message})`, cause));
		this.#child.on('exit', (code, signal) => this.#over(`ended (${signal ?? `code ${code}`})`));
		this.#tell({ type: 'open', ...request });
	}

	get pid(): number | undefined {
		return this.#child.pid;
	}

	send(frame: Frame, data: Uint8Array, parameters: Parameters): void {
		if (parameters !== this.#parameters) {
			this.#parameters = parameters;
			this.#tell({ type: 'parameters', parameters });
		}
		const slot = this.#frames.write(frame, data);
		this.#tell({ type: 'frame', frame: { ...frame, slot } });
	}

	end(): void {
		this.#tell({ type: 'end' });
	}

	taken(): void {
		this.#tell({ type: 'taken' });
	}

	async stop(): Promise<void> {
		this.#isOver = true;
		await this.#end();
	}

	#tell(message: ToEngine): void {
		// Whether it is still there says its exit, not a pipe that broke.
		this.#child.send(message, () => {});
	}

	async #hear(message: FromEngine): Promise<void> {
		if (this.#isOver) return;
		try {
			switch (message.type) {
				case 'ready': {
					const { provider, refused, int8Graphs } = message;
					this.#reader = await this.#paintings;
					if (!this.#isOver) this.#listener.ready({ provider, refused, int8Graphs });
					return;
				}
				case 'pull':
					return this.#listener.pull();
				case 'answer':
					return this.#listener.answer(message.answer, this.#read(message), message.timings);
				case 'failed':
					this.#failure = asSidecarError(message);
			}
		} catch (cause) {
			this.#over(`gave something that cannot be read (${(cause as Error).message})`, cause);
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

	#over(how: string, cause?: unknown): void {
		if (this.#isOver) return;
		this.#isOver = true;
		const error = this.#failure ?? new SidecarError('ERR_ENGINE', `The engine's process ${how}.`, { cause });
		void this.#end().then(() => this.#listener.gone(error));
	}

	async #end(): Promise<void> {
		const { exitCode, signalCode, pid } = this.#child;
		if (pid !== undefined && exitCode === null && signalCode === null) {
			const exited = once(this.#child, 'exit');
			this.#child.kill('SIGKILL');
			await exited;
		}
		running.delete(this.#child);
		this.#frames.close();
		await this.#paintings.then(
			(reader) => reader.close(),
			() => {},
		);
	}
}

const asSidecarError = ({ code, message }: { code: string; message: string }): SidecarError => {
	const remote = Object.assign(new Error(message), { code });
	return new SidecarError(isSidecarError(remote) ? (code as ErrorCode) : 'ERR_ENGINE', message);
};
