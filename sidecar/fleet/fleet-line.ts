import { setTimeout as sleep } from 'node:timers/promises';
import { modelHashOf } from '../config/model-hash.ts';
import { FLEET_PROTOCOL, FromWorker, type FleetOpen } from '../config/schema/fleet.ts';
import { takesReferences } from '../config/schema/manifest.ts';
import type { EngineHandle, EngineListener, EngineSettings } from '../engine/engine-process.ts';
import { isSidecarError, SidecarError, type ErrorCode } from '../errors.ts';
import { pictureByteLength, rgbLayout, type Frame, type Picture } from '../frame/frame.ts';
import { PASSTHROUGH, type Parameters } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import { BufferPool } from './buffer-pool.ts';
import { ClockOffset } from './clock-offset.ts';
import type { FleetContext, FleetStream, LineWish } from './fleet-engines.ts';
import { revoke } from './leases.ts';
import type { Direction } from './link-meter.ts';
import { decodeMessage, encodeInRoom, encodeMessage, HEAD_BYTES_MAX } from './messages.ts';
import {
	expectWire,
	fromWire,
	outgoingBytes,
	toNv12,
	toRgb,
	toWire,
	wireBytes,
	type OutgoingPicture,
	type WirePicture,
} from './pictures.ts';
import { EXPECTED_FPS } from './placement.ts';
import { RateMeter } from './rate-meter.ts';
import { lineSubjects, type LineSubjects } from './subjects.ts';

const BEAT_MS = 200;
/** A worker that is not heard for this long has hung, or was cut off. */
const LOST_AFTER_US = 1_500_000;
/** A look that comes this much later than it should was held up together with everything else here: it proves nothing. */
const HELD_UP_US = 400_000;
/** How often it is looked whether the server is there again. */
const RECONNECTED_MS = 50;
const LEASE_MS = 1500;
const LEASE_TRIES = 3;
/** A link on which nothing comes in time for so long is no link to paint over. */
const TOO_LATE_US = 2_000_000;

type Answer = Extract<FromWorker, { type: 'answer' }>;

/** A frame at the worker. */
interface Sent {
	/** RGB at the painted size, for whoever shows the painting. */
	source: Promise<Picture>;
	/** The same as it was sent. */
	wire: OutgoingPicture;
	/** The style paints nothing. */
	isPassed: boolean;
	sentUs: number;
}

/** One stream at one worker, as an engine like any other. */
export class FleetLine implements EngineHandle {
	/** There is a process, but not here. */
	readonly pid = undefined;
	readonly #fleet: FleetContext;
	readonly #stream: FleetStream;
	readonly #settings: EngineSettings;
	readonly #listener: EngineListener;
	#name = '';
	#subjects: LineSubjects | undefined;
	/** Every frame is painted, however long it is on its way. */
	readonly #keepsAll: boolean;
	readonly #ahead = new ClockOffset();
	/** Frames sent. */
	readonly #rate: RateMeter;
	/** Frames are converted, and then sent in the order in which they came; answers likewise. */
	#outbound: Promise<void> = Promise.resolve();
	#inbound: Promise<void> = Promise.resolve();
	#worker: string | undefined;
	#lease: number | undefined;
	#hearLease: ((lease: number | undefined) => void) | undefined;
	/** Those that the worker has; of those that it was opened with, it has no references. */
	#parameters: Parameters | undefined;
	/** The ids of its references. */
	#references: ReadonlySet<string> = new Set();
	readonly #takesReferences: boolean;
	readonly #sent = new Map<number, Sent>();
	/** Of frames as they came, until they are converted. */
	readonly #copies = new BufferPool();
	/** Of those that were sent: one that was answered is on its way no more. */
	readonly #outgoing = new BufferPool();
	/** Of the last one that was painted. */
	#lastMemory: Uint8Array | undefined;
	#heardUs = 0;
	#lookedUs = 0;
	#lateSinceUs: number | undefined;
	/** What the worker painted last did not come, or too late: what it gives again is not what was shown last. */
	#isLastMissing = false;
	/** Embeddings were handed on, and nothing was painted since. */
	#hasUntriedPrompts = false;
	#beating: NodeJS.Timeout | undefined;
	#unsubscribe = () => {};
	#isOver = false;

