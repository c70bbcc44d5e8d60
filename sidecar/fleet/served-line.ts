import { ToWorker, type FleetOpen, type WireEncoding } from '../config/schema/fleet.ts';
import { promptShapesOf } from '../config/schema/manifest.ts';
import type { EngineFacts, EngineHandle, EngineListener, Engines } from '../engine/engine-process.ts';
import type { Answer, Timings } from '../engine/engine-protocol.ts';
import type { EncodedPrompt } from '../engine/engine.ts';
import { SidecarError } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Picture, type Size } from '../frame/frame.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import type { Provider } from '../inference/session.ts';
import type { Condition, Parameters, ReferencePicture } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import { BufferPool } from './buffer-pool.ts';
import { Lease, type LeaseStore } from './leases.ts';
import { decodeMessage, encodeInRoom, encodeMessage, HEAD_BYTES_MAX } from './messages.ts';
import type { Bus } from './nats.ts';
import {
	expectWire,
	fromWire,
	outgoingBytes,
	toWire,
	wireLayout,
	type Converter,
	type OutgoingPicture,
} from './pictures.ts';
import { areOfModel, decodePrompts, encodePrompts } from './prompts.ts';
import { RateMeter } from './rate-meter.ts';
import { lineSubjects, type LineSubjects } from './subjects.ts';

/** A sidecar that is not heard for this long is gone, or cut off. */
const LOST_AFTER_US = 3_000_000;
const LOOK_MS = 500;
/** A look that comes this much later than it should was held up together with everything else here: it proves nothing. */
const HELD_UP_US = 1_000_000;
/** A sidecar that calls the engine stuck is believed from here on: the process has other sidecars' streams, too. */
const STUCK_AFTER_US = 2_000_000;
const LOG_LEVEL = 'warn';
/** As many as parameters may name. */
const REFERENCES_MAX = 32;

export interface ServedLineSettings {
	bus: Bus;
	leases: LeaseStore;
	engines: Engines;
	native: Converter;
	nowUs: () => number;
	worker: string;
	provider: Provider | 'auto';
	/** Lines of this size share their engine's process. */
	paintedBeside: Size;
	/** A frame or its end. */
	count: (what: 'painted' | 'dropped' | 'leaseLost') => void;
	/** Once; nothing of the line is left. */
	onOver: () => void;
}

/** A line at the worker: what a sidecar sends is painted, for as long as the line has the lease of its stream. */
export class ServedLine {
	readonly request: FleetOpen;
	/** Frames painted. */
	readonly rate: RateMeter;
	readonly #settings: ServedLineSettings;
	readonly #subjects: LineSubjects;
	readonly #engine: EngineHandle;
	readonly #promptShapes: ReturnType<typeof promptShapesOf>;
	/** What came is dealt with in its order, and so is what goes. */
	#inbound: Promise<void> = Promise.resolve();
	#outbound: Promise<void> = Promise.resolve();
	#lease: Lease | undefined;
	/** Frames that the engine has asked for and not got. */
	#wanted = 0;
	/** Those that the engine has, by their sequence number: when they came, and how their paintings are to be sent. */
	readonly #frames = new Map<number, { heardUs: number; encoding: WireEncoding }>();
	/** Of paintings that are sent. */
	readonly #outgoing = new BufferPool();
	/** Of the answers that the sidecar has not taken yet, in their order, where they have any: an engine gives only a few. */
	readonly #untaken: (Uint8Array | undefined)[] = [];
	/** Frames that it has got and not answered, and since when it owes the next of them. */
	#owed = 0;
	#owingSinceUs = 0;
	#parameters: Parameters;
	/** Those that the parameters name, and those that the next ones may. */
	#references = new Map<string, ReferencePicture>();
	/** Where another engine was, until the first frame. */
	#before: { epoch: number; source?: Picture; painting?: Picture; prompts: readonly EncodedPrompt[] } | undefined;
	#heardUs: number;
	#lookedUs: number;
	#looking: NodeJS.Timeout | undefined;
	#unsubscribe = () => {};
	#isLeaving = false;
	#isOver = false;

