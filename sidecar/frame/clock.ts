import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

/** Monotonic time in integer microseconds, the only clock inside; arbitrary origin, the same in every thread. */
export const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

export const usToMs = (us: number): number => us / 1000;

/** Until that time, or until the signal aborts; where it is past, others have their turn first: who is always late stops nobody. */
export const sleepUntil = async (dueUs: number, signal: AbortSignal): Promise<void> => {
	const waitMs = (dueUs - nowUs()) / 1000;
	await (waitMs > 0 ? sleep(waitMs, undefined, { signal }).catch(() => {}) : nextTurn());
};
