import type { ModelManifest } from '../config/schema/manifest.ts';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, rgbLayout, type Picture, type Size } from '../frame/frame.ts';
import { concatenate, element, zeros, type Tensor } from '../frame/tensor.ts';
import type { EncodeRequest, EncodeResult, PromptEmbeds } from '../inference/encoder.ts';
import type { NativeAddon, PatchLayout } from '../native.ts';
import { PASSTHROUGH, type Condition, type Parameters, type ReferencePicture } from '../parameters.ts';
import type { EncodedBatch, Encoding, MovingBatch } from './batch.ts';
import type { EngineObserver, LineState } from './engine.ts';
import { SCENE_CUT_DIFFERENCE } from './motion-tracker.ts';

/** Mean difference of two frames' luminance, on thumbnails, from which the encoder sees another picture. */
const REFRESH_DIFFERENCE = 2;
/** How often `teRefreshEvery - 1` more batches may pass while the picture stays. */
const REFRESH_STRETCH_MAX = 8;

/** Whatever runs the encoder's graphs: a thread of ours, or a device that only takes its time. */
export interface EncoderDevice {
	encode(request: EncodeRequest): Promise<EncodeResult>;
}

interface EncoderStreamSettings {
	device: EncoderDevice;
	native: NativeAddon;
	/** How the text-and-vision encoder looks at a frame. */
	vision: ModelManifest['textEncoder']['image'];
	/** For a model that paints each frame from the paintings before it, and to which one may be shown. */
	causal?: {
		painted: Size;
		/** What is said where a picture shows the style. */
		referencePrompt: string;
	};
	observer: EngineObserver;
}

/**
 * The side stream: text-and-vision embeddings and source latents of a batch. The embeddings of the prompts
 * in use are kept for `teRefreshEvery` batches or until a scene cut, and on while the picture stays much as they saw it;
 * a change of their weights (strength, a cross-fade) only mixes them anew. Paintings that show a style are encoded once.
 */
export class EncoderStream {
	readonly #settings: EncoderStreamSettings;
	/** Embeddings of the prompts in use, all of one frame or batch, but for one that has just come. */
	#kept = new Map<string | undefined, PromptEmbeds>();
	#batchesSinceRefresh = 0;
	/** What they saw. */
	#seen: readonly Picture[] = [];
	/** Latents of the references in use, by their ids. */
	#references = new Map<string, Tensor<Float32Array>>();
	/** What another painted last, and of what, until the next batch. */
	#before: { painting: Picture; source: Picture } | undefined;

	constructor(settings: EncoderStreamSettings) {
		this.#settings = settings;
	}

	/** Goes on with what another made of `source`. */
	resume({ prompts, source, painting }: Pick<LineState, 'prompts' | 'source' | 'painting'>): void {
		this.#before = { painting, source };
		if (prompts.length === 0) return;
		this.#kept = new Map(prompts.map(({ prompt, embeds }) => [prompt, embeds]));
		this.#seen = [source];
		this.#batchesSinceRefresh = 0;
	}

