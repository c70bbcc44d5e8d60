import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, type Picture, type StyledFrame } from '../frame/frame.ts';
import type { Flow, NativeAddon } from '../native.ts';
import type { BlendedBatch, Conditioning, ConditionedBatch, DenoisedBatch, EncodedBatch } from './batch.ts';
import { stack } from './encoder-stream.ts';
import type { EngineObserver } from './engine.ts';

/**
 * Makes one painting follow from the one before (ControlNet-LLLite conditioned on the last painting, as
 * in arXiv 2606.05981). Before the denoiser it gives, at a refresh, the last painting warped along the
 * input's flow, and the flow with every frame, for models that go by the last latents too; after it, it may blend the
 * painting with the warped one before.
 * The painting of batch n is promised here before batch n + 1 is conditioned, because the line pulls; a refresh alone
 * waits for it.
 */
export class TemporalAdapter {
	readonly #native: NativeAddon;
	readonly #observer: EngineObserver;
	#lastShown: Promise<Picture | undefined> = Promise.resolve(undefined);
	/** The frame that it shows. */
	#lastFrame: Picture | undefined;
	/** When the batch before was painted. */
	#paintedUs = 0;
	#isConditioned = false;

	constructor({ native, observer }: { native: NativeAddon; observer: EngineObserver }) {
		this.#native = native;
		this.#observer = observer;
	}

	/** Goes on from the last painting of another, of that frame. */
	resume({ painting, source }: { painting: Picture; source: Picture }): void {
		this.#lastShown = Promise.resolve(painting);
		this.#lastFrame = source;
	}

	async *condition(batches: AsyncIterable<EncodedBatch>): AsyncGenerator<ConditionedBatch, void, undefined> {
		for await (const batch of batches) {
			const mainStartUs = nowUs();
			const conditioning = batch.encoding && (await this.#conditionBatch(batch));
			if (!conditioning && !batch.isReused) this.#isConditioned = false;
			yield { ...batch, conditioning, mainStartUs };
		}
	}

	async *blend(batches: AsyncIterable<DenoisedBatch>): AsyncGenerator<BlendedBatch, void, undefined> {
		for await (const batch of batches) {
			const last = this.#lastShown;
			const shown = batch.isReused
				? last.then((picture) => batch.frames.map(() => picture!))
				: this.#show(batch, last, this.#lastFrame);
			if (!batch.isReused) {
				this.#lastShown = shown.then((pictures) => batch.encoding && pictures.at(-1));
				this.#lastFrame = batch.pictures.at(-1);
			}
			for (const heard of [shown, this.#lastShown]) heard.catch(() => {}); // by whoever shows it
			yield { ...batch, shown };
		}
	}

	/** Waits for each painting in turn. */
	async *show(batches: AsyncIterable<BlendedBatch>): AsyncGenerator<StyledFrame, void, undefined> {
		for await (const batch of batches) {
			const shown = await batch.shown;
			for (const [i, { sequence, capturedUs, timestampUs, durationUs }] of batch.frames.entries()) {
				const [source, picture] = [batch.pictures[i]!, shown[i]!];
				const { isReused, parameters } = batch;
				const kind = batch.encoding || isReused ? 'painting' : 'source';
				const { epoch } = parameters;
				yield { sequence, capturedUs, timestampUs, durationUs, epoch, kind, isReused, source, picture };
			}
		}
	}

	async #conditionBatch({ frames, parameters, motion, noise }: EncodedBatch): Promise<Conditioning> {
		const { fromLastBatch, ofLatents, isNewScene, cuts = [] } = await motion;
		const last = fromLastBatch && (await this.#lastShown);
		const startUs = nowUs();
		const refreshes = fromLastBatch !== undefined && last !== undefined;
		if (refreshes) this.#isConditioned = true;
		else if (isNewScene) this.#isConditioned = false;
		const flows = ofLatents.filter((flow) => flow !== undefined);
		const images = refreshes && stack(await Promise.all(fromLastBatch.map((flow) => this.#warp(last, flow))));
		if (images) this.#observer.stage('warp', (nowUs() - startUs) / 1000);
		const isAdapted = this.#isConditioned && flows.length === frames.length;
		const multiplier = isAdapted ? parameters.tuning.temporalMultiplier : 0;
		return {
			noise: await noise,
			temporal: { multiplier, ...(images && { images }), ...(isAdapted && { flows }) },
			cuts,
		};
	}

	async #show(
		batch: DenoisedBatch,
		last: Promise<Picture | undefined>,
		lastFrame: Picture | undefined,
	): Promise<readonly Picture[]> {
		const shown = await this.#blendBatch(batch, last, lastFrame);
		if (batch.encoding) {
			// While it waited for the batch before, the stream was busy with that.
			const startUs = Math.max(batch.mainStartUs, this.#paintedUs);
			this.#paintedUs = nowUs();
			this.#observer.batch({ sideMs: batch.encoding.sideMs, mainMs: (this.#paintedUs - startUs) / 1000 });
		}
		return shown;
	}

	/** Blends into each painting the one shown before, along the motion of the frames, where it is of the same scene and style. */
	async #blendBatch(
		{ paintings: painting, pictures, parameters, motion }: DenoisedBatch,
		last: Promise<Picture | undefined>,
		lastFrame: Picture | undefined,
	): Promise<readonly Picture[]> {
		const paintings = await painting;
		const { outputBlend } = parameters.tuning;
		if (outputBlend === 0) return paintings;
		const { fromPrevious, isNewScene } = await motion;
		let before = isNewScene ? undefined : await last;
		let frameBefore = lastFrame;
		const startUs = nowUs();
		for (const [i, painting] of paintings.entries()) {
			const [flow, frame] = [fromPrevious[i], pictures[i]!];
			if (flow && before && frameBefore)
				await this.#native.blend(painting, frame, before, frameBefore, flow, outputBlend);
			before = painting;
			frameBefore = frame;
		}
		this.#observer.stage('blend', (nowUs() - startUs) / 1000);
		return paintings;
	}

	async #warp(picture: Picture, flow: Flow): Promise<Picture> {
		const target = { ...picture, data: new Uint8Array(pictureByteLength(picture)) };
		await this.#native.warp(picture, flow, target);
		return target;
	}
}
