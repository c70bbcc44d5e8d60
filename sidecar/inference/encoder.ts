import type { GraphRole } from '../config/schema/manifest.ts';
import { concatenate, element, type Tensor, type TensorData } from '../frame/tensor.ts';
import type { ModelFolder } from './manifest.ts';
import { batchesOf, framesPerPass, inPasses, splitAll } from './passes.ts';
import { openGraphs, type OpenGraphsSettings } from './precision.ts';
import type { GraphSession, Provider, Sizes } from './session.ts';
import { readTokenizer, type PromptTokenizer } from './tokenizer.ts';

/** The text-and-vision encoder's share of a batch, left out when the cached embeddings still serve. */
export interface PromptRequest {
	/** Frames at the encoder's own size, RGB: [frames, height, width, 3], or cut into patches: [frames, rows, columns]. */
	images: Tensor<Uint8Array> | Tensor<Float32Array>;
	/** undefined is the model's neutral prompt: leave it as it is. */
	prompts: readonly (string | undefined)[];
}

export interface EncodeRequest {
	/** RGB at the painted size: [batch, height, width, 3]. */
	pictures: Tensor<Uint8Array>;
	text?: PromptRequest;
}

/** What the denoiser needs of a prompt, for as many frames as the encoder was shown. */
export interface PromptEmbeds {
	promptEmbeds: Tensor<Float32Array>; // [frames, tokens, channels]
	/** For graphs that take it as `encoder_attention_mask`: [frames, maxLength - dropTokens]. */
	attentionMask: Tensor<BigInt64Array>;
}

export interface EncodeResult {
	sourceLatents: Tensor<Float32Array>; // [batch, channels, height / scale, width / scale]
	/** Whatever else the autoencoder gives for the decoder, by tensor name. */
	details: Record<string, Tensor>;
	/** For each prompt that was asked for. */
	prompts?: PromptEmbeds[];
	/** Time on this thread, in milliseconds. */
	stagesMs: { teMs?: number; vaeEncodeMs: number };
}

const ROLES = ['te_vision', 'te_text', 'vae_encoder'] as const;

/** The side stream's graphs: te_vision, te_text, vae_encoder. */
export class Encoder implements AsyncDisposable {
	readonly provider: Provider;
	/** The others run in fp32. */
	readonly int8Graphs: readonly GraphRole[];
	readonly #folder: ModelFolder;
	readonly #tokenize: PromptTokenizer;
	readonly #graphs: Record<(typeof ROLES)[number], GraphSession>;

	private constructor(
		folder: ModelFolder,
		provider: Provider,
		tokenize: PromptTokenizer,
		{ graphs, int8Graphs }: { graphs: Record<(typeof ROLES)[number], GraphSession>; int8Graphs: readonly GraphRole[] },
	) {
		this.#folder = folder;
		this.provider = provider;
		this.#tokenize = tokenize;
		this.#graphs = graphs;
		this.int8Graphs = int8Graphs;
	}

	static async open(folder: ModelFolder, settings: OpenGraphsSettings): Promise<Encoder> {
		const opened = await openGraphs(folder, ROLES, settings);
		return new Encoder(folder, settings.provider, await readTokenizer(folder), opened);
	}

	/** Pictures of one size, painted together where that is faster; each request gets its own share. */
	async encode(requests: readonly EncodeRequest[]): Promise<EncodeResult[]> {
		const texts: { prompts: PromptEmbeds[]; teMs: number }[] = [];
		for (const { text } of requests) {
			const startMs = performance.now();
			if (text) texts.push({ prompts: await this.#encodePrompts(text), teMs: performance.now() - startMs });
		}
		const startMs = performance.now();
		const pictures = concatenate(requests.map((request) => request.pictures));
		const [batch = 0, height = 0, width = 0] = pictures.shape;
		const perPass = framesPerPass(this.provider, batch);
		const encoded = await inPasses(batch, perPass, (take) =>
			this.#graphs.vae_encoder.run({ image: take(pictures) }, { batch: perPass, height, width }),
		);
		const vaeEncodeMs = (performance.now() - startMs) / batch;
		const shares = splitAll(
			encoded,
			batchesOf(requests, (request) => request.pictures),
		);
		return requests.map(({ text, pictures: own }, i) => {
			const { source_latents, ...details } = shares[i]!;
			const read = text && texts.shift();
			return {
				sourceLatents: source_latents as Tensor<Float32Array>,
				details,
				...(read && { prompts: read.prompts }),
				stagesMs: { ...(read && { teMs: read.teMs }), vaeEncodeMs: vaeEncodeMs * own.shape[0]! },
			};
		});
	}

	/** Each prompt reads each frame: the vision features of a frame are computed once. */
	async #encodePrompts({ images, prompts }: PromptRequest): Promise<PromptEmbeds[]> {
		const frames: PromptEmbeds[][] = [];
		const { width, height, patches } = this.#folder.manifest.textEncoder.image;
		const sizes = { batch: 1, height, width };
		for (let index = 0; index < images.shape[0]!; index++) {
			const image: Tensor = element<TensorData>(images, index);
			const features = await this.#graphs.te_vision.run({ [patches ? 'pixel_values' : 'image']: image }, sizes);
			const embeds: PromptEmbeds[] = [];
			for (const prompt of prompts) embeds.push(await this.#encodeText(prompt, features, sizes));
			frames.push(embeds);
		}
		return prompts.map((_, i) => ({
			promptEmbeds: concatenate(frames.map((embeds) => embeds[i]!.promptEmbeds)),
			attentionMask: concatenate(frames.map((embeds) => embeds[i]!.attentionMask)),
		}));
	}

	async #encodeText(prompt: string | undefined, features: Record<string, Tensor>, sizes: Sizes): Promise<PromptEmbeds> {
		const { neutralPrompt, dropTokens, maxLength } = this.#folder.manifest.textEncoder;
		const { inputIds, attentionMask } = this.#tokenize(prompt ?? neutralPrompt);
		const { prompt_embeds } = await this.#graphs.te_text.run(
			{ input_ids: inputIds, attention_mask: attentionMask, ...features },
			sizes,
		);
		return {
			promptEmbeds: prompt_embeds as Tensor<Float32Array>,
			attentionMask: { data: attentionMask.data.slice(dropTokens), shape: [1, maxLength - dropTokens] },
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const graph of Object.values(this.#graphs)) await graph[Symbol.asyncDispose]();
	}
}