	async *encode(batches: AsyncIterable<MovingBatch>): AsyncGenerator<EncodedBatch, void, undefined> {
		const { device, observer, causal: family } = this.#settings;
		for await (const batch of batches) {
			if (batch.isReused || batch.parameters.style === PASSTHROUGH) {
				yield { ...batch, encoding: undefined };
				continue;
			}
			const { parameters, pictures } = batch;
			const weights = weightsOf(parameters, family?.referencePrompt);
			const shown = parameters.tuning.teBatchOne ? pictures.slice(0, 1) : pictures;
			this.#batchesSinceRefresh++;
			if (await this.#isRefreshDue(shown, parameters.tuning.teRefreshEvery)) {
				this.#kept.clear();
				this.#batchesSinceRefresh = 0;
				this.#seen = shown;
			}
			const wanted = this.#promptsToEncode(weights);
			const { prompts, sourceLatents, details, stagesMs } = await device.encode({
				pictures: stack(pictures),
				...(wanted.length > 0 && {
					text: { images: await this.#forVision(shown), prompts: wanted },
				}),
			});
			wanted.forEach((prompt, i) => this.#kept.set(prompt, prompts![i]!));
			if (wanted.length > 0) observer.prompts?.([...this.#kept].map(([text, embeds]) => ({ prompt: text, embeds })));
			if (stagesMs.teMs !== undefined) observer.stage('te', stagesMs.teMs);
			observer.stage('vaeEncode', stagesMs.vaeEncodeMs);
			const prompt = mixEmbeds([...weights].map(([text, weight]) => ({ embeds: this.#kept.get(text)!, weight })));
			const causal = family && (await this.#causalOf(parameters, weights, family.painted));
			const before = await this.#takeBefore();
			const sideMs = (nowUs() - batch.sideStartUs) / 1000;
			yield { ...batch, encoding: { prompt, sourceLatents, details, ...(causal && { causal }), ...before, sideMs } };
		}
	}

	/** The heaviest condition says which style it is; how the prompts are mixed is no other style. */
	async #causalOf(
		{ conditioning, seed }: Parameters,
		weights: Weights,
		painted: Size,
	): Promise<NonNullable<Encoding['causal']>> {
		await this.#encodeReferences(conditioning, painted);
		const { prompt, reference } = heaviest(conditioning) ?? {};
		const mixed = [...weights].filter(([, weight]) => weight > 0);
		return {
			style: JSON.stringify([seed, reference ? { reference: reference.id } : prompt]),
			mixture: JSON.stringify(mixed),
			...(reference && { reference: this.#references.get(reference.id)! }),
		};
	}

	/** What another painted last, for the first batch after it. */
	async #takeBefore(): Promise<Pick<Encoding, 'before'>> {
		if (!this.#before) return {};
		const { painting, source } = this.#before;
		this.#before = undefined;
		const latents = await this.#latentsOf([painting, source]);
		return { before: { painting: element(latents, 0), sourceLatents: element(latents, 1) } };
	}

	/** Those that have no weight yet, too: a switch to them is not to wait. What is not in use is forgotten. */
	async #encodeReferences(conditioning: readonly Condition[], painted: Size): Promise<void> {
		const known = this.#references;
		this.#references = new Map();
		for (const { reference } of conditioning) {
			if (!reference || this.#references.has(reference.id)) continue;
			const latents = known.get(reference.id) ?? (await this.#latentsOf([await this.#atSize(reference, painted)]));
			this.#references.set(reference.id, latents);
		}
	}

	async #atSize({ picture }: ReferencePicture, painted: Size): Promise<Picture> {
		const layout = rgbLayout(painted);
		const target = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
		await this.#settings.native.convert(picture, target, 'cover');
		return target;
	}

	async #latentsOf(pictures: readonly Picture[]): Promise<Tensor<Float32Array>> {
		const { device, observer } = this.#settings;
		const { sourceLatents, stagesMs } = await device.encode({ pictures: stack(pictures) });
		observer.stage('vaeEncode', stagesMs.vaeEncodeMs);
		return sourceLatents;
	}

	async #isRefreshDue(shown: readonly Picture[], teRefreshEvery: number): Promise<boolean> {
		if (shown.length !== this.#seen.length) return true;
		if (this.#batchesSinceRefresh >= REFRESH_STRETCH_MAX * (teRefreshEvery - 1)) return true;
		const enough = this.#batchesSinceRefresh < teRefreshEvery ? SCENE_CUT_DIFFERENCE : REFRESH_DIFFERENCE;
		for (const [i, picture] of shown.entries())
			if ((await this.#settings.native.thumbnailDifference(this.#seen[i]!, picture)) >= enough) return true;
		return false;
	}

	/** Those in use that are missing; those that are not in use are forgotten. */
	#promptsToEncode(weights: Weights): (string | undefined)[] {
		for (const prompt of this.#kept.keys()) if (!weights.has(prompt)) this.#kept.delete(prompt);
		return [...weights.keys()].filter((prompt) => !this.#kept.has(prompt));
	}

	async #forVision(pictures: readonly Picture[]): Promise<Tensor<Uint8Array> | Tensor<Float32Array>> {
		const { native, vision } = this.#settings;
		if (vision.patches) {
			const rows: Tensor<Float32Array>[] = [];
			for (const picture of pictures) rows.push(await pixelValues(native, picture, vision, vision.patches));
			return concatenate(rows);
		}
		const layout = rgbLayout(vision);
		const small: Picture[] = [];
		for (const picture of pictures) {
			const target = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
			await native.convert(picture, target, 'stretch');
			small.push(target);
		}
		return stack(small);
	}
}

/** By prompt; undefined is the model's neutral one. */
type Weights = ReadonlyMap<string | undefined, number>;

/** referencePrompt: said where a picture shows the style; undefined where that is not for the model. */
const weightsOf = ({ conditioning }: Parameters, referencePrompt: string | undefined): Weights => {
	const weights = new Map<string | undefined, number>();
	for (const { prompt, weight, reference } of conditioning) {
		const said = reference ? (referencePrompt ?? prompt) : prompt;
		weights.set(said, (weights.get(said) ?? 0) + weight);
	}
	const neutral = 1 - conditioning.reduce((sum, { weight }) => sum + weight, 0);
	if (neutral > 1e-6 || weights.size === 0) weights.set(undefined, Math.max(neutral, 0));
	return weights;
};

/** Of equals the first one, which is the older in a cross-fade; undefined where there is none. */
const heaviest = (conditioning: readonly Condition[]): Condition | undefined =>
	conditioning.reduce<Condition | undefined>(
		(most, one) => (most && most.weight >= one.weight ? most : one),
		undefined,
	);

/** The weighted sum of embeddings of one shape; a token counts where it counts in any that has weight. */
export const mixEmbeds = (all: readonly { embeds: PromptEmbeds; weight: number }[]): PromptEmbeds => {
	const seen = all.filter(({ weight }) => weight > 0);
	const parts = seen.length > 0 ? seen : all;
	const [first] = parts;
	if (!first) throw new TypeError('mixEmbeds needs at least one part');
	if (parts.length === 1) return first.embeds;
	const promptEmbeds = zeros(first.embeds.promptEmbeds.shape);
	const attentionMask = { ...first.embeds.attentionMask, data: first.embeds.attentionMask.data.slice() };
	for (const { embeds, weight } of parts) {
		embeds.promptEmbeds.data.forEach((value, i) => (promptEmbeds.data[i]! += weight * value));
		embeds.attentionMask.data.forEach((counts, i) => (attentionMask.data[i]! |= counts));
	}
	return { promptEmbeds, attentionMask };
};

/** A picture as Qwen3-VL takes it: [1, patches, channels * frames * patch * patch], -1..1. */
const pixelValues = async (
	native: NativeAddon,
	picture: Picture,
	{ width, height }: Size,
	patches: Omit<PatchLayout, keyof Size>,
): Promise<Tensor<Float32Array>> => {
	const { patch, frames } = patches;
	const rows = zeros([1, (width / patch) * (height / patch), 3 * frames * patch ** 2]);
	await native.patchRows(picture, { width, height, ...patches }, rows.data);
	return rows;
};

/** RGB pictures of one size as one tensor [pictures, height, width, 3]. */
export const stack = (pictures: readonly Picture[]): Tensor<Uint8Array> =>
	concatenate(pictures.map(({ data, width, height }) => ({ data, shape: [1, height, width, 3] })));
