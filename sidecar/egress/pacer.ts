/**
 * When a painted frame is shown. A frame is due at its own time plus one offset, so that the picture moves as
 * evenly as the source did, however unevenly frames are painted. The offset is what the slowest of the last
 * frames needed: it grows at once when a frame comes late, and shrinks by 2 % of the time that passes, and faster while
 * it is more than any frame of the last seconds needed. Where the source begins, jumps or stood still, what the first frames
 * needed is forgotten within a second.
 * Pure: the clock is an argument.
 */
export interface PacerState {
	/** Presentation time minus source time, in microseconds; undefined before the first frame. */
	readonly offsetUs: number | undefined;
	/** Source time of the newest frame that came. */
	readonly newestUs: number;
	/** The largest offset that a frame needed in the while that began at `whileUs` of the source's time, and in the one before. */
	readonly needsUs: readonly [now: number, before: number];
	readonly whileUs: number;
	/** Source time at which it last began anew. */
	readonly begunUs: number;
	/** When a frame was last shown, new or again. */
	readonly shownUs: number | undefined;
}

export type PacerDecision =
	| { action: 'present' | 'drop' | 'repeat' }
	/** Nothing to do before `dueUs`; Infinity: until a frame comes. */
	| { action: 'wait'; dueUs: number };

export const PACER_START: PacerState = {
	offsetUs: undefined,
	newestUs: 0,
	needsUs: [-Infinity, -Infinity],
	whileUs: -Infinity,
	begunUs: -Infinity,
	shownUs: undefined,
};

const SHRINK_SHARE = 0.02;
/** What was needed by nobody for such a while is given back by a time constant as long: a picture that is 100 ms late goes 10 % faster. */
const WHILE_US = 1_000_000;
/** For so long after a beginning a while is shorter: what goes on from nowhere need not be even yet. */
const BEGINNING_US = 1_000_000;
const SHORT_WHILE_US = 150_000;

/** A frame that would wait longer than this comes from another clock: the source jumped. */
const HOLD_MAX_US = 250_000;
/** A source that gave nothing for longer stood still, or all of us did. */
const PAUSE_US = 1_000_000;

/** A painted frame came. */
export const arrive = (state: PacerState, timestampUs: number, nowUs: number): PacerState => {
	const earliestUs = nowUs - timestampUs;
	const passedUs = Math.max(timestampUs - state.newestUs, 0);
	const isBeginning = Math.abs(timestampUs - state.begunUs) < BEGINNING_US;
	const whileUs = isBeginning ? SHORT_WHILE_US : WHILE_US;
	const isNextWhile = Math.abs(timestampUs - state.whileUs) >= whileUs;
	const [now, before] = isNextWhile ? [-Infinity, state.needsUs[0]] : state.needsUs;
	const needsUs = [Math.max(now, earliestUs), before] as const;
	const offsetUs = state.offsetUs ?? earliestUs;
	const unneededUs = Math.max(offsetUs - Math.max(...needsUs), 0);
	const shrunkUs = offsetUs - SHRINK_SHARE * passedUs - unneededUs * (1 - Math.exp(-passedUs / whileUs));
	const isJump = shrunkUs - earliestUs > HOLD_MAX_US;
	const isNew = state.offsetUs === undefined || isJump || passedUs > PAUSE_US;
	return {
		...state,
		newestUs: timestampUs,
		needsUs: isNew ? [earliestUs, -Infinity] : needsUs,
		whileUs: isNew || isNextWhile ? timestampUs : state.whileUs,
		begunUs: isNew ? timestampUs : state.begunUs,
		offsetUs: isJump ? earliestUs : Math.max(shrunkUs, earliestUs),
	};
};

/**
 * What to do now with the frames that wait, oldest first. Where nothing new is due, the last frame is shown
 * again every `repeatEveryUs`, so that a sink of constant rate gets its frames from a painter that is slower.
 */
export const decide = (
	state: PacerState,
	waitingUs: readonly number[],
	nowUs: number,
	repeatEveryUs: number,
): PacerDecision => {
	const offsetUs = state.offsetUs ?? 0;
	const [first = Infinity, second = Infinity] = waitingUs;
	if (second + offsetUs <= nowUs) return { action: 'drop' };
	if (first + offsetUs <= nowUs) return { action: 'present' };
	// Half a frame of grace: a frame that is about to come beats showing the old one again.
	const repeatUs = state.shownUs === undefined ? Infinity : state.shownUs + 1.5 * repeatEveryUs;
	const dueUs = first + offsetUs;
	if (repeatUs <= nowUs && dueUs - nowUs > 0.5 * repeatEveryUs) return { action: 'repeat' };
	return { action: 'wait', dueUs: Math.min(dueUs, Math.max(repeatUs, nowUs + 1)) };
};

/** What a process that stood still for longer has missed is not shown in one go. */
const MISSED_MAX_US = 250_000;

/** A frame was shown. A repeated one counts as shown when it should have been, so that repeats keep the rate. */
export const shown = (state: PacerState, how: 'new' | 'again', nowUs: number, repeatEveryUs: number): PacerState => ({
	...state,
	shownUs:
		how === 'new' || state.shownUs === undefined
			? nowUs
			: Math.max(state.shownUs + repeatEveryUs, nowUs - MISSED_MAX_US),
});
