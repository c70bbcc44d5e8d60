import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Frame } from '../frame/frame.ts';

/**
 * Aborts with the signal, after the time, or when told to. Not AbortSignal.any over AbortSignal.timeout: Node 20
 * collects such a timeout as garbage, and it never comes.
 */
export const stopAfter = (
	signal: AbortSignal,
	durationS: number | undefined,
): Disposable & { signal: AbortSignal; stop: () => void } => {
	const controller = new AbortController();
	const stop = () => controller.abort();
	const timer = durationS === undefined ? undefined : setTimeout(stop, durationS * 1000);
	signal.addEventListener('abort', stop, { once: true });
	if (signal.aborted) stop();
	return {
		signal: controller.signal,
		stop,
		[Symbol.dispose]: () => {
			clearTimeout(timer);
			signal.removeEventListener('abort', stop);
		},
	};
};

/** Errors: whatever `work` rejects with, unless the signal aborts first. */
export const untilAborted = async (work: Promise<void>, signal: AbortSignal): Promise<void> => {
	const aborted = once(signal, 'abort');
	await (signal.aborted ? undefined : Promise.race([work, aborted]));
};

/** What ends a timer. */
export const stopping = (timer: NodeJS.Timeout) => () => clearTimeout(timer);

/** Until the time has passed or the signal aborts. */
export const sleepUs = async (us: number, signal: AbortSignal): Promise<void> => {
	if (us <= 0) return;
	// The longest that a timer can be set to is 25 days.
	await sleep(Math.min(Math.ceil(us / 1000), 2 ** 31 - 1), undefined, { signal }).catch(() => {});
};

export async function* take(
	frames: AsyncIterable<Frame>,
	count: number,
	onFrame: () => void,
): AsyncGenerator<Frame, void, undefined> {
	let taken = 0;
	for await (const frame of frames) {
		onFrame();
		yield frame;
		if (++taken >= count) return;
	}
}

/** Aborts with the signal, and by itself without it. */
export const linkedTo = (signal: AbortSignal): AbortController => {
	const controller = new AbortController();
	const stop = () => controller.abort();
	if (signal.aborted) stop();
	else signal.addEventListener('abort', stop, { once: true, signal: controller.signal });
	return controller;
};
