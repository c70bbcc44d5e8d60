/**
 * By how much audio has to wait for the painted picture. The measured delay wanders by a frame or two, and each change
 * of an offset can be heard, so it is smoothed and only followed when it is off by more than an ear forgives. Pure: the
 * clock is an argument.
 */
export interface AudioOffset {
	/** What the audio was told to wait, in milliseconds. */
	readonly appliedMs: number;
	/** The delay, smoothed; undefined before the first measurement. */
	readonly smoothMs: number | undefined;
	readonly measuredUs: number;
}

export const AUDIO_OFFSET_START: AudioOffset = { appliedMs: 0, smoothMs: undefined, measuredUs: 0 };

/** Broadcasters allow sound to be 40 ms early (EBU R37). */
const TOLERANCE_MS = 40;
/** Two thirds of a step are followed in this time. */
const SMOOTH_US = 3_000_000;
/** What obs-websocket takes for an offset, in milliseconds. */
const OFFSET_MAX_MS = 20_000;

/** The delay from render to program was measured again. */
export const measured = (state: AudioOffset, delayMs: number, nowUs: number): AudioOffset => {
	const share = state.smoothMs === undefined ? 1 : 1 - Math.exp(-(nowUs - state.measuredUs) / SMOOTH_US);
	const beforeMs = state.smoothMs ?? delayMs;
	const smoothMs = beforeMs + share * (delayMs - beforeMs);
	const isOff = Math.abs(smoothMs - state.appliedMs) > TOLERANCE_MS;
	const appliedMs = isOff ? Math.round(Math.min(Math.max(smoothMs, 0), OFFSET_MAX_MS)) : state.appliedMs;
	return { appliedMs, smoothMs, measuredUs: nowUs };
};
