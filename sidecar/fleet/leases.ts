import { FleetLease } from '../config/schema/fleet.ts';
import { parse } from '../config/schema/parse.ts';
import { SidecarError } from '../errors.ts';

/** A table of entries that vanish by themselves unless they are written again. Revisions only grow, over all keys. */
export interface LeaseStore {
	readonly ttlMs: number;
	/** Its revision; undefined where there is one already. Errors: ERR_FLEET. */
	create(key: string, value: string): Promise<number | undefined>;
	/** The new revision; undefined where it is not of this revision any more. Errors: ERR_FLEET. */
	update(key: string, value: string, revision: number): Promise<number | undefined>;
	/** Does nothing where it is not of this revision. Errors: ERR_FLEET. */
	delete(key: string, revision: number): Promise<void>;
	get(key: string): Promise<{ value: string; revision: number } | undefined>;
}

/** A holder believes in its lease for a shorter time than the table does, so that two never believe in one. */
const BELIEVED_SHARE = 0.8;
const RENEWALS_PER_TTL = 5;

/** Pure: whether a lease that was written last at `writtenMs` (when that was asked for, not when it was answered) holds. */
export const leaseHolds = (writtenMs: number, nowMs: number, ttlMs: number): boolean =>
	nowMs - writtenMs < BELIEVED_SHARE * ttlMs;

/**
 * The right to paint a stream, held by one line of one worker until it is given back, taken away or not renewed. No clock but the
 * holder's own monotonic one has a say: the table counts by itself.
 */
export class Lease {
	/** Of the entry when it was made; every frame and painting carries it. No later lease has a smaller one. */
	readonly number: number;
	readonly #store: LeaseStore;
	readonly #stream: string;
	readonly #value: string;
	readonly #nowMs: () => number;
	readonly #onLost: () => void;
	readonly #timer: NodeJS.Timeout;
	#revision: number;
	#writtenMs: number;
	#isOver = false;

	/** Undefined where another has it. Errors: ERR_FLEET. */
	static async claim(
		store: LeaseStore,
		stream: string,
		holder: FleetLease,
		{ nowMs, onLost }: { nowMs: () => number; onLost: () => void },
	): Promise<Lease | undefined> {
		const value = JSON.stringify(holder);
		const writtenMs = nowMs();
		const revision = await store.create(stream, value);
		if (revision === undefined) return undefined;
		return new Lease(store, { stream, value, revision, writtenMs, nowMs, onLost });
	}

	private constructor(
		store: LeaseStore,
		of: {
			stream: string;
			value: string;
			revision: number;
			writtenMs: number;
			nowMs: () => number;
			onLost: () => void;
		},
	) {
		this.#store = store;
		this.#stream = of.stream;
		this.#value = of.value;
		this.number = this.#revision = of.revision;
		this.#writtenMs = of.writtenMs;
		this.#nowMs = of.nowMs;
		this.#onLost = of.onLost;
		this.#timer = setInterval(() => this.#tick(), store.ttlMs / RENEWALS_PER_TTL);
	}

	/** To be asked before each frame: a process that was stopped for a while has not heard that it lost it. */
	get holds(): boolean {
		return !this.#isOver && leaseHolds(this.#writtenMs, this.#nowMs(), this.#store.ttlMs);
	}

	/** Another may have it at once. Where the table cannot be reached it vanishes by itself. */
	async release(): Promise<void> {
		if (this.#isOver) return;
		this.#end();
		await this.#store.delete(this.#stream, this.#revision).catch(() => {});
	}

	#tick(): void {
		if (!this.holds) return this.#lose();
		this.#renew().catch(() => {}); // there is time for another try
	}

	/** Waits for no renewal before it: one slow or lost answer is not to cost the lease. */
	async #renew(): Promise<void> {
		const writtenMs = this.#nowMs();
		const before = this.#revision;
		const revision = await this.#store.update(this.#stream, this.#value, before);
		if (revision !== undefined) return this.#wrote(revision, writtenMs);
		if (this.#isOver || this.#revision !== before) return;
		// A renewal whose answer has not come may have been written: since when, nobody knows.
		const entry = await this.#store.get(this.#stream);
		if (entry?.value === this.#value) this.#wrote(entry.revision, this.#writtenMs);
		else this.#lose();
	}

	#wrote(revision: number, writtenMs: number): void {
		// It was given back meanwhile, under a revision before.
		if (this.#isOver) return void this.#store.delete(this.#stream, revision).catch(() => {});
		this.#revision = Math.max(this.#revision, revision);
		this.#writtenMs = Math.max(this.#writtenMs, writtenMs);
	}

	#lose(): void {
		if (this.#isOver) return;
		this.#end();
		this.#onLost();
	}

	#end(): void {
		this.#isOver = true;
		clearInterval(this.#timer);
	}
}

/** Takes a stream from whoever holds it, which hears of it at its next renewal. Errors: ERR_FLEET. */
export const revoke = async (store: LeaseStore, stream: string): Promise<FleetLease | undefined> => {
	const entry = await store.get(stream);
	if (!entry) return undefined;
	await store.delete(stream, entry.revision);
	return holderOf(entry.value);
};

const holderOf = (value: string): FleetLease => {
	let json: unknown;
	try {
		json = JSON.parse(value);
	} catch {
		throw new SidecarError('ERR_FLEET', 'An entry of the table of leases is not JSON.');
	}
	return parse(FleetLease, json, 'an entry of the table of leases', 'ERR_FLEET');
};
