import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isPaired } from '../config/pairs.ts';
import { FLEET_PROTOCOL, FleetBid, FleetOpened, FleetStatus, type FleetOpen } from '../config/schema/fleet.ts';
import type { EngineHandle, EngineListener, Engines, EngineSettings, RemoteNumbers } from '../engine/engine-process.ts';
import { SidecarError } from '../errors.ts';
import type { Size } from '../frame/frame.ts';
import { log, repeated } from '../telemetry/logger.ts';
import { FleetLine } from './fleet-line.ts';
import type { LeaseStore } from './leases.ts';
import { decodeMessage, encodeMessage } from './messages.ts';
import type { Bus } from './nats.ts';
import { LinkMeter } from './link-meter.ts';
import type { Converter, WirePicture } from './pictures.ts';
import { place, type TimedBid } from './placement.ts';
import type { EmbeddedPrompt } from './prompts.ts';
import { OFFER, openSubject, STATUS } from './subjects.ts';

/** Bids are collected for so long; a worker that is slower to answer than others is far away. */
const FIRST_BID_MS = 500;
const MORE_BIDS_MS = 30;
/** For so long the workers are taken to be as many as they were. */
const KNOWN_US = 1_000_000;
const OPEN_MS = 2000;
const STATUS_WAIT = { firstMs: 500, moreMs: 100 };
const RETRY_MS = 250;

/** A worker as it said of itself. */
export interface FleetWorkerAnswer extends FleetStatus {
	answerMs: number;
}

/** What one stream's engines leave to each other. */
export interface FleetStream {
	readonly name: string;
	readonly numbers: RemoteNumbers;
	/** Of the way to whichever worker paints it. */
	readonly link: LinkMeter;
	/** As they crossed the network. */
	last?: { size: Size; epoch: number; source: WirePicture; painting: WirePicture };
	prompts?: { prompts: EmbeddedPrompt[]; payload: Uint8Array };
}

/** A line that has no name yet. */
export type LineWish = Omit<FleetOpen, 'line'>;

/** What lines need of their fleet. */
export interface FleetContext {
	bus: Bus;
	leases: LeaseStore;
	native: Converter;
	url: string;
	deadlineMs: number;
	nowUs: () => number;
	newName: () => string;
	/**
	 * The worker that opened the line, whose name `listen` gives anew for each one that is asked. Errors: ERR_FLEET, ERR_MODEL,
	 * where nobody ever did; else one is looked for until it is not wanted.
	 */
	place: (request: LineWish, listen: () => Promise<string>, isWanted: () => boolean) => Promise<string | undefined>;
}

export interface FleetEnginesSettings extends Pick<
	FleetContext,
	'bus' | 'leases' | 'native' | 'url' | 'deadlineMs' | 'nowUs'
> {
	/** 0 to 1. */
	random: () => number;
}

/** The engines of the workers at a NATS server. */
export class FleetEngines implements Engines {
	readonly #settings: FleetEnginesSettings;
	readonly #context: FleetContext;
	readonly #streams = new WeakMap<object, FleetStream>();
	readonly #saysNobody: (facts: object) => void;
	/** One after the other: each is to see what the one before took. */
	#placing: Promise<unknown> = Promise.resolve();
	#hasPlaced = false;
	#asking: Promise<FleetWorkerAnswer[]> | undefined;
	/** How many bid, and when all had the time to. */
	#bidders = { count: 0, atUs: -Infinity };

