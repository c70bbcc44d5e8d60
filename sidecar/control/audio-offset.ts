/**
 * By how much audio has to wait for the painted picture. The measured delay wanders by a frame or two, and each change
 * of an offset can be heard, so it is only followed when it is off by more than an ear forgives, and only once it stands
 * still: a delay that is on its way would be followed in steps, each late by what was left of the way. Pure: the clock is
 * an argument.
 */
export interface AudioOffset {
	/** What the audio was told to wait, in milliseconds. */
	readonly appliedMs: number;
	/** The last measurements, newest last. */
	readonly recentMs: readonly number[];
	/** Since when what is applied is off; undefined while it is not. */
	readonly offSinceUs: number | undefined;
}

export const AUDIO_OFFSET_START: AudioOffset = { appliedMs: 0, recentMs: [], offSinceUs: undefined };

/** Broadcasters allow sound to be 40 ms early (EBU R37). */
const TOLERANCE_MS = 40;
/** Measurements whose middle is taken for the delay. */
const WINDOW = 4;
/** A delay that stands still wanders by less than a frame of 30/s. */
const STEADY_MS = 30;
/** On a machine whose delay never stands still, sound that is off for so long is the worse evil. */
const PATIENCE_US = 10_000_000;
/** What obs-websocket takes for an offset, in milliseconds. */
const OFFSET_MAX_MS = 20_000;

/** The delay from render to program was measured again. */
export const measured = (state: AudioOffset, delayMs: number, nowUs: number): AudioOffset => {
	const recentMs = [...state.recentMs, Math.min(Math.max(delayMs, 0), OFFSET_MAX_MS)].slice(-WINDOW);
	const sorted = recentMs.toSorted((a, b) => a - b);
	const middleMs = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
	if (Math.abs(middleMs - state.appliedMs) <= TOLERANCE_MS) return { ...state, recentMs, offSinceUs: undefined };
	const offSinceUs = state.offSinceUs ?? nowUs;
	const isSteady = recentMs.length === WINDOW && sorted.at(-1)! - sorted[0]! <= STEADY_MS;
	if (!isSteady && nowUs - offSinceUs < PATIENCE_US) return { ...state, recentMs, offSinceUs };
	return { appliedMs: Math.round(middleMs), recentMs, offSinceUs: undefined };
};
