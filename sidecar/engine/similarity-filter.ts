import { nowUs } from '../frame/clock.ts';
import type { Picture } from '../frame/frame.ts';
import type { NativeAddon } from '../native.ts';
import { PASSTHROUGH, type Parameters } from '../parameters.ts';
import type { PictureBatch, SiftedBatch } from './batch.ts';
import type { EngineObserver } from './engine.ts';

/** Batches of a still picture that are painted before one is reused: what the temporal adapter takes to come to rest. */
const SETTLING_BATCHES = 12;
/** Batches in a row that are not painted; then one is, whatever the difference. */
const REUSED_MAX = 23;

/**
 * While the picture stays what it was when it was last painted, that painting is shown again (the stochastic
 * similarity filter of StreamDiffusion, arXiv 2312.12491, with its bound on what is left out). There, the cosine
 * similarity of whole frames says how likely a frame is left out; here the block of the picture that changed most
 * does, because a blink or a moving mouth is a small part of a frame. Up to half the threshold nothing is painted, so
 * that a camera's noise is not; from there the likelihood falls to none at the threshold, so that slow motion is no
 * row of jumps. The dice are the frame's number, so that a replay paints the same.
 */
export class SimilarityFilter {
	readonly #native: Pick<NativeAddon, 'blockDifference'>;
	readonly #observer: EngineObserver;
	/** What was painted last. */
	#painted: { picture: Picture; parameters: Parameters } | undefined;
	#stillBatches = 0;
	#reused = 0;

	constructor({ native, observer }: { native: Pick<NativeAddon, 'blockDifference'>; observer: EngineObserver }) {
		this.#native = native;
		this.#observer = observer;
	}

	async *sift(batches: AsyncIterable<PictureBatch>): AsyncGenerator<SiftedBatch, void, undefined> {
		for await (const batch of batches) {
			// 1 for the same picture, 0 at the threshold.
			const similarity = 1 - (await this.#difference(batch)) / batch.parameters.tuning.similarityThreshold;
			this.#stillBatches = similarity > 0 ? this.#stillBatches + 1 : 0;
			const mayReuse = this.#stillBatches > SETTLING_BATCHES && this.#reused < REUSED_MAX;
			const isReused = mayReuse && dice(batch.frames[0]!.sequence) < 2 * similarity;
			this.#reused = isReused ? this.#reused + 1 : 0;
			if (!isReused) this.#painted = { picture: batch.pictures.at(-1)!, parameters: batch.parameters };
			yield { ...batch, isReused };
		}
	}

	/** From what was painted last, of the frame that differs most; Infinity where it has to be painted. */
	async #difference({ pictures, parameters }: PictureBatch): Promise<number> {
		const { similarityThreshold, noise } = parameters.tuning;
		const painted = this.#painted;
		// Noise that is drawn anew for each frame is to be seen.
		if (similarityThreshold === 0 || noise === 'per-frame' || parameters.style === PASSTHROUGH) return Infinity;
		if (painted?.parameters !== parameters) return Infinity;
		const startUs = nowUs();
		const differences = [];
		for (const picture of pictures) differences.push(await this.#native.blockDifference(painted.picture, picture));
		this.#observer.stage('similarity', (nowUs() - startUs) / 1000);
		return Math.max(...differences);
	}
}

/** 0 to 1, the same for the same number: the finaliser of MurmurHash3. */
const dice = (number: number): number => {
	let hash = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
	hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
	return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
};
