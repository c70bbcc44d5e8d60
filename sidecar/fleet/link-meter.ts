import type { WireEncoding } from '../config/schema/fleet.ts';

/** Samples kept of each direction. */
const KEPT = 15;
/** So many say something: the first are late because everything is new. */
const ENOUGH = 4;
/** What the link carries over what NV12 needs: with less it is too narrow, with as much for a while wide enough. */
const NARROW = 1.5;
const WIDE = 3;
const WIDE_FOR_US = 3_000_000;
/** What is smaller goes through at once, however narrow the link is. */
const TELLING_BYTES = 8192;
/** A link that was not wide enough after all is believed in less and less often. */
const WIDE_FOR_MAX_US = 60_000_000;

export type Direction = 'toWorker' | 'toSidecar';

/** A picture that arrived. */
export interface Passage {
	direction: Direction;
	bytes: number;
	/** From one end to the other. */
	wayUs: number;
	/** As long as a message of a few bytes takes. */
	emptyWayUs: number;
}

/**
 * How pictures of one stream cross the network: NV12 where the link carries it, else JPEG. Pure: what it knows is how long
 * pictures were on their way. A machine that is busy makes that longer and never shorter, and a link that is full makes all of
 * them long, so that most have to be slow for JPEG, and a single one may be quick for NV12.
 */
export class LinkMeter {
	#encoding: WireEncoding = 'nv12';
	readonly #passages: Record<Direction, Passage[]> = { toWorker: [], toSidecar: [] };
	#wideSinceUs: number | undefined;
	#wideForUs = WIDE_FOR_US;

	get encoding(): WireEncoding {
		return this.#encoding;
	}

	/** What the narrower direction carried of the last pictures, by the median; undefined before there were any. */
	get bitsPerSecond(): number | undefined {
		const carried = Object.values(this.#passages).flatMap((passages) => median(passages.map(rateOf)) ?? []);
		return carried.length > 0 ? Math.min(...carried) : undefined;
	}

	add(passage: Passage): void {
		const passages = this.#passages[passage.direction];
		passages.push(passage);
		if (passages.length > KEPT) passages.shift();
	}

	/** To be asked now and then; `needed` is what NV12 takes each way, in bits a second. */
	decide(needed: number, nowUs: number): WireEncoding {
		const known = Object.values(this.#passages).filter(({ length }) => length >= ENOUGH);
		if (this.#encoding === 'nv12') {
			if (known.some((passages) => median(passages.map(rateOf))! < NARROW * needed)) this.#change('jpeg');
			return this.#encoding;
		}
		const isWide =
			known.length === 2 && known.every((passages) => Math.max(...passages.map(leastRateOf)) > WIDE * needed);
		this.#wideSinceUs = isWide ? (this.#wideSinceUs ?? nowUs) : undefined;
		if (this.#wideSinceUs !== undefined && nowUs - this.#wideSinceUs > this.#wideForUs) {
			this.#wideForUs = Math.min(2 * this.#wideForUs, WIDE_FOR_MAX_US);
			this.#change('nv12');
		}
		return this.#encoding;
	}

	#change(to: WireEncoding): void {
		this.#encoding = to;
		this.#wideSinceUs = undefined;
		for (const passages of Object.values(this.#passages)) passages.length = 0;
	}
}

/** In bits a second. */
const rateOf = ({ bytes, wayUs, emptyWayUs }: Passage): number => (8e6 * bytes) / Math.max(wayUs - emptyWayUs, 1);
/** As if the way itself took no time: where clocks are not known well, it is longer than that. */
const leastRateOf = ({ bytes, wayUs }: Passage): number =>
	bytes < TELLING_BYTES ? 0 : (8e6 * bytes) / Math.max(wayUs, 1);

const median = (values: readonly number[]): number | undefined =>
	[...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
