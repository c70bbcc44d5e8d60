import {
	FLEET_PROTOCOL,
	FleetOffer,
	FleetOpen,
	type FleetBid,
	type FleetOpened,
	type FleetStatus,
} from '../config/schema/fleet.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import { log, repeated } from '../telemetry/logger.ts';
import { decodeMessage, encodeMessage, HEAD_BYTES_MAX } from './messages.ts';
import type { Received } from './nats.ts';
import { wireBytes } from './pictures.ts';
import { EXPECTED_FPS } from './placement.ts';
import { ServedLine, type ServedLineSettings } from './served-line.ts';
import { drainSubject, OFFER, openSubject, STATUS } from './subjects.ts';
import { RecentTimes, timedEngines } from './timed-engines.ts';

export interface FleetWorkerSettings extends Omit<ServedLineSettings, 'worker' | 'count' | 'onOver'> {
	/** By which it is known on the NATS server; no two have the same. */
	name: string;
	host: string;
	version: string;
	/** Painted pixels a second that its engine can do, all lines together. */
	capacity: number;
	linesMax: number;
	/** Undefined where it is not here, or is another version. */
	findModel: (model: FleetOffer['model']) => Promise<ModelFolder | undefined>;
	/** The lines have changed. */
	onChange?: () => void;
}

/** Offers an engine to the sidecars of a NATS server, until it is disposed of. */
export class FleetWorker implements AsyncDisposable {
	readonly #settings: FleetWorkerSettings;
	readonly #lines = new Map<string, ServedLine>();
	readonly #counts = { painted: 0, dropped: 0, leaseLost: 0 };
	readonly #saysRefused: (facts: object) => void;
	readonly #frameMs = new RecentTimes();
	readonly #queueMs = new RecentTimes();
	#opening = 0;
	#isDraining = false;
	#unsubscribes: (() => void)[] = [];
	#wakes: (() => void)[] = [];