	constructor(fleet: FleetContext, stream: FleetStream, settings: EngineSettings, listener: EngineListener) {
		this.#fleet = fleet;
		this.#stream = stream;
		this.#settings = settings;
		this.#listener = listener;
		this.#takesReferences = takesReferences(settings.folder.manifest);
		if (!this.#takesReferences) this.#parameters = settings.parameters;
		this.#keepsAll = settings.batchDeadlineMs === Infinity;
		this.#rate = new RateMeter(fleet.nowUs);
		void this.#open().catch((error: unknown) => this.#fail(error));
	}

	send(frame: Frame, data: Uint8Array, parameters: Parameters): void {
		const copy = this.#copies.take(data.length);
		copy.set(data);
		const picture = { ...frame.layout, data: copy };
		const sentUs = this.#fleet.nowUs();
		this.#inOrder(() => this.#sendFrame(frame, picture, parameters, sentUs));
	}

	end(): void {
		this.#inOrder(async () => this.#tell({ type: 'end' }));
	}

	taken(): void {
		this.#tell({ type: 'taken' });
	}

	async stop(): Promise<void> {
		this.#close();
	}

	async kill(): Promise<void> {
		this.#tell({ type: 'stuck' });
		this.#close();
	}

	async #open(): Promise<void> {
		const { bus, url, nowUs } = this.#fleet;
		const { painted, folder, batchDeadlineMs, inFlightMax, parameters } = this.#settings;
		// A server that is not there says nothing of how much it passes on.
		while (!bus.isConnected && !this.#isOver) await sleep(RECONNECTED_MS);
		if (this.#isOver) return;
		const referenceBytes = this.#takesReferences ? pictureByteLength(rgbLayout(painted)) : 0;
		const needed = Math.max(wireBytes(painted), referenceBytes) + HEAD_BYTES_MAX;
		if (needed > bus.payloadMax)
			throw new SidecarError(
				'ERR_FLEET',
				`A frame of ${painted.width}x${painted.height} takes a message of up to ${needed} bytes, and the NATS server ${url} passes on ${bus.payloadMax}. Set max_payload: 8MB in its configuration, or paint smaller (--size).`,
			);
		const request: LineWish = {
			protocol: FLEET_PROTOCOL,
			stream: this.#stream.name,
			model: { name: folder.manifest.name, sha256: modelHashOf(folder.manifest) },
			painted,
			batchDeadlineMs: Number.isFinite(batchDeadlineMs) ? batchDeadlineMs : null,
			inFlightMax,
			parameters: plain(parameters, false),
		};
		this.#worker = await this.#fleet.place(
			request,
			() => this.#listen(),
			() => !this.#isOver,
		);
		if (this.#isOver) {
			// It was opened for somebody who has gone meanwhile.
			if (this.#subjects) bus.publish(this.#subjects.in, encodeMessage({ type: 'close' }));
			return this.#unsubscribe();
		}
		log.debug({ worker: this.#worker, stream: this.#stream.name, line: this.#name }, 'line opened');
		this.#heardUs = this.#lookedUs = nowUs();
		this.#beating = setInterval(() => this.#beat(), BEAT_MS);
		this.#beat();
	}

	/** Under a new name for each worker that is asked: one that takes too long to answer may open its line all the same. */
	async #listen(): Promise<string> {
		const { bus, newName } = this.#fleet;
		this.#unsubscribe();
		this.#name = newName();
		this.#subjects = lineSubjects(this.#name);
		const unsubscribe = await bus.subscribe(this.#subjects.out, (message) => {
			if (message.isNobody) this.#fail(new SidecarError('ERR_ENGINE', `The worker ${this.#worker} is gone.`));
			else this.#read(message.data);
		});
		// What was on its way is lost with the connection, and nobody says what that was.
		const unfollow = bus.onLost(() =>
			this.#fail(new SidecarError('ERR_ENGINE', 'The connection to the NATS server was lost.')),
		);
		this.#unsubscribe = () => (unsubscribe(), unfollow());
		return this.#name;
	}

	#beat(): void {
		const nowUs = this.#fleet.nowUs();
		const lateUs = nowUs - this.#lookedUs - BEAT_MS * 1000;
		if (lateUs > HELD_UP_US) this.#heardUs += lateUs;
		this.#lookedUs = nowUs;
		if (nowUs - this.#heardUs > LOST_AFTER_US)
			return this.#fail(new SidecarError('ERR_ENGINE', `The worker ${this.#worker} is not heard any more.`));
		this.#tell({ type: 'beat', atUs: nowUs });
	}

	async #sendFrame(frame: Frame, picture: Picture, parameters: Parameters, sentUs: number): Promise<void> {
		const { native, bus, deadlineMs } = this.#fleet;
		const { painted, fit } = this.#settings;
		// Where every frame is painted, however long it takes, it is painted as well as it can be.
		const isJpeg = !this.#keepsAll && this.#stream.link.encoding === 'jpeg';
		let source = isJpeg ? toRgb(picture, painted, fit, native) : undefined;
		const wire = source
			? await toWire(await source, 'jpeg', native)
			: await toNv12(picture, painted, fit, native, this.#outgoing.take(outgoingBytes(painted)));
		if (this.#isOver) return;
		if (this.#lease === undefined) {
			await this.#takeLease();
			if (this.#isOver) return;
			this.#handOn();
		}
		const { sequence, capturedUs, timestampUs, durationUs } = frame;
		if (!bus.isConnected && !this.#keepsAll) return this.#drop(sequence, 'asked again');
		const isNew = parameters !== this.#parameters;
		if (isNew && this.#takesReferences) await this.#sendReferences(parameters);
		if (this.#isOver) return;
		const aheadUs = this.#ahead.aheadUs;
		this.#parameters = parameters;
		// Nobody waits for it before the painting is there.
		source ??= toRgb(picture, painted, fit, native);
		this.#sent.set(sequence, { source, wire, isPassed: parameters.style === PASSTHROUGH, sentUs: this.#fleet.nowUs() });
		this.#rate.add(1);
		this.#tell(
			{
				type: 'frame',
				lease: this.#lease,
				sequence,
				capturedUs,
				timestampUs,
				durationUs,
				encoding: wire.encoding,
				...(!this.#keepsAll && aheadUs !== undefined && { untilUs: sentUs + 1000 * deadlineMs + aheadUs }),
				...(isNew && { parameters: plain(parameters, this.#takesReferences) }),
			},
			wire,
		);
		await source;
		this.#copies.give(picture.data);
	}

	/** Those that the worker lacks: it keeps what its last parameters name. */
	async #sendReferences({ conditioning }: Parameters): Promise<void> {
		const references = new Set<string>();
		for (const { reference } of conditioning) {
			if (!reference || references.has(reference.id)) continue;
			references.add(reference.id);
			if (this.#references.has(reference.id)) continue;
			const { data } = await toRgb(reference.picture, this.#settings.painted, 'cover', this.#fleet.native);
			this.#tell({ type: 'reference', id: reference.id }, { data });
		}
		this.#references = references;
	}

	/** Errors: ERR_ENGINE. */
	async #takeLease(): Promise<void> {
		const { leases } = this.#fleet;
		for (let tries = 0; tries < LEASE_TRIES && !this.#isOver; tries++) {
			const lease = await this.#askForLease();
			if (lease !== undefined) {
				this.#lease = lease;
				this.#stream.numbers.worker = this.#worker;
				this.#stream.numbers.placements++;
				return;
			}
			// Whoever has it had it from us, and is sent nothing any more.
			const before = await revoke(leases, this.#stream.name);
			if (before) log.info({ from: before.worker, to: this.#worker, stream: this.#stream.name }, 'lease taken away');
		}
		if (!this.#isOver)
			throw new SidecarError('ERR_ENGINE', `The worker ${this.#worker} did not get the lease of the stream.`);
	}

	/** Undefined where another has it. Errors: ERR_ENGINE. */
	#askForLease(): Promise<number | undefined> {
		return new Promise((resolve, reject) => {
			const timer = setTimeout(
				() =>
					reject(new SidecarError('ERR_ENGINE', `The worker ${this.#worker} did not say whether it has the lease.`)),
				LEASE_MS,
			);
			this.#hearLease = (lease) => {
				clearTimeout(timer);
				this.#hearLease = undefined;
				resolve(lease);
			};
			this.#tell({ type: 'lease' });
		});
	}

	/** What the engine before left, for the new one to go on from. */
	#handOn(): void {
		const { last, prompts } = this.#stream;
		const { width, height } = this.#settings.painted;
		if (!last || last.size.width !== width || last.size.height !== height) return;
		const { epoch } = last;
		if (prompts) {
			this.#hasUntriedPrompts = true;
			this.#tell({ type: 'prompts', prompts: prompts.prompts }, { data: prompts.payload });
		}
		for (const of of ['source', 'painting'] as const) {
			const { encoding, data } = last[of];
			this.#tell({ type: 'last', of, epoch, encoding }, { data });
		}
	}

	#read(data: Uint8Array): void {
		if (this.#isOver) return;
		try {
			const { head, payload } = decodeMessage(FromWorker, data, `A message of the worker ${this.#worker}`);
			this.#heardUs = this.#fleet.nowUs();
			this.#hear(head, payload);
		} catch (error) {
			this.#fail(new SidecarError('ERR_ENGINE', (error as Error).message, { cause: error }));
		}
	}

	#hear(said: FromWorker, payload: Uint8Array): void {
		const { nowUs } = this.#fleet;
		switch (said.type) {
			case 'ready':
				return this.#listener.ready({ provider: said.provider, refused: [], int8Graphs: said.int8Graphs });
			case 'pull':
				return this.#listener.pull();
			case 'leased':
				return this.#hearLease?.(said.lease);
			case 'leaseRefused':
				return this.#hearLease?.(undefined);
			case 'answer':
				return this.#answered(said, payload);
			case 'dropped':
				this.#passedToWorker(said);
				this.#inbound = this.#inbound.then(() => {
					if (this.#sent.has(said.sequence)) this.#drop(said.sequence);
				});
				return;
			case 'prompts':
				this.#stream.prompts = { prompts: said.prompts, payload: payload.slice() };
				return;
			case 'beat': {
				this.#ahead.add({ sentUs: said.atUs, thereUs: said.workerUs, heardUs: nowUs() });
				const { roundTripUs } = this.#ahead;
				if (roundTripUs !== undefined) this.#stream.numbers.roundTripMs = roundTripUs / 1000;
				return;
			}
			case 'leaving':
				return this.#listener.leaving?.();
			case 'failed': {
				const remote = Object.assign(new Error(said.message), { code: said.code });
				const code = isSidecarError(remote) ? (said.code as ErrorCode) : 'ERR_ENGINE';
				return this.#fail(new SidecarError(code, `Worker ${this.#worker}: ${said.message}`));
			}
		}
	}

	#answered(answer: Answer, payload: Uint8Array): void {
		const { nowUs, deadlineMs } = this.#fleet;
		const { sequence, kind, isReused, lease } = answer;
		// Of an older lease, or of nothing that was sent: nothing is owed for it.
		if (lease !== this.#lease || !this.#sent.has(sequence)) return;
		const isNew = kind === 'painting' && !isReused;
		// A batch has the parameters that were there when it was full: its own, or those of a later frame.
		if (kind === 'source' && ![...this.#sent].some(([later, { isPassed }]) => later >= sequence && isPassed))
			throw new Error(`The worker ${this.#worker} gave a frame back that it was to paint.`);
		const painting = { encoding: answer.encoding, data: payload };
		if (isNew) expectWire(painting, this.#settings.painted);
		else if (payload.length > 0)
			throw new Error(`The worker ${this.#worker} gave ${payload.length} bytes where none are to be.`);
		const aheadUs = this.#ahead.aheadUs;
		const underWayUs = aheadUs === undefined ? 0 : nowUs() - (answer.sentUs - aheadUs);
		this.#passedToWorker(answer);
		if (payload.length > 0) this.#passed('toSidecar', payload.length, underWayUs);
		this.#chooseEncoding();
		const isLate = !this.#keepsAll && underWayUs > 1000 * deadlineMs;
		this.#inbound = this.#inbound
			.then(async () => {
				if (this.#isOver) return;
				// Answers keep the order of the frames: whatever is older is lost.
				for (const earlier of this.#sent.keys()) {
					if (earlier >= sequence) continue;
					this.#isLastMissing = true;
					this.#drop(earlier, 'asked again');
				}
				if (isNew) this.#isLastMissing = isLate;
				if (!isLate && !(isReused && this.#isLastMissing)) return await this.#deliver(answer, painting);
				this.#drop(sequence);
				this.taken();
			})
			.catch((error: unknown) => this.#fail(error));
	}

	async #deliver(
		{ sequence, capturedUs, timestampUs, durationUs, epoch, kind, isReused, stages, batches }: Answer,
		came: WirePicture,
	): Promise<void> {
		const { native } = this.#fleet;
		const { painted } = this.#settings;
		const frame = this.#sent.get(sequence);
		if (!frame) return; // a worker that says everything twice
		const { encoding, data, memory } = frame.wire;
		const { last } = this.#stream;
		const isSameSize = last?.size.width === painted.width && last.size.height === painted.height;
		const painting = isReused ? isSameSize && last.painting : came;
		const answer = { sequence, capturedUs, timestampUs, durationUs, epoch, kind, isReused };
		let pictures: { source: Picture; picture: Picture } | undefined;
		if (kind === 'painting') {
			if (!painting) {
				// The one before never came here.
				this.taken();
				return this.#drop(sequence);
			}
			const [source, picture] = await Promise.all([frame.source, fromWire(painting, painted, native)]);
			if (this.#isOver) return;
			pictures = { source, picture };
			this.#stream.last = { size: painted, epoch, source: { encoding, data }, painting };
			this.#hasUntriedPrompts = false;
			if (this.#lastMemory) this.#outgoing.give(this.#lastMemory);
			this.#lastMemory = memory;
		} else if (memory) {
			this.#outgoing.give(memory);
		}
		this.#sent.delete(sequence);
		this.#lateSinceUs = undefined;
		this.#listener.answer(answer, pictures, { stages, batches });
	}

	/** A frame that came to the worker, whatever became of it there. */
	#passedToWorker({ sequence, heardUs }: { sequence: number; heardUs: number }): void {
		const sent = this.#sent.get(sequence);
		const { aheadUs } = this.#ahead;
		if (sent && aheadUs !== undefined) this.#passed('toWorker', sent.wire.data.length, heardUs - aheadUs - sent.sentUs);
	}

	#passed(direction: Direction, bytes: number, wayUs: number): void {
		const { roundTripUs } = this.#ahead;
		if (roundTripUs !== undefined) this.#stream.link.add({ direction, bytes, wayUs, emptyWayUs: roundTripUs / 2 });
	}

	#chooseEncoding(): void {
		const { link, numbers, name } = this.#stream;
		if (this.#keepsAll) return;
		const fps = this.#rate.isSettled ? this.#rate.perSecond : Math.max(EXPECTED_FPS, this.#rate.perSecond);
		const before = link.encoding;
		numbers.linkBitsPerSecond = link.bitsPerSecond;
		numbers.encoding = link.decide(8 * wireBytes(this.#settings.painted) * fps, this.#fleet.nowUs());
		if (numbers.encoding !== before)
			log.info(
				{ encoding: numbers.encoding, carries: numbers.linkBitsPerSecond, stream: name },
				'frames sent otherwise',
			);
	}

	/** Nothing comes of a frame. */
	#drop(sequence: number, pulls?: 'asked again'): void {
		if (this.#isOver) return;
		const nowUs = this.#fleet.nowUs();
		this.#sent.delete(sequence);
		this.#stream.numbers.framesLate++;
		this.#lateSinceUs ??= nowUs;
		if (nowUs - this.#lateSinceUs > TOO_LATE_US)
			return this.#fail(new SidecarError('ERR_ENGINE', `Nothing of the worker ${this.#worker} comes in time.`));
		this.#listener.dropped?.(sequence);
		if (pulls) this.#listener.pull();
	}

	#inOrder(work: () => Promise<void>): void {
		this.#outbound = this.#outbound
			.then(() => (this.#isOver ? undefined : work()))
			.catch((error: unknown) => this.#fail(error));
	}

	#tell(head: object, { data, memory }: Partial<OutgoingPicture> = {}): void {
		if (this.#isOver || !this.#subjects) return;
		const message = memory ? encodeInRoom(head, memory) : encodeMessage(head, data);
		this.#fleet.bus.publish(this.#subjects.in, message, this.#subjects.out);
	}

	#fail(error: unknown): void {
		if (this.#isOver) return;
		if (this.#lease !== undefined) this.#stream.numbers.worker = undefined;
		if (this.#hasUntriedPrompts) delete this.#stream.prompts; // they may be why
		this.#close();
		this.#listener.gone(
			error instanceof SidecarError
				? error
				: new SidecarError(
						'ERR_ENGINE',
						`The line to the worker ${this.#worker} broke (${(error as Error).message}).`,
						{
							cause: error,
						},
					),
		);
	}

	#close(): void {
		if (this.#isOver) return;
		this.#tell({ type: 'close' });
		this.#isOver = true;
		clearInterval(this.#beating);
		this.#hearLease?.(undefined);
		this.#unsubscribe();
		this.#sent.clear();
	}
}

/** Without what is read-only about them, and with no more of a reference than its name. */
const plain = (
	{ epoch, style, conditioning, seed, tuning }: Parameters,
	namesReferences: boolean,
): FleetOpen['parameters'] => ({
	epoch,
	style,
	conditioning: conditioning.map(({ prompt, weight, reference }) => ({
		prompt,
		weight,
		...(namesReferences && reference && { reference: reference.id }),
	})),
	seed,
	tuning,
});
