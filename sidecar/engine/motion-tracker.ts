import { nowUs } from '../frame/clock.ts';
import type { Picture } from '../frame/frame.ts';
import { concatenate, zeros, type Tensor } from '../frame/tensor.ts';
import type { Flow, NativeAddon } from '../native.ts';
import { isStreamBatched, PASSTHROUGH } from '../parameters.ts';
import type { Motion, MovingBatch, PictureBatch, SiftedBatch } from './batch.ts';
import type { EngineObserver } from './engine.ts';
import type { NoiseField } from './noise-field.ts';

/**
 * Mean difference of two frames' luminance, on thumbnails, above which they belong to two scenes. In 23 clips of
 * people, cars and bottles motion stays under 11, and a cut to another place is above 39; one between two people
 * before the same wall can be as small as 2, and passes for motion.
 */
export const SCENE_CUT_DIFFERENCE = 25;

/** Motion since the last refresh, as a share of the width, after which the conditioning is too old to serve. */
const LARGE_MOTION_SHARE = 0.02;

/** Of the flow that latents and paintings move along, where no finer one is needed. */
const COARSENESS = 4;

/**
 * Computes how the *input* moves, so that stylization is not mistaken for motion, and moves the noise with it.
 * Both are started as soon as the frames are here and awaited when the last painting is (see
 * TemporalAdapter): upstream's demo computes the flow at the refresh, in line, and pays for it there.
 */
export class MotionTracker {
	readonly #native: NativeAddon;
	readonly #noise: NoiseField;
	readonly #observer: EngineObserver;
	readonly #tellsCuts: boolean;
	#last: LastBatch | undefined;
	/** Motion and noise of one batch follow from those of the batch before. */
	#settled: Promise<unknown> = Promise.resolve();
	#batchesSinceRefresh = Infinity;
	#pixelsSinceRefresh = 0;

	/** tellsCuts: whether somebody wants to know where scenes begin, whatever the tuning. */
	constructor({
		native,
		noise,
		observer,
		tellsCuts = false,
	}: {
		native: NativeAddon;
		noise: NoiseField;
		observer: EngineObserver;
		tellsCuts?: boolean;
	}) {
		this.#native = native;
		this.#noise = noise;
		this.#observer = observer;
		this.#tellsCuts = tellsCuts;
	}

	/** Goes on from a picture that another painted last, with parameters of that epoch. */
	resume(picture: Picture, epoch: number): void {
		this.#last = { picture, frameCount: 1, epoch };
		this.#batchesSinceRefresh = Infinity;
	}

	async *track(batches: AsyncIterable<SiftedBatch>): AsyncGenerator<MovingBatch, void, undefined> {
		for await (const batch of batches) {
			if (batch.isReused || batch.parameters.style === PASSTHROUGH) {
				if (!batch.isReused) this.#last = undefined;
				yield { ...batch, motion: Promise.resolve(STILL), noise: Promise.resolve(zeros([0])) };
				continue;
			}
			const last = this.#last;
			this.#last = {
				picture: batch.pictures.at(-1)!,
				frameCount: batch.pictures.length,
				epoch: batch.parameters.epoch,
			};
			const motion = this.#settled.then(() => this.#measure(batch, last));
			const noise = motion.then((moved) => this.#carryNoise(batch, moved));
			this.#settled = noise.catch(() => {}); // heard by the temporal adapter
			yield { ...batch, motion, noise };
		}
	}

	async #carryNoise({ frames, parameters }: PictureBatch, { fromPrevious }: Motion): Promise<Tensor<Float32Array>> {
		const startUs = nowUs();
		const { seed, tuning } = parameters;
		const fields = [];
		for (const [i, { sequence }] of frames.entries())
			fields.push(await this.#noise.next({ mode: tuning.noise, seed, sequence, flow: fromPrevious[i] }));
		this.#observer.stage('noise', (nowUs() - startUs) / 1000);
		return concatenate(fields);
	}

	async #measure(batch: PictureBatch, last: LastBatch | undefined): Promise<Motion> {
		const startUs = nowUs();
		const { noise, outputBlend, condRefreshEvery, temporalMultiplier } = batch.parameters.tuning;
		// When a frame enters the stream batch, the paintings before it are not there yet: the adapter has nothing to go by.
		const streams = isStreamBatched(batch.parameters.tuning);
		const adapts = !streams && condRefreshEvery > 0 && temporalMultiplier > 0;
		const fineness = noise === 'advected' ? 1 : COARSENESS;
		const carries = noise === 'advected' || outputBlend > 0;
		if (!adapts && !carries && !streams && !this.#tellsCuts) return STILL;

		let previous = last?.picture;
		let sameScene = last?.epoch === batch.parameters.epoch;
		const fromPrevious: (Flow | undefined)[] = [];
		const ofLatents: (Flow | undefined)[] = [];
		const cuts: boolean[] = [];
		for (const picture of batch.pictures) {
			const cut = !previous || (await this.#native.thumbnailDifference(previous, picture)) >= SCENE_CUT_DIFFERENCE;
			sameScene &&= !cut;
			cuts.push(cut);
			const flow = cut || !(carries || adapts) ? undefined : await this.#flow(previous!, picture, fineness);
			if (flow && adapts)
				this.#pixelsSinceRefresh += (await this.#native.meanMotion(flow)) * (picture.width / flow.width);
			fromPrevious.push(carries ? flow : undefined);
			ofLatents.push(adapts ? flow : undefined);
			previous = picture;
		}

		this.#batchesSinceRefresh++;
		let fromLastBatch: Flow[] | undefined;
		if (!sameScene) {
			// Nothing to condition on now; the first painting of the new scene or style is used at once.
			this.#batchesSinceRefresh = Infinity;
		} else if (adapts && this.#isRefreshDue(batch, last!.frameCount)) {
			this.#batchesSinceRefresh = 0;
			this.#pixelsSinceRefresh = 0;
			fromLastBatch = [];
			for (const [i, picture] of batch.pictures.entries()) {
				const found = i === 0 && fineness === 1 ? fromPrevious[0] : undefined;
				fromLastBatch.push(found ?? (await this.#flow(last!.picture, picture)));
			}
		}
		this.#observer.stage('flow', (nowUs() - startUs) / 1000);
		return { fromPrevious, fromLastBatch, ofLatents, cuts, isNewScene: !sameScene };
	}

	#isRefreshDue({ pictures, parameters }: PictureBatch, lastFrameCount: number): boolean {
		return (
			this.#batchesSinceRefresh >= parameters.tuning.condRefreshEvery ||
			this.#pixelsSinceRefresh > LARGE_MOTION_SHARE * pictures[0]!.width ||
			pictures.length !== lastFrameCount
		);
	}

	async #flow(previous: Picture, next: Picture, coarseness = 1): Promise<Flow> {
		const [width, height] = [next.width, next.height].map((side) => Math.ceil(side / coarseness)) as [number, number];
		const flow = { width, height, data: new Float32Array(2 * width * height) };
		await this.#native.opticalFlow(previous, next, flow, 'dis');
		return flow;
	}
}

interface LastBatch {
	/** Its last frame. */
	picture: Picture;
	frameCount: number;
	epoch: number;
}

/** No motion was asked for. */
const STILL: Motion = { fromPrevious: [], fromLastBatch: undefined, ofLatents: [], isNewScene: true };
