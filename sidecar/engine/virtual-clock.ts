import { setImmediate as turn } from 'node:timers/promises';

/** A clock that moves only when everybody sleeps, so that minutes of a schedule pass in milliseconds. */
export class VirtualClock {
	nowMs = 0;
	#sleepers: { dueMs: number; wake: () => void }[] = [];

	readonly sleep = (ms: number): Promise<void> =>
		new Promise((wake) => {
			this.#sleepers.push({ dueMs: this.nowMs + ms, wake });
		});

	/** Moves time on until the work is done. */
	async run<T>(work: Promise<T>): Promise<T> {
		let isDone = false;
		const done = () => void (isDone = true);
		work.then(done, done);
		while (!isDone) {
			await turn(); // everything that can go on at this moment goes on
			this.#sleepers.sort((a, b) => b.dueMs - a.dueMs);
			const next = this.#sleepers.pop();
			if (!next) continue;
			this.nowMs = next.dueMs;
			next.wake();
		}
		return await work;
	}
}
