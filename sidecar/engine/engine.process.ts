import { once } from 'node:events';
import { isSidecarError } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Frame, type Picture, type StyledFrame } from '../frame/frame.ts';
import { SharedRingReader, SharedRingWriter, takeEnd } from '../frame/shared-ring.ts';
import { loadNative } from '../native.ts';
import type { Parameters } from '../parameters.ts';
import { setLog, type LogLevel } from '../telemetry/logger.ts';
import {
	answersMax,
	ENDS_FD,
	pictureSequences,
	received,
	type FromEngine,
	type LineRequest,
	type OpenRequest,
	type Timings,
	type ToEngine,
} from './engine-protocol.ts';
import type { EngineObserver } from './engine.ts';
import { Streams } from './streams.ts';
import { WorkerEngine } from './worker-engine.ts';

// The engine as a process of its own: for each line it reads frames from one ring, paints them, and writes the paintings
// to another. The sidecar (engine-process.ts) starts it, and starts another when it dies.

/** Ends at once with the sidecar, whatever the model's threads are doing. */
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

/** A sidecar that is gone hears nothing; `disconnect` ends us. */
const tell = (message: FromEngine): void => void process.send?.(message, () => {});

/** Frames as the line pulls them, their pixels in memory of this process until the line gives them back. */
class FrameInlet {
	readonly #line: number;
	readonly #reader: SharedRingReader;
	readonly #buffers: Uint8Array[] = [];
	readonly #free: number[] = [];
	#arrived: (Frame | 'end')[] = [];
	#wake = () => {};

	constructor(line: number, reader: SharedRingReader) {
		this.#line = line;
		this.#reader = reader;
	}

	arrive(frame: Frame | 'end'): void {
		this.#arrived.push(frame === 'end' ? frame : this.#take(frame));
		this.#wake();
	}