	/** Errors: ERR_RING, ERR_FLEET. */
	static async open(request: FleetOpen, folder: ModelFolder, settings: ServedLineSettings): Promise<ServedLine> {
		const line = new ServedLine(request, folder, settings);
		try {
			const unfollow = settings.bus.onLost(() => line.#sidecarGone());
			line.#unsubscribe = unfollow;
			const unsubscribe = await settings.bus.subscribe(line.#subjects.in, (message) => {
				if (message.isNobody) line.#sidecarGone();
				else line.#read(message.data);
			});
			line.#unsubscribe = () => (unfollow(), unsubscribe());
			if (line.#isOver) line.#unsubscribe();
		} catch (error) {
			await line.close();
			throw error;
		}
		return line;
	}

	private constructor(request: FleetOpen, folder: ModelFolder, settings: ServedLineSettings) {
		const { engines, nowUs, provider, paintedBeside } = settings;
		this.request = request;
		this.#settings = settings;
		this.#subjects = lineSubjects(request.line);
		this.#parameters = this.#withReferences(request.parameters);
		this.#promptShapes = promptShapesOf(folder.manifest);
		this.#heardUs = this.#lookedUs = nowUs();
		this.rate = new RateMeter(nowUs);
		this.#engine = engines.start(
			{
				folder,
				provider,
				precision: request.parameters.tuning.precision,
				painted: request.painted,
				paintedBeside,
				fit: 'stretch',
				batchDeadlineMs: request.batchDeadlineMs ?? Infinity,
				parameters: this.#parameters,
				logLevel: LOG_LEVEL,
				frameBytes: pictureByteLength(rgbLayout(request.painted)),
				inFlightMax: request.inFlightMax,
				tellsPrompts: true,
			},
			this.#listener(),
		);
		this.#looking = setInterval(() => this.#look(), LOOK_MS);
	}

	/** Of the process that paints it. */
	get pid(): number | undefined {
		return this.#engine.pid;
	}

	get isOver(): boolean {
		return this.#isOver;
	}

	get isLeased(): boolean {
		return this.#lease?.holds === true;
	}

	/** Asks the sidecar to take its stream elsewhere; until then it is painted here. */
	leave(): void {
		this.#isLeaving = true; // and said again, for it may not be the moment there
		this.#tell({ type: 'leaving' });
	}

