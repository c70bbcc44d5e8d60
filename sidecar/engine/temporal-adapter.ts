import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, type Picture, type StyledFrame } from '../frame/frame.ts';
import type { Flow, NativeAddon } from '../native.ts';
import type { Conditioning, ConditionedBatch, DenoisedBatch, EncodedBatch } from './batch.ts';
import { stack } from './encoder-stream.ts';
import type { EngineObserver } from './engine.ts';

/**
 * Makes one painting follow from the one before (ControlNet-LLLite conditioned on the last painting, as
 * in arXiv 2606.05981). Before the denoiser it gives, at a refresh, the last painting warped along the
 * input's flow; after it, it may blend the painting with the warped one before.
 * The painting of batch n is known here before batch n + 1 is conditioned: the line pulls.
 */
export class TemporalAdapter {
	readonly #native: NativeAddon;
	readonly #observer: EngineObserver;
	#lastShown: Picture | undefined;
	#isConditioned = false;

	constructor({ native, observer }: { native: NativeAddon; observer: EngineObserver }) {
		this.#native = native;
		this.#observer = observer;
	}

	/** Goes on from the last painting of another. */
	resume(painting: Picture): void {
		this.#lastShown = painting;
	}

	async *condition(batches: AsyncIterable<EncodedBatch>): AsyncGenerator<ConditionedBatch, void, undefined> {
		for await (const batch of batches) {
			const mainStartUs = nowUs();
			const conditioning = batch.encoding && (await this.#conditionBatch(batch));
			if (!conditioning && !batch.isReused) this.#isConditioned = false;
			yield { ...batch, conditioning, mainStartUs };
		}
	}

	async *blend(batches: AsyncIterable<DenoisedBatch>): AsyncGenerator<StyledFrame, void, undefined> {
		for await (const batch of batches) {
			const shown = batch.isReused ? batch.frames.map(() => this.#lastShown!) : await this.#blendBatch(batch);
			if (!batch.isReused) this.#lastShown = batch.encoding && shown.at(-1);
			if (batch.encoding)
				this.#observer.batch({ sideMs: batch.encoding.sideMs, mainMs: (nowUs() - batch.mainStartUs) / 1000 });
			for (const [i, { sequence, capturedUs, timestampUs, durationUs }] of batch.frames.entries()) {
				const [source, picture] = [batch.pictures[i]!, shown[i]!];
				const { isReused, parameters } = batch;
				const kind = batch.encoding || isReused ? 'painting' : 'source';
				const { epoch } = parameters;
				yield { sequence, capturedUs, timestampUs, durationUs, epoch, kind, isReused, source, picture };
			}
		}
	}

	async #conditionBatch({ parameters, motion, noise }: EncodedBatch): Promise<Conditioning> {
		const { fromLastBatch, isNewScene } = await motion;
		const startUs = nowUs();
		const last = this.#lastShown;
		const refreshes = fromLastBatch !== undefined && last !== undefined;
		if (refreshes) this.#isConditioned = true;
		else if (isNewScene) this.#isConditioned = false;
		const images = refreshes && stack(await Promise.all(fromLastBatch.map((flow) => this.#warp(last, flow))));
		if (images) this.#observer.stage('warp', (nowUs() - startUs) / 1000);
		const multiplier = this.#isConditioned ? parameters.tuning.temporalMultiplier : 0;
		return { noise: await noise, temporal: { multiplier, ...(images && { images }) } };
	}

	/** shown = (1 - w) · painting + w · warp(last shown), where there is one to warp. */
	async #blendBatch({ paintings, parameters, motion }: DenoisedBatch): Promise<readonly Picture[]> {
		const { outputBlend } = parameters.tuning;
		if (outputBlend === 0) return paintings;
		const startUs = nowUs();
		const { fromPrevious } = await motion;
		const shown: Picture[] = [];
		let previous = this.#lastShown;
		for (const [i, painting] of paintings.entries()) {
			const flow = fromPrevious[i];
			if (previous && flow)
				await this.#native.blend(painting, await this.#warp(previous, flow), 1 - outputBlend, painting);
			shown.push(painting);
			previous = painting;
		}
		this.#observer.stage('blend', (nowUs() - startUs) / 1000);
		return shown;
	}

	async #warp(picture: Picture, flow: Flow): Promise<Picture> {
		const target = { ...picture, data: new Uint8Array(pictureByteLength(picture)) };
		await this.#native.warp(picture, flow, target);
		return target;
	}
}