	async *frames(): AsyncGenerator<Frame, void, undefined> {
		for (;;) {
			tell({ type: 'pull', line: this.#line });
			if (this.#arrived.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
			const frame = this.#arrived.shift()!;
			if (frame === 'end') return;
			yield frame;
		}
	}

	bytes(slot: number): Uint8Array {
		return this.#buffers[slot]!;
	}

	release({ slot }: Frame): void {
		this.#free.push(slot);
	}

	close(): void {
		this.#reader.close();
	}

	#take(frame: Frame): Frame {
		const slot = this.#free.pop() ?? this.#buffers.push(new Uint8Array(this.#reader.slotBytes)) - 1;
		if (!this.#reader.read(frame.slot, frame.sequence, this.#buffers[slot]!))
			throw new Error(`Frame ${frame.sequence} was written over before it was read.`);
		return { ...frame, slot };
	}
}

/** Writes what the line gives, and waits while the sidecar has not done with what it got. */
class AnswerOutlet {
	readonly #line: number;
	readonly #writer: SharedRingWriter;
	readonly #underWayMax: number;
	readonly observer: EngineObserver;
	#count = 0;
	#underWay = 0;
	#timings: Timings = { stages: [], batches: [] };
	#isClosed = false;
	#wake = () => {};
	#close = () => {};
	/** Resolves when nobody hears any more. */
	readonly hushed = new Promise<void>((resolve) => (this.#close = resolve));

	constructor(line: number, end: number, { painted, parameters, tellsPrompts }: LineRequest) {
		this.#line = line;
		this.observer = {
			stage: (...timing) => void this.#timings.stages.push(timing),
			batch: (times) => void this.#timings.batches.push(times),
			...(tellsPrompts && { prompts: (prompts) => tell({ type: 'prompts', line, prompts }) }),
		};
		this.#underWayMax = answersMax(parameters.tuning.batchSize);
		this.#writer = new SharedRingWriter({
			slotCount: 2 * this.#underWayMax + 2,
			slotBytes: pictureByteLength(rgbLayout(painted)),
		});
		this.#writer.adopt(end);
	}

	taken(): void {
		this.#underWay--;
		this.#wake();
	}

	/** Nobody hears any more; what is painted still is thrown away. */
	hush(): void {
		this.#isClosed = true;
		this.#wake();
		this.#close();
	}

	close(): void {
		this.#writer.close();
	}

	async send({ source, picture, ...answer }: StyledFrame): Promise<void> {
		while (this.#underWay >= this.#underWayMax && !this.#isClosed)
			await new Promise<void>((resolve) => (this.#wake = resolve));
		if (this.#isClosed) return;
		const line = this.#line;
		this.#underWay++;
		const timings = this.#timings;
		this.#timings = { stages: [], batches: [] };
		if (answer.kind !== 'painting') return tell({ type: 'answer', line, answer, timings });
		const sequences = pictureSequences(this.#count++);
		const write = (sequence: number, { data, ...layout }: Picture) =>
			this.#writer.write({ ...answer, sequence, layout }, data);
		const slots = { source: write(sequences.source, source), picture: write(sequences.picture, picture) };
		tell({ type: 'answer', line, answer, slots, timings });
	}
}

/** One line of frames to paintings, from when it is opened to when it is closed. */
class PaintedLine {
	readonly #outlet: AnswerOutlet;
	readonly #inlet: FrameInlet;
	readonly #engine: WorkerEngine;
	#parameters: Parameters;

	/** Takes its ends before it waits for anything: they were passed in the order of the lines. */
	static async open(streams: Streams, line: number, request: LineRequest): Promise<PaintedLine> {
		const [frames, paintings] = [takeEnd(ENDS_FD), takeEnd(ENDS_FD)];
		const reader = await SharedRingReader.connect(frames);
		try {
			return new PaintedLine(streams, line, request, reader, paintings);
		} catch (error) {
			reader.close();
			throw error;
		}
	}

	private constructor(
		streams: Streams,
		line: number,
		request: LineRequest,
		reader: SharedRingReader,
		paintings: number,
	) {
		this.#inlet = new FrameInlet(line, reader);
		this.#outlet = new AnswerOutlet(line, paintings, request);
		this.#parameters = request.parameters;
		this.#engine = WorkerEngine.on(streams, {
			...request,
			ring: this.#inlet,
			parametersNow: () => this.#parameters,
			native: loadNative(),
			observer: this.#outlet.observer,
		});
		tell({ type: 'opened', line });
		void this.#paint(this.#engine).catch((error: unknown) => fail(error, line));
	}

	hear(message: Exclude<ToEngine, { type: 'open' | 'line' }>): void {
		switch (message.type) {
			case 'parameters':
				return void (this.#parameters = received(message.parameters, this.#parameters));
			case 'resume':
				return this.#engine.resume(message.state);
			case 'frame':
				return this.#inlet.arrive(message.frame);
			case 'end':
				return this.#inlet.arrive('end');
			case 'taken':
				return this.#outlet.taken();
			case 'close':
				this.#outlet.hush();
				return this.#inlet.arrive('end');
		}
	}

	async #paint(engine: WorkerEngine): Promise<void> {
		try {
			for await (const styled of engine.paint(this.#inlet.frames())) await this.#outlet.send(styled);
			// The sidecar closes the line, or ends the process, when it has read the last answer.
			await this.#outlet.hushed;
		} finally {
			await engine[Symbol.asyncDispose]();
			this.#inlet.close();
			this.#outlet.close();
		}
	}
}

/** What all lines have in common is broken, or one of them alone. */
const fail = (error: unknown, line?: number): Promise<unknown> => {
	const { code, message } = isSidecarError(error) ? error : { code: 'ERR_ENGINE', message: (error as Error).message };
	const failed: FromEngine = { type: 'failed', ...(line !== undefined && { line }), code, message };
	return new Promise((resolve) => process.send?.(failed, resolve));
};

const paint = async (request: OpenRequest): Promise<void> => {
	setLog({ level: request.logLevel as LogLevel });
	const streams = await Streams.open(request);
	const lines = new Map<number, Promise<PaintedLine>>();
	process.on('message', (message: ToEngine) => {
		if (message.type === 'open') return; // once is all
		const { line } = message;
		if (message.type === 'line') {
			const opened = PaintedLine.open(streams, line, message);
			lines.set(line, opened);
			opened.catch((error: unknown) => fail(error, line));
			return;
		}
		const painted = lines.get(line);
		if (message.type === 'close') lines.delete(line);
		// One that was not opened has said so itself.
		painted
			?.then(
				(open) => open.hear(message),
				() => {},
			)
			.catch((error: unknown) => fail(error, line));
	});
	const { provider, device, providersRefused: refused, int8Graphs } = streams;
	tell({ type: 'ready', provider, device, refused, int8Graphs });
};

const [request] = (await once(process, 'message')) as [ToEngine];
try {
	await paint(request as OpenRequest);
} catch (error) {
	await fail(error);
	process.kill(process.pid, 'SIGKILL');
}