	constructor(settings: FleetEnginesSettings) {
		this.#settings = settings;
		this.#saysNobody = repeated((facts, message) => log.warn(facts, message), 'no worker', {
			nowUs: settings.nowUs,
			everyUs: 5_000_000,
		});
		const { random: _, ...shared } = settings;
		this.#context = {
			...shared,
			newName: () => randomBytes(9).toString('base64url'),
			place: (...wanted) => this.#place(...wanted),
		};
	}

	start(settings: EngineSettings, listener: EngineListener): EngineHandle {
		return new FleetLine(this.#context, this.#streamOf(settings.stream ?? {}), settings, listener);
	}

	/** Before anything else is opened that would have to be closed again. Errors: ERR_FLEET, where no worker is there. */
	async expectWorker(): Promise<void> {
		const { bus, url } = this.#settings;
		const wait = { firstMs: FIRST_BID_MS, moreMs: 0, enough: 1 };
		if ((await bus.requestAll(STATUS, new Uint8Array(), wait)).length === 0) throw noWorker(url);
	}

	/** What the workers there say of themselves, and how long that took; once for all who ask at the same time. */
	statuses(): Promise<FleetWorkerAnswer[]> {
		this.#asking ??= this.#askWorkers().finally(() => (this.#asking = undefined));
		return this.#asking;
	}

	async #askWorkers(): Promise<FleetWorkerAnswer[]> {
		const answers = await this.#settings.bus.requestAll(STATUS, new Uint8Array(), STATUS_WAIT);
		return answers.flatMap(({ data, afterMs }) => {
			const status = understood(() => decodeMessage(FleetStatus, data, 'What a worker said').head);
			return status ? [{ ...status, answerMs: afterMs }] : [];
		});
	}

	remote(stream: object): RemoteNumbers | undefined {
		return this.#streams.get(stream)?.numbers;
	}

	#streamOf(key: object): FleetStream {
		const known = this.#streams.get(key) ?? {
			name: this.#context.newName(),
			link: new LinkMeter(),
			numbers: {
				worker: undefined,
				roundTripMs: undefined,
				framesLate: 0,
				placements: 0,
				encoding: 'nv12',
				linkBitsPerSecond: undefined,
			},
		};
		this.#streams.set(key, known);
		return known;
	}

	async #place(request: LineWish, listen: () => Promise<string>, isWanted: () => boolean): Promise<string | undefined> {
		while (isWanted()) {
			const placing = this.#placing.then(() => this.#tryToPlace(request, listen, isWanted));
			this.#placing = placing.catch(() => {});
			const { worker, error } = await placing;
			if (worker !== undefined) {
				this.#hasPlaced = true;
				return worker;
			}
			if (error && !this.#hasPlaced) throw error;
			if (error) this.#saysNobody({ reason: error.message });
			await sleep(RETRY_MS);
		}
		return undefined;
	}

	async #tryToPlace(
		request: LineWish,
		listen: () => Promise<string>,
		isWanted: () => boolean,
	): Promise<{ worker?: string; error?: SidecarError }> {
		if (!isWanted()) return {};
		const { bus, random, url } = this.#settings;
		const bids = await this.#bids(request);
		const refusals: string[] = [];
		const { width, height } = request.painted;
		for (const { worker } of place(bids, width * height, random)) {
			const open = encodeMessage({ ...request, line: await listen() });
			const answer = await bus.request(openSubject(worker), open, OPEN_MS);
			const opened = answer && understood(() => decodeMessage(FleetOpened, answer, 'An answer').head);
			if (opened?.isOpen) return { worker };
			refusals.push(`${worker}: ${opened ? opened.message : 'no answer'}`);
		}
		return { error: whyNobody(url, request, bids, refusals) };
	}

	async #bids({ model, painted }: LineWish): Promise<TimedBid[]> {
		const offer = encodeMessage({ protocol: FLEET_PROTOCOL, model, painted });
		const { bus, nowUs } = this.#settings;
		const isKnown = nowUs() - this.#bidders.atUs < KNOWN_US && this.#bidders.count > 0;
		const answers = await bus.requestAll(OFFER, offer, {
			firstMs: FIRST_BID_MS,
			moreMs: MORE_BIDS_MS,
			...(isKnown && { enough: this.#bidders.count }),
		});
		if (!isKnown || answers.length < this.#bidders.count) this.#bidders = { count: answers.length, atUs: nowUs() };
		return answers.flatMap(({ data, afterMs }) => {
			const bid = understood(() => decodeMessage(FleetBid, data, 'A bid').head);
			return bid ? [{ ...bid, answerMs: afterMs }] : [];
		});
	}
}

/** One worker that talks nonsense is no reason not to ask the others. */
export const understood = <Head>(decode: () => Head): Head | undefined => {
	try {
		return decode();
	} catch (error) {
		log.warn({ error }, 'worker not understood');
		return undefined;
	}
};

const noWorker = (url: string): SidecarError =>
	new SidecarError(
		'ERR_FLEET',
		`No worker answers at ${url}. Start one on the machine that is to paint: allaprima worker${isPaired(url) ? '' : ` --nats ${url}`}`,
	);

const whyNobody = (
	url: string,
	{ model }: LineWish,
	bids: readonly TimedBid[],
	refusals: readonly string[],
): SidecarError => {
	if (bids.length === 0) return noWorker(url);
	const said = {
		model: `has no model ${model.name}, or another version of it`,
		protocol: 'is of another version of Alla Prima',
		draining: 'is being emptied',
		full: 'has no room',
		request: 'does not take this',
	};
	const reasons = [
		...bids.flatMap(({ worker, refuses }) => (refuses ? [`${worker} ${said[refuses]}`] : [])),
		...bids.flatMap(({ worker, refuses, lines, linesMax }) =>
			refuses === undefined && lines >= linesMax ? [`${worker} ${said.full}`] : [],
		),
		...refusals,
	];
	return new SidecarError(
		bids.every(({ refuses }) => refuses === 'model') ? 'ERR_MODEL' : 'ERR_FLEET',
		`No worker at ${url} can paint this: ${reasons.join('; ')}.`,
	);
};
