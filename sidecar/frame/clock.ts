/** Monotonic time in integer microseconds, the only clock inside; arbitrary origin, the same in every thread. */
export const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

export const usToMs = (us: number): number => us / 1000;
