import { once } from 'node:events';
import { isSidecarError } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Frame, type Picture, type StyledFrame } from '../frame/frame.ts';
import { SharedRingReader, SharedRingWriter } from '../frame/shared-ring.ts';
import { loadNative } from '../native.ts';
import type { Parameters } from '../parameters.ts';
import { setLog, type LogLevel } from '../telemetry/logger.ts';
import {
	answersMax,
	FRAMES_FD,
	PAINTINGS_FD,
	pictureSequences,
	type FromEngine,
	type OpenRequest,
	type Timings,
	type ToEngine,
} from './engine-protocol.ts';
import { WorkerEngine } from './worker-engine.ts';

// The engine as a process of its own: reads frames from one ring, paints them, and writes the paintings to another.
// The sidecar (supervised-engine.ts) starts it, and starts another when it dies.

/** Ends at once with the sidecar, whatever the model's threads are doing. */
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

const tell = (message: FromEngine): void => void process.send?.(message);

/** Frames as the line pulls them, their pixels in memory of this process until the line gives them back. */
class FrameInlet {
	readonly #reader: SharedRingReader;
	readonly #buffers: Uint8Array[] = [];
	readonly #free: number[] = [];
	#arrived: (Frame | 'end')[] = [];
	#wake = () => {};

	constructor(reader: SharedRingReader) {
		this.#reader = reader;
	}

	arrive(frame: Frame | 'end'): void {
		this.#arrived.push(frame === 'end' ? frame : this.#take(frame));
		this.#wake();
	}

	async *frames(): AsyncGenerator<Frame, void, undefined> {
		for (;;) {
			tell({ type: 'pull' });
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

	#take(frame: Frame): Frame {
		const slot = this.#free.pop() ?? this.#buffers.push(new Uint8Array(this.#reader.slotBytes)) - 1;
		if (!this.#reader.read(frame.slot, frame.sequence, this.#buffers[slot]!))
			throw new Error(`Frame ${frame.sequence} was written over before it was read.`);
		return { ...frame, slot };
	}
}

/** Writes what the line gives, and waits while the sidecar has not done with what it got. */
class AnswerOutlet {
	readonly #writer: SharedRingWriter;
	readonly #underWayMax: number;
	#count = 0;
	#underWay = 0;
	#timings: Timings = { stages: [], batches: [] };
	#wake = () => {};

	constructor({ painted, parameters }: OpenRequest) {
		this.#underWayMax = answersMax(parameters.tuning.batchSize);
		this.#writer = new SharedRingWriter({
			slotCount: 2 * this.#underWayMax + 2,
			slotBytes: pictureByteLength(rgbLayout(painted)),
		});
		this.#writer.adopt(PAINTINGS_FD);
	}

	readonly observer = {
		stage: (...timing: Timings['stages'][number]) => void this.#timings.stages.push(timing),
		batch: (times: Timings['batches'][number]) => void this.#timings.batches.push(times),
	};

	taken(): void {
		this.#underWay--;
		this.#wake();
	}

	async send({ source, picture, ...answer }: StyledFrame): Promise<void> {
		while (this.#underWay >= this.#underWayMax) await new Promise<void>((resolve) => (this.#wake = resolve));
		this.#underWay++;
		const timings = this.#timings;
		this.#timings = { stages: [], batches: [] };
		if (answer.kind !== 'painting') return tell({ type: 'answer', answer, timings });
		const sequences = pictureSequences(this.#count++);
		const write = (sequence: number, { data, ...layout }: Picture) =>
			this.#writer.write({ ...answer, sequence, layout }, data);
		const slots = { source: write(sequences.source, source), picture: write(sequences.picture, picture) };
		tell({ type: 'answer', answer, slots, timings });
	}
}

const paint = async (request: OpenRequest): Promise<void> => {
	setLog({ level: request.logLevel as LogLevel });
	const reader = await SharedRingReader.connect(FRAMES_FD);
	const inlet = new FrameInlet(reader);
	const outlet = new AnswerOutlet(request);
	let parameters: Parameters = request.parameters;
	const engine = await WorkerEngine.open({
		...request,
		ring: inlet,
		parametersNow: () => parameters,
		native: loadNative(),
		observer: outlet.observer,
	});
	process.on('message', (message: ToEngine) => {
		switch (message.type) {
			case 'open':
				return; // once is all
			case 'parameters':
				return void (parameters = message.parameters);
			case 'frame':
				return inlet.arrive(message.frame);
			case 'end':
				return inlet.arrive('end');
			case 'taken':
				return outlet.taken();
		}
	});
	const { provider, providersRefused: refused, int8Graphs } = engine;
	tell({ type: 'ready', provider, refused, int8Graphs });
	for await (const styled of engine.paint(inlet.frames())) await outlet.send(styled);
	// The sidecar ends the process when it has read the last answer.
};

const [request] = (await once(process, 'message')) as [ToEngine];
try {
	await paint(request as OpenRequest);
} catch (error) {
	const { code, message } = isSidecarError(error) ? error : { code: 'ERR_ENGINE', message: (error as Error).message };
	await new Promise((resolve) => process.send?.({ type: 'failed', code, message } satisfies FromEngine, resolve));
	process.kill(process.pid, 'SIGKILL');
}
