import type { ObsLink } from '../control/obs-link.ts';
import { log } from '../telemetry/logger.ts';

/** A filter whose channel failed is tried again after this. */
const RETRY_MS = 5000;

/**
 * Paints each filter in OBS beside the run's own in a channel of its own, for as long as it is there. What goes wrong in
 * one stays there.
 */
export const paintOtherFilters = (
	link: ObsLink,
	run: (name: string, signal: AbortSignal) => Promise<void>,
): AsyncDisposable => {
	const ending = new AbortController();
	const running = new Map<string, { stop: AbortController; ended: Promise<void> }>();

	const start = (name: string): void => {
		const stop = new AbortController();
		const ended = run(name, stop.signal)
			.catch(async (error: unknown) => {
				log.warn({ stream: name, error }, 'filter not painted');
				await new Promise((resolve) => setTimeout(resolve, stop.signal.aborted ? 0 : RETRY_MS));
			})
			.finally(() => {
				running.delete(name);
				if (!ending.signal.aborted) follow();
			});
		running.set(name, { stop, ended });
	};

	const follow = (): void => {
		const wanted = new Set(link.streams.map(({ name }) => name).filter((name) => name !== link.stream?.name));
		for (const [name, { stop }] of running) if (!wanted.has(name)) stop.abort();
		for (const name of wanted) if (!running.has(name)) start(name);
	};

	const following = (async () => {
		while (!ending.signal.aborted) {
			follow();
			await link.changed(ending.signal);
		}
	})();
	return {
		[Symbol.asyncDispose]: async () => {
			ending.abort();
			for (const { stop } of running.values()) stop.abort();
			await Promise.all([following, ...[...running.values()].map(({ ended }) => ended)]);
		},
	};
};
