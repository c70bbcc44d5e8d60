import { isStreamBatched, type Parameters } from '../parameters.ts';

/**
 * What memory leaves of the frames that are painted together. Each time that it runs out there are fewer: one step of each
 * frame instead of all in a run of the denoiser, then half the batch, and half of that.
 */
export class BatchLimit {
	#mayStream = true;
	#most = Infinity;
	#taken: { given: Parameters; own: Parameters } | undefined;

	/** Frames of a batch. */
	get most(): number {
		return this.#most;
	}

	/** What was given up, for people; undefined where nothing was. */
	get relief(): string | undefined {
		if (this.#most < Infinity) return `memory for batches of ${this.#most}`;
		return this.#mayStream ? undefined : 'no memory for frames at several steps in one run';
	}

	/** False where one frame is painted by itself already. */
	lessen(given: Parameters): boolean {
		const { tuning } = this.of(given);
		if (isStreamBatched(tuning)) this.#mayStream = false;
		else if (tuning.batchSize > 1) this.#most = Math.floor(tuning.batchSize / 2);
		else return false;
		this.#taken = undefined;
		return true;
	}

	/** Another model has room of its own. */
	lift(): void {
		this.#mayStream = true;
		this.#most = Infinity;
		this.#taken = undefined;
	}

	/** The same object for the same parameters. */
	of(given: Parameters): Parameters {
		const { batchSize } = given.tuning;
		if (batchSize <= this.#most && (this.#mayStream || !isStreamBatched(given.tuning))) return given;
		if (this.#taken?.given !== given) {
			const tuning = {
				...given.tuning,
				batchSize: Math.min(batchSize, this.#most),
				...(!this.#mayStream && { streamBatch: false, movingBuffer: false }),
			};
			this.#taken = { given, own: Object.freeze({ ...given, tuning: Object.freeze(tuning) }) };
		}
		return this.#taken.own;
	}
}
