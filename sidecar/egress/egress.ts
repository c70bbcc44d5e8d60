import type { StyledFrame } from '../frame/frame.ts';
import type { FrameSink } from './frame-sink.ts';

/**
 * All sinks of a run. A frame goes to all of them at once, and the slowest says when the next may come.
 * The first sink that fails fails the run with its own error, after the others have had the frame.
 */
export class Egress implements AsyncDisposable {
	#sinks: readonly FrameSink[];

	constructor(sinks: readonly FrameSink[]) {
		this.#sinks = sinks;
	}

	/** Whether any shows of a painting what lies outside the region. */
	showsWhole(): boolean {
		return this.#sinks.some((sink) => sink.showsWhole?.() === true);
	}

	async present(frame: StyledFrame): Promise<void> {
		await this.#forAll((sink) => sink.present(frame));
	}

	/** Makes every result whole that can be made whole. */
	async finish(): Promise<void> {
		await this.#forAll((sink) => sink.finish());
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const disposed = this.#forAll((sink) => sink[Symbol.asyncDispose]());
		this.#sinks = []; // once is enough
		await disposed;
	}

	/** Waits for all, then throws what the first failing one threw. */
	async #forAll(act: (sink: FrameSink) => PromiseLike<void>): Promise<void> {
		const results = await Promise.allSettled(this.#sinks.map(async (sink) => act(sink)));
		for (const result of results) if (result.status === 'rejected') throw result.reason;
	}
}
