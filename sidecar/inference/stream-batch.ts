/** A batch in a run of the U-Net, and the step that it takes there, from 0. */
export interface StreamRow<Batch> {
	batch: Batch;
	step: number;
}

/**
 * Which batches one run of the U-Net has, and at which step each is (the stream batch of StreamDiffusion, arXiv 2312.12491,
 * section 3.1). A batch that enters takes its first step while those before it take their next, so that in the steady state
 * each run finishes one. Every batch takes every step once, in order. A run without a new batch takes the others further.
 */
export class StreamBatch<Batch> {
	readonly steps: number;
	/** Of the next run, oldest first: no two are at one step. */
	#rows: StreamRow<Batch>[] = [];

	constructor(steps: number) {
		this.steps = steps;
	}

	/** Batches that have begun and are not finished. */
	get inFlight(): number {
		return this.#rows.length;
	}

	/** The next run, oldest first, and the batch that it finishes. Nothing is in a run without a batch. */
	next(entering?: Batch): { rows: readonly StreamRow<Batch>[]; finished: Batch | undefined } {
		const rows = entering === undefined ? this.#rows : [...this.#rows, { batch: entering, step: 0 }];
		const [oldest] = rows;
		this.#rows = rows.flatMap(({ batch, step }) => (step + 1 < this.steps ? [{ batch, step: step + 1 }] : []));
		return { rows, finished: oldest?.step === this.steps - 1 ? oldest.batch : undefined };
	}
}
