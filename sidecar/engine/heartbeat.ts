/**
 * Whether an engine still paints, by the age of what it owes: how long it has had frames without giving one
 * back. Slow is not stuck, so the limits grow with the longest of its last waits. Pure: the clock is an argument.
 */
export interface Heartbeat {
	/** Since when the engine owes a frame; undefined while it owes none. */
	readonly owingSinceUs: number | undefined;
	/** How long the last answers were waited for. */
	readonly waitsUs: readonly number[];
	readonly checkedUs: number;
}

export type Pulse = 'beating' | 'stale' | 'stuck';

export interface HeartbeatLimits {
	staleAfterUs: number;
	stuckAfterUs: number;
}

const WAITS_KEPT = 32;
/** Four times the longest of the last waits is late for any engine, and ten times is more than a hiccup. */
const STALE_WAITS = 4;
const STUCK_WAITS = 10;
/** What a large model on a slow machine may take for its first frame, before there is a wait to go by. */
const FIRST_WAIT_US = 60_000_000;
/** A check that comes this late was held up with the whole sidecar: the wait until then proves nothing. */
const HELD_UP_US = 400_000;

export const heartbeatAt = (nowUs: number): Heartbeat => ({
	owingSinceUs: undefined,
	waitsUs: [],
	checkedUs: nowUs,
});

/** The engine has frames to paint, or is left without. */
export const owing = (beat: Heartbeat, owes: boolean, nowUs: number): Heartbeat => ({
	...beat,
	owingSinceUs: owes ? (beat.owingSinceUs ?? nowUs) : undefined,
});

/** It gave one back; what it still owes is waited for from here. */
export const answered = (beat: Heartbeat, nowUs: number): Heartbeat => ({
	...beat,
	owingSinceUs: nowUs,
	waitsUs: [...beat.waitsUs, nowUs - (beat.owingSinceUs ?? nowUs)].slice(-WAITS_KEPT),
});

/** To be asked often. */
export const check = (
	beat: Heartbeat,
	nowUs: number,
	{ staleAfterUs, stuckAfterUs }: HeartbeatLimits,
): { beat: Heartbeat; pulse: Pulse } => {
	const sinceCheckUs = nowUs - beat.checkedUs;
	const heldUpUs = sinceCheckUs > HELD_UP_US ? sinceCheckUs : 0;
	const owingSinceUs = beat.owingSinceUs === undefined ? undefined : beat.owingSinceUs + heldUpUs;
	const ageUs = owingSinceUs === undefined ? 0 : nowUs - owingSinceUs;
	const slowestUs = Math.max(0, ...beat.waitsUs);
	const isStale = ageUs > Math.max(staleAfterUs, STALE_WAITS * slowestUs);
	const isStuck = ageUs > Math.max(stuckAfterUs, beat.waitsUs.length ? STUCK_WAITS * slowestUs : FIRST_WAIT_US);
	return {
		beat: { ...beat, owingSinceUs, checkedUs: nowUs },
		pulse: isStuck ? 'stuck' : isStale ? 'stale' : 'beating',
	};
};

/** An engine that has painted this long is a new one as far as its deaths go. */
const FORGIVEN_AFTER_US = 30_000_000;

/** How long to wait before another engine is started: not at all the first time, then 0.5 s and twice as long each time, to 10 s. */
export const restartDelayUs = (deathsInARow: number): number =>
	deathsInARow <= 1 ? 0 : Math.min(500_000 * 2 ** (deathsInARow - 2), 10_000_000);

/** Deaths in a row, with the one that is now; `readyUs` is when the engine that died was ready, if it was. */
export const deathsInARow = (before: number, readyUs: number | undefined, nowUs: number): number =>
	readyUs !== undefined && nowUs - readyUs > FORGIVEN_AFTER_US ? 1 : before + 1;
