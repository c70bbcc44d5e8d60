import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, rgbLayout, type Picture, type Size } from '../frame/frame.ts';
import { concatenate, type Tensor } from '../frame/tensor.ts';
import type { EncodeRequest, EncodeResult, PromptEmbeds } from '../inference/encoder.ts';
import type { NativeAddon } from '../native.ts';
import { PASSTHROUGH, type Parameters } from '../parameters.ts';
import type { EncodedBatch, MovingBatch } from './batch.ts';
import type { EngineObserver } from './engine.ts';

/** Whatever runs the encoder's graphs: a thread of ours, or a device that only takes its time. */
export interface EncoderDevice {
	encode(request: EncodeRequest): Promise<EncodeResult>;
}

interface EncoderStreamSettings {
	device: EncoderDevice;
	native: NativeAddon;
	/** The size at which the text-and-vision encoder looks at a frame. */
	visionSize: Size;
	observer: EngineObserver;
}

/**
 * The side stream: text-and-vision embeddings and source latents of a batch. The embeddings are kept for
 * `teRefreshEvery` batches, or until what they depend on changes.
 */
export class EncoderStream {
	readonly #settings: EncoderStreamSettings;
	#prompt: { embeds: PromptEmbeds; key: string; batchesAgo: number } | undefined;

	constructor(settings: EncoderStreamSettings) {
		this.#settings = settings;
	}

	async *encode(batches: AsyncIterable<MovingBatch>): AsyncGenerator<EncodedBatch, void, undefined> {
		const { device, observer } = this.#settings;
		for await (const batch of batches) {
			if (batch.parameters.style === PASSTHROUGH) {
				yield { ...batch, encoding: undefined };
				continue;
			}
			const { parameters, pictures } = batch;
			const shown = parameters.tuning.teBatchOne ? pictures.slice(0, 1) : pictures;
			const key = promptKey(parameters, shown.length);
			const fresh = this.#prompt?.key === key && this.#prompt.batchesAgo + 1 < parameters.tuning.teRefreshEvery;
			const { prompt, sourceLatents, details, stagesMs } = await device.encode({
				pictures: stack(pictures),
				...(!fresh && {
					prompt: {
						images: stack(await this.#atVisionSize(shown)),
						prompt: parameters.prompt,
						strength: parameters.strength,
					},
				}),
			});
			if (prompt) this.#prompt = { embeds: prompt, key, batchesAgo: 0 };
			else this.#prompt!.batchesAgo++;
			if (stagesMs.teMs !== undefined) observer.stage('te', stagesMs.teMs);
			observer.stage('vaeEncode', stagesMs.vaeEncodeMs);
			const sideMs = (nowUs() - batch.sideStartUs) / 1000;
			yield { ...batch, encoding: { prompt: this.#prompt!.embeds, sourceLatents, details, sideMs } };
		}
	}

	async #atVisionSize(pictures: readonly Picture[]): Promise<Picture[]> {
		const layout = rgbLayout(this.#settings.visionSize);
		const small: Picture[] = [];
		for (const picture of pictures) {
			const target = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
			await this.#settings.native.convert(picture, target, 'stretch');
			small.push(target);
		}
		return small;
	}
}

const promptKey = ({ epoch, prompt, strength }: Parameters, frameCount: number): string =>
	JSON.stringify([epoch, prompt, strength, frameCount]);

/** RGB pictures of one size as one tensor [pictures, height, width, 3]. */
export const stack = (pictures: readonly Picture[]): Tensor<Uint8Array> =>
	concatenate(pictures.map(({ data, width, height }) => ({ data, shape: [1, height, width, 3] })));