	async close(): Promise<void> {
		if (!this.#isOver) await this.#end(() => this.#engine.stop());
	}

	async #end(stop: () => Promise<void>): Promise<void> {
		this.#isOver = true;
		clearInterval(this.#looking);
		this.#unsubscribe();
		// The table may be slow to answer, or not there: the place of the line is free all the same.
		const released = this.#lease?.release();
		await stop();
		this.#settings.onOver();
		await released;
	}

	#endStuck(): void {
		const isStuck = this.#owed > 0 && this.#settings.nowUs() - this.#owingSinceUs > STUCK_AFTER_US;
		log.warn({ owed: this.#owed, isStuck, line: this.request.line }, 'engine called stuck');
		void this.#end(() => (isStuck ? this.#engine.kill() : this.#engine.stop()));
	}

	#listener(): EngineListener {
		return {
			ready: ({ provider, int8Graphs }: EngineFacts) => this.#tell({ type: 'ready', provider, int8Graphs }),
			pull: () => {
				this.#wanted++;
				this.#tell({ type: 'pull' });
			},
			answer: (answer, pictures, timings) => {
				this.#owed--;
				this.#owingSinceUs = this.#settings.nowUs();
				this.#outbound = this.#outbound
					.then(() => this.#answer(answer, pictures?.picture, timings))
					.catch((error: unknown) => this.#fail(error));
			},
			prompts: (prompts) => {
				const { payload, ...words } = encodePrompts(prompts);
				// The next engine, which has seen one frame, encodes those of several anew.
				if (!areOfModel(words.prompts, this.#promptShapes)) return;
				// And where they are too much for a message.
				if (payload.length + HEAD_BYTES_MAX > this.#settings.bus.payloadMax) return;
				this.#tell({ type: 'prompts', ...words }, { data: payload });
			},
			gone: (error) => this.#fail(error),
		};
	}

	async #answer(answer: Answer, painting: Picture | undefined, timings: Timings): Promise<void> {
		const { native, nowUs } = this.#settings;
		const { sequence, capturedUs, timestampUs, durationUs, epoch, kind, isReused = false } = answer;
		const { heardUs, encoding: wanted } = this.#frames.get(sequence) ?? { heardUs: nowUs(), encoding: 'nv12' };
		for (const earlier of this.#frames.keys()) if (earlier <= sequence) this.#frames.delete(earlier);
		const memory =
			painting && !isReused && wanted === 'nv12' ? this.#outgoing.take(outgoingBytes(painting)) : undefined;
		const wire = painting && !isReused ? await toWire(painting, wanted, native, memory) : undefined;
		if (this.#isOver) return;
		if (kind === 'painting') {
			this.#settings.count('painted');
			this.rate.add(1);
		}
		// Painted for nobody: whoever has the lease now has the frame, too.
		if (!this.isLeased || kind === 'unpainted') return this.#engine.taken();
		this.#tell(
			{
				type: 'answer',
				lease: this.#lease!.number,
				sequence,
				capturedUs,
				timestampUs,
				durationUs,
				epoch,
				kind,
				isReused,
				encoding: wire?.encoding ?? wanted,
				heardUs,
				sentUs: nowUs(),
				...timings,
			},
			wire,
		);
		this.#untaken.push(memory);
	}

	#read(data: Uint8Array): void {
		if (this.#isOver) return;
		const heardUs = (this.#heardUs = this.#settings.nowUs());
		try {
			const { head, payload } = decodeMessage(ToWorker, data, 'A message of the sidecar');
			// At once, or it would say how long the others take, too.
			if (head.type === 'beat') this.#tell({ type: 'beat', atUs: head.atUs, workerUs: heardUs });
			else if (head.type === 'close') void this.close();
			else if (head.type === 'stuck') this.#endStuck();
			else
				this.#inbound = this.#inbound
					.then(() => (this.#isOver ? undefined : this.#hear(head, payload, heardUs)))
					.catch((error: unknown) => this.#fail(error));
		} catch (error) {
			this.#fail(error);
		}
	}

	async #hear(
		said: Exclude<ToWorker, { type: 'beat' | 'close' | 'stuck' }>,
		payload: Uint8Array,
		heardUs: number,
	): Promise<void> {
		switch (said.type) {
			case 'lease':
				return await this.#claim();
			case 'frame':
				return await this.#paint(said, payload, heardUs);
			case 'last': {
				const picture = await fromWire(
					{ encoding: said.encoding, data: payload },
					this.request.painted,
					this.#settings.native,
				);
				this.#before = { ...(this.#before ?? { prompts: [] }), epoch: said.epoch, [said.of]: picture };
				return;
			}
			case 'prompts': {
				const prompts = decodePrompts(said.prompts, payload, this.#promptShapes);
				if (!prompts) throw new SidecarError('ERR_FLEET', 'The embeddings of a prompt are none of this model.');
				this.#before = { ...(this.#before ?? { epoch: 0 }), prompts };
				return;
			}
			case 'reference':
				return this.#keepReference(said.id, payload);
			case 'taken': {
				const memory = this.#untaken.shift();
				if (memory) this.#outgoing.give(memory);
				return this.#engine.taken();
			}
			case 'end':
				return this.#engine.end();
		}
	}

	async #claim(): Promise<void> {
		const { leases, worker, nowUs } = this.#settings;
		const { stream, line } = this.request;
		this.#lease ??= await Lease.claim(
			leases,
			stream,
			{ worker, line },
			{
				nowMs: () => nowUs() / 1000,
				onLost: () => {
					this.#settings.count('leaseLost');
					this.#fail(new SidecarError('ERR_ENGINE', 'It has lost the lease of the stream.'));
				},
			},
		);
		if (this.#isOver) return await this.#lease?.release();
		this.#tell(this.#lease ? { type: 'leased', lease: this.#lease.number } : { type: 'leaseRefused' });
	}

	async #paint(said: Extract<ToWorker, { type: 'frame' }>, payload: Uint8Array, heardUs: number): Promise<void> {
		const { nowUs, native } = this.#settings;
		const { painted } = this.request;
		const { lease, sequence, capturedUs, timestampUs, durationUs, encoding, untilUs = Infinity, parameters } = said;
		expectWire({ encoding, data: payload }, painted);
		if (parameters) this.#parameters = this.#withReferences(parameters);
		if (!this.isLeased || lease !== this.#lease!.number) return; // nobody waits for it any more
		if (this.#wanted === 0 || nowUs() > untilUs) {
			this.#settings.count('dropped');
			this.#tell({ type: 'dropped', sequence, heardUs });
			if (this.#wanted > 0) this.#tell({ type: 'pull' }); // in its place
			return;
		}
		// The engine takes NV12 as it is.
		const picture =
			encoding === 'nv12'
				? { ...wireLayout(painted), data: payload }
				: await fromWire({ encoding, data: payload }, painted, native);
		if (this.#isOver) return;
		if (this.#before?.source && this.#before.painting) {
			const { epoch, source, painting, prompts } = this.#before;
			this.#engine.resume?.({ epoch, source, painting, prompts });
		}
		this.#before = undefined;
		this.#wanted--;
		if (this.#owed++ === 0) this.#owingSinceUs = nowUs();
		this.#frames.set(sequence, { heardUs, encoding });
		const { data, ...layout } = picture;
		this.#engine.send({ sequence, slot: 0, capturedUs, timestampUs, durationUs, layout }, data, this.#parameters);
	}

	#keepReference(id: string, data: Uint8Array): void {
		const layout = rgbLayout(this.request.painted);
		const wanted = pictureByteLength(layout);
		if (data.length !== wanted)
			throw new SidecarError('ERR_FLEET', `A reference has ${data.length} bytes, expected ${wanted}.`);
		if (this.#references.size === REFERENCES_MAX && !this.#references.has(id))
			throw new SidecarError(
				'ERR_FLEET',
				`More than ${REFERENCES_MAX} references came before a frame that names them.`,
			);
		this.#references.set(id, { id, picture: { ...layout, data: data.slice() } });
	}

	/** What they do not name is forgotten. Errors: ERR_FLEET. */
	#withReferences({ conditioning, ...rest }: FleetOpen['parameters']): Parameters {
		const known = this.#references;
		this.#references = new Map();
		const named = conditioning.map(({ reference: id, ...condition }): Condition => {
			if (id === undefined) return condition;
			const reference = known.get(id);
			if (!reference) throw new SidecarError('ERR_FLEET', 'A reference is named that did not come.');
			this.#references.set(id, reference);
			return { ...condition, reference };
		});
		return { ...rest, conditioning: named };
	}

	#look(): void {
		const nowUs = this.#settings.nowUs();
		const lateUs = nowUs - this.#lookedUs - LOOK_MS * 1000;
		if (lateUs > HELD_UP_US) this.#heardUs += lateUs;
		this.#lookedUs = nowUs;
		if (nowUs - this.#heardUs > LOST_AFTER_US) this.#sidecarGone();
		else if (this.#isLeaving) this.leave();
	}

	#sidecarGone(): void {
		if (this.#isOver) return;
		log.info({ stream: this.request.stream, line: this.request.line }, 'sidecar gone');
		void this.close();
	}

	#fail(error: unknown): void {
		if (this.#isOver) return;
		const { code, message } =
			error instanceof SidecarError ? error : { code: 'ERR_ENGINE', message: (error as Error).message };
		log.warn({ code, reason: message, stream: this.request.stream, line: this.request.line }, 'line lost');
		this.#tell({ type: 'failed', code, message: message.slice(0, 2000) });
		void this.close();
	}

	#tell(head: object, { data, memory }: Partial<OutgoingPicture> = {}): void {
		if (this.#isOver) return;
		const message = memory ? encodeInRoom(head, memory) : encodeMessage(head, data);
		this.#settings.bus.publish(this.#subjects.out, message, this.#subjects.in);
	}
}
