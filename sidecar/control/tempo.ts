/** The beat that switches may wait for. Times on the monotonic clock of frame/clock.ts, in microseconds. */
export interface Tempo {
	readonly bpm: number;
	readonly beatsPerBar: number;
	/** The first beat of some bar. */
	readonly downbeatUs: number;
}

export const BPM_LEAST = 30;
export const BPM_MOST = 300;
export const BEATS_PER_BAR = 4;

/** Of this many taps the tempo is told, so that one that is off does not throw it. */
const TAPS_KEPT = 8;
/** After so long without one, a tap is the first of others. */
const PAUSE_US = 60e6 / BPM_LEAST;

const beatUs = ({ bpm }: Pick<Tempo, 'bpm'>): number => 60e6 / bpm;

/** The first beat or bar at `us` or after it. */
export const nextBoundary = (tempo: Tempo, us: number, unit: 'beat' | 'bar'): number => {
	const stepUs = beatUs(tempo) * (unit === 'bar' ? tempo.beatsPerBar : 1);
	return tempo.downbeatUs + Math.ceil((us - tempo.downbeatUs) / stepUs - 1e-9) * stepUs;
};

/** Another tempo from now on; the beat that was goes on where there was one, unless a bar begins now. */
export const tempoOf = (
	{ bpm, beatsPerBar, downbeat }: { bpm: number; beatsPerBar?: number | undefined; downbeat?: boolean | undefined },
	before: Tempo | undefined,
	nowUs: number,
): Tempo =>
	Object.freeze({
		bpm,
		beatsPerBar: beatsPerBar ?? before?.beatsPerBar ?? BEATS_PER_BAR,
		downbeatUs: before && !downbeat ? lastBar(before, nowUs) : nowUs,
	});

const lastBar = (tempo: Tempo, us: number): number => {
	const barUs = beatUs(tempo) * tempo.beatsPerBar;
	return tempo.downbeatUs + Math.floor((us - tempo.downbeatUs) / barUs) * barUs;
};

/** Taps without a pause: the newest times, the oldest of them first, and how many there were before those. */
export interface Taps {
	readonly timesUs: readonly number[];
	readonly before: number;
}

export const NO_TAPS: Taps = Object.freeze({ timesUs: Object.freeze([]), before: 0 });

export const withTap = ({ timesUs, before }: Taps, nowUs: number): Taps => {
	const last = timesUs.at(-1);
	if (last === undefined || nowUs <= last || nowUs - last > PAUSE_US)
		return Object.freeze({ timesUs: Object.freeze([nowUs]), before: 0 });
	const all = [...timesUs, nowUs];
	const kept = all.slice(-TAPS_KEPT);
	return Object.freeze({ timesUs: Object.freeze(kept), before: before + all.length - kept.length });
};

/**
 * The tempo that was tapped: the first tap is the first beat of a bar. Undefined of one tap, and of taps that come faster
 * than any music.
 */
export const tappedTempo = ({ timesUs, before }: Taps, beatsPerBar = BEATS_PER_BAR): Tempo | undefined => {
	const count = timesUs.length;
	if (count < 2) return undefined;
	// The line through the taps: one that is off moves it little, the last one too.
	const middle = (count - 1) / 2;
	const meanUs = timesUs.reduce((sum, us) => sum + us, 0) / count;
	const slope = timesUs.reduce((sum, us, i) => sum + (i - middle) * (us - meanUs), 0);
	const stepUs = slope / timesUs.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
	const bpm = 60e6 / stepUs;
	if (bpm > BPM_MOST) return undefined;
	return Object.freeze({ bpm, beatsPerBar, downbeatUs: meanUs - (middle + before) * stepUs });
};