	/** Errors: ERR_FLEET. */
	static async open(settings: FleetWorkerSettings): Promise<FleetWorker> {
		const worker = new FleetWorker(settings);
		const { bus, name } = settings;
		const subscribe = async (subject: string, answer: (message: Received) => Promise<object | undefined>) =>
			worker.#unsubscribes.push(
				await bus.subscribe(subject, (message) => {
					answer(message).then(
						(head) => head && message.respond(encodeMessage(head)),
						(error: unknown) => worker.#saysRefused({ subject, reason: (error as Error).message }),
					);
				}),
			);
		await subscribe(openSubject(name), ({ data }) => worker.#open(data));
		await subscribe(drainSubject(name), async () => (worker.drain(), worker.status));
		await subscribe(STATUS, async () => worker.status);
		await subscribe(OFFER, ({ data }) => worker.#bid(data));
		return worker;
	}

	private constructor(settings: FleetWorkerSettings) {
		const engines = timedEngines(settings.engines, settings.nowUs, ({ frameMs, queueMs }) => {
			this.#frameMs.add(frameMs);
			this.#queueMs.add(queueMs);
		});
		this.#settings = { ...settings, engines };
		this.#saysRefused = repeated((facts, message) => log.warn(facts, message), 'request refused', settings);
	}

	/** The processes that paint now. */
	get pids(): number[] {
		return [...this.#lines.values()].flatMap(({ pid }) => pid ?? []);
	}

	get status(): FleetStatus {
		const { name, host, version, capacity, linesMax } = this.#settings;
		const [frameMs, queueMs] = [this.#frameMs.percentiles, this.#queueMs.percentiles];
		return {
			protocol: FLEET_PROTOCOL,
			version,
			worker: name,
			host,
			isDraining: this.#isDraining,
			capacity,
			load: this.#load,
			linesMax,
			lines: [...this.#lines.values()].map(({ request: { stream, line, painted }, isLeased, rate }) => ({
				stream,
				line,
				painted,
				isLeased,
				fps: rate.perSecond,
			})),
			framesPainted: this.#counts.painted,
			framesDropped: this.#counts.dropped,
			leasesLost: this.#counts.leaseLost,
			...(frameMs && queueMs && { frameMs, queueMs }),
		};
	}

	/** Takes no new lines, and asks for those that it has to be taken elsewhere. */
	drain(): void {
		if (!this.#isDraining) log.info({ lines: this.#lines.size }, 'draining');
		this.#isDraining = true;
		for (const line of this.#lines.values()) line.leave();
		this.#changed();
	}

	/** Resolves when it was drained and nothing is left, or the signal aborts. */
	async drained(signal: AbortSignal): Promise<void> {
		const wake = () => this.#wake();
		signal.addEventListener('abort', wake);
		while (!signal.aborted && !(this.#isDraining && this.#lineCount === 0))
			await new Promise<void>((resolve) => this.#wakes.push(resolve));
		signal.removeEventListener('abort', wake);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const unsubscribe of this.#unsubscribes.splice(0)) unsubscribe();
		await Promise.all([...this.#lines.values()].map((line) => line.close()));
	}

	get #load(): number {
		return [...this.#lines.values()].reduce((sum, { request: { painted }, rate }) => {
			const fps = rate.isSettled ? rate.perSecond : Math.max(EXPECTED_FPS, rate.perSecond);
			return sum + fps * painted.width * painted.height;
		}, 0);
	}

	async #bid(data: Uint8Array): Promise<FleetBid> {
		const { name, host, capacity, linesMax } = this.#settings;
		const { head: offer } = decodeMessage(FleetOffer, data, 'An offer');
		const refuses = this.#refusal(offer) ?? ((await this.#settings.findModel(offer.model)) ? undefined : 'model');
		return {
			protocol: FLEET_PROTOCOL,
			worker: name,
			host,
			...(refuses && { refuses }),
			capacity,
			load: this.#load,
			lines: this.#lineCount,
			linesMax,
		};
	}

	get #lineCount(): number {
		return this.#lines.size + this.#opening;
	}

	#refusal({ protocol, painted }: Pick<FleetOffer, 'protocol' | 'painted'>): FleetBid['refuses'] {
		const { linesMax, bus } = this.#settings;
		if (protocol !== FLEET_PROTOCOL) return 'protocol';
		if (this.#isDraining) return 'draining';
		if (wireBytes(painted) + HEAD_BYTES_MAX > bus.payloadMax) return 'request';
		return this.#lineCount >= linesMax ? 'full' : undefined;
	}

	async #open(data: Uint8Array): Promise<FleetOpened> {
		const { name, findModel } = this.#settings;
		const no = (refuses: NonNullable<FleetBid['refuses']>, message: string): FleetOpened => {
			log.warn({ refuses, reason: message }, 'line not opened');
			return { isOpen: false, refuses, message: message.slice(0, 2000) };
		};
		let request: FleetOpen;
		try {
			({ head: request } = decodeMessage(FleetOpen, data, 'A request for a line'));
		} catch (error) {
			return no('protocol', (error as Error).message);
		}
		const refuses = this.#refusal(request);
		if (refuses) return no(refuses, `refused (${refuses})`);
		this.#opening++;
		try {
			const folder = await findModel(request.model);
			if (!folder) return no('model', 'The model is not here.');
			if (this.#lines.has(request.line)) return no('request', 'There is such a line already.');
			const served = await ServedLine.open(request, folder, {
				...this.#settings,
				worker: name,
				count: (what) => void this.#counts[what]++,
				onOver: () => {
					this.#lines.delete(request.line);
					this.#changed();
				},
			});
			// Its engine may have been gone before it was open.
			if (!served.isOver) this.#lines.set(request.line, served);
			log.info({ stream: request.stream, line: request.line, painted: request.painted }, 'line opened');
			return { isOpen: true, worker: name };
		} catch (error) {
			return no('full', (error as Error).message);
		} finally {
			this.#opening--;
			this.#changed();
		}
	}

	#changed(): void {
		this.#wake();
		this.#settings.onChange?.();
	}

	#wake(): void {
		const wakes = this.#wakes;
		this.#wakes = [];
		for (const wake of wakes) wake();
	}
}
