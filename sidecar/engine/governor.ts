import type { Tuning } from '../config/schema/tuning.ts';

/**
 * What a live picture gives up, step by step, where the machine does not paint it in time, and gets back when there is room.
 * Pure: the clock is an argument.
 */
export interface Relief {
	/** For people. */
	readonly name: string;
	/** What the tuning is instead. */
	readonly tuning: Partial<Pick<Tuning, 'teRefreshEvery' | 'teBatchOne'>>;
	/** Share of the pixels that are painted. */
	readonly pixels: number;
	/** One frame of so many is painted. */
	readonly oneIn: number;
}

/** How far above its own the encoder's interval may go. */
const TE_REFRESH_TIMES = 4;
const TE_REFRESH_MAX = 64;
/** Sides of 4/5, and of 4/5 of that: what is painted at less is not worth watching. */
const PIXELS = [0.64, 0.41];

/** In the order in which they are given up: what is seen least goes first. */
export const reliefsOf = (tuning: Tuning, { canResize }: { canResize: boolean }): readonly Relief[] => {
	const reliefs: Relief[] = [{ name: 'as asked', tuning: {}, pixels: 1, oneIn: 1 }];
	const add = (relief: Partial<Relief> & { name: string }) => {
		const before = reliefs.at(-1)!;
		reliefs.push({ ...before, ...relief, tuning: { ...before.tuning, ...relief.tuning } });
	};
	const teRefreshEvery = Math.min(TE_REFRESH_TIMES * tuning.teRefreshEvery, TE_REFRESH_MAX);
	if (teRefreshEvery > tuning.teRefreshEvery) add({ name: 'encoder more seldom', tuning: { teRefreshEvery } });
	if (tuning.batchSize > 1 && !tuning.teBatchOne)
		add({ name: 'encoder for one frame of a batch', tuning: { teBatchOne: true } });
	if (canResize) for (const pixels of PIXELS) add({ name: `${Math.round(100 * pixels)} % of the pixels`, pixels });
	add({ name: 'every second frame', oneIn: 2 });
	return Object.freeze(reliefs);
};

/** How it went since the look before. */
export interface Look {
	nowUs: number;
	/** Frames a second that came, and that were painted. */
	arriving: number;
	painted: number;
	/** Share of the time in which the busier stream was busy. */
	load: number;
}

export interface GovernorState {
	/** Index of the relief in force. */
	readonly level: number;
	readonly changedUs: number;
	/** Since when too little was painted, or less than could be. */
	readonly missingSinceUs: number | undefined;
	readonly roomSinceUs: number | undefined;
	/** When something was last given back. */
	readonly gaveBackUs: number;
	/** How long there has to be room. Longer each time that it was not enough after all. */
	readonly patienceUs: number;
}

/** Nobody needs more paintings than this in a second to see motion, so nothing is given up for them. */
const RATE_ENOUGH = 30;
/** Less than this share of them is too little. */
const MISSED = 0.9;
/** Half the frames is worth it only where not many more would be painted anyway. */
const MISSED_BADLY = 0.6;
const MISSED_FOR_US = 3_000_000;
/** What was measured before a step says nothing of it. */
const SETTLING_US = 3_000_000;
/** The load that the step back may come to. */
const LOAD_MAX = 0.8;
const PATIENCE_US = { first: 10_000_000, most: 160_000_000 };
/** A step back that has to be taken again within this time was too soon. */
const TOO_SOON_US = 30_000_000;
/** A machine on which nothing was tried for so long may be another one by now. */
const FORGIVEN_US = 600_000_000;

export const governorAt = (nowUs: number): GovernorState => ({
	level: 0,
	changedUs: nowUs,
	missingSinceUs: undefined,
	roomSinceUs: undefined,
	gaveBackUs: -Infinity,
	patienceUs: PATIENCE_US.first,
});

export const govern = (state: GovernorState, look: Look, reliefs: readonly Relief[]): GovernorState => {
	const { level, changedUs, gaveBackUs, patienceUs } = state;
	const { nowUs } = look;
	const { isMissing, hasRoom } = judged(look, level, reliefs);
	const still = { ...state, missingSinceUs: undefined, roomSinceUs: undefined };
	if (nowUs - changedUs < SETTLING_US) return still;
	const missingSinceUs = isMissing ? (state.missingSinceUs ?? nowUs) : undefined;
	const roomSinceUs = hasRoom ? (state.roomSinceUs ?? nowUs) : undefined;
	if (missingSinceUs !== undefined && nowUs - missingSinceUs >= MISSED_FOR_US && level + 1 < reliefs.length) {
		const wasTooSoon = nowUs - gaveBackUs < TOO_SOON_US;
		const patience = wasTooSoon ? Math.min(2 * patienceUs, PATIENCE_US.most) : patienceUs;
		return { ...still, level: level + 1, changedUs: nowUs, patienceUs: patience };
	}
	if (roomSinceUs !== undefined && nowUs - roomSinceUs >= patienceUs && level > 0) {
		const patience = nowUs - gaveBackUs > FORGIVEN_US ? PATIENCE_US.first : patienceUs;
		return { ...still, level: level - 1, changedUs: nowUs, gaveBackUs: nowUs, patienceUs: patience };
	}
	return { ...state, missingSinceUs, roomSinceUs };
};

/** A source that stands still misses nothing, and shows no room either. */
const judged = (
	{ arriving, painted, load }: Look,
	level: number,
	reliefs: readonly Relief[],
): { isMissing: boolean; hasRoom: boolean } => {
	const relief = reliefs[level]!;
	const wanted = Math.min(arriving, RATE_ENOUGH) / relief.oneIn;
	if (wanted < 1) return { isMissing: false, hasRoom: false };
	const next = reliefs[level + 1];
	const least = next && next.oneIn > relief.oneIn ? MISSED_BADLY : MISSED;
	const back = reliefs[level - 1];
	return {
		isMissing: painted < least * wanted,
		hasRoom: back !== undefined && painted >= MISSED * wanted && (load * costOf(back)) / costOf(relief) < LOAD_MAX,
	};
};

/** Of a second of painting, in any unit. The encoder's share is small wherever it is refreshed seldom. */
const costOf = ({ pixels, oneIn }: Relief): number => pixels / oneIn;
