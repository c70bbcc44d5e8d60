import { SidecarError } from '../../errors.ts';
import type { Mask } from '../../frame/frame.ts';
import type { Tensor } from '../../frame/tensor.ts';
import { eulerStep, expectNumbers } from '../denoiser.ts';
import type { GraphSession } from '../session.ts';
import { graphsShapeOf } from './cache-shape.ts';
import type { WindowSize } from './frame-window.ts';
import { KeyValueCache, type KeysAndValues } from './key-value-cache.ts';

/** The graphs of a causal transformer: docs/causal-dit.md. All shapes are static. */
export interface CausalGraphs {
	dit_prompt: CausalGraph;
	dit_reference: CausalGraph;
	dit_step: CausalGraph;
	/** The same for as many tokens as its `kept` has. */
	dit_step_kept: CausalGraph;
}
export type CausalGraph = Pick<GraphSession, 'spec' | 'run'>;

/** What a style is to the transformer. */
export interface CausalStyle {
	/** [1, 16, 192] */
	promptEmbeds: Tensor<Float32Array>;
	/** Latents of a painting that shows the style, of a frame's shape. */
	referenceLatents?: Tensor<Float32Array> | undefined;
}

export interface CausalFrame {
	/** Counts up. */
	frame: number;
	/** Gaussian: [1, channels, height, width] of the latents. */
	noise: Tensor<Float32Array>;
	sourceLatents: Tensor<Float32Array>;
	/** Noise levels from 1 to 0, one more than there are steps. */
	sigmas: readonly number[];
	/** The tokens that are painted, as many as `dit_step_kept` takes; the others stay as in the last painting. All if left out. */
	kept?: Uint32Array | undefined;
}

/** A frame as it comes, before anybody knows what it is painted from. */
export interface NextFrame extends Pick<CausalFrame, 'noise' | 'sourceLatents' | 'sigmas'> {
	promptEmbeds: Tensor<Float32Array>;
	/** It is of another scene than the one before it. */
	isCut: boolean;
	/** Where anything of the painting is seen; undefined: everywhere. */
	seen?: Mask | undefined;
}

/** The tokens that are painted, and what the last layer made of all of them in the frame before. */
interface Part {
	kept: Uint32Array;
	hidden: Tensor;
}

/**
 * Paints frames one after another, each from the paintings before it. A frame is as many passes as there are steps, and one more over
 * what came out, at timestep 0, whose keys and values are kept (Self-Forcing, arXiv 2506.08009). A pass that fails leaves the
 * cache as it was. One call at a time.
 */
export class CausalDenoiser {
	readonly cache: KeyValueCache;
	readonly #graphs: CausalGraphs;
	#words: Record<string, Tensor> | undefined;
	/** The last painting in the style in force: its latents, and its tokens after the last layer. */
	#painted: { latents: Tensor<Float32Array>; hidden: Tensor } | undefined;

	/** Errors: ERR_CONFIG for a window that cannot be, ERR_MODEL for graphs that do not fit each other. */
	constructor(graphs: CausalGraphs, window: WindowSize) {
		this.#graphs = graphs;
		this.cache = new KeyValueCache({ ...graphsShapeOf(graphs.dit_step.spec, graphs.dit_reference.spec), window });
	}

	/** The next frame is painted in this style; the first one needs one. Errors: ERR_MODEL, ERR_ENGINE. */
	async switchTo({ promptEmbeds, referenceLatents }: CausalStyle): Promise<void> {
		const words = await this.#run('dit_prompt', { prompt_embeds: promptEmbeds });
		const reference = referenceLatents && (await this.#run('dit_reference', { reference_latents: referenceLatents }));
		this.#words = words;
		this.#painted = undefined;
		this.cache.switchTo(reference && keysAndValues(reference, this.cache.keys.length));
	}

	/** The same style in other words: all paintings are kept. Errors: ERR_MODEL, ERR_ENGINE. */
	async say(promptEmbeds: Tensor<Float32Array>): Promise<void> {
		this.#words = await this.#run('dit_prompt', { prompt_embeds: promptEmbeds });
	}

	/** The next frame has nothing to do with those before it; the style stays. */
	beginScene(): void {
		this.cache.forgetFrames();
		this.#painted = undefined;
	}

	/** The painting's latents. The first frame of a style is painted as a whole, whatever is kept. Errors: ERR_MODEL, ERR_ENGINE. */
	async paint({ frame, noise, sourceLatents, sigmas, ...given }: CausalFrame): Promise<Tensor<Float32Array>> {
		if (!this.#words) throw new SidecarError('ERR_ENGINE', 'Nothing says what to paint: a style has to come first.');
		const newest = this.cache.window.at(-1);
		// It would be read as a frame before itself.
		if (newest && frame <= newest.frame)
			throw new SidecarError('ERR_ENGINE', `Frame ${frame} comes after frame ${newest.frame}, expected a later one.`);
		const last = this.#painted;
		const part = last && given.kept && { kept: given.kept, hidden: last.hidden };
		const sample = { data: noise.data.slice(), shape: noise.shape };
		for (let step = 0; step + 1 < sigmas.length; step++) {
			const { velocity } = await this.#pass(sample, sourceLatents, sigmas[step]!, part);
			eulerStep(sample.data, (velocity as Tensor<Float32Array>).data, sigmas[step + 1]! - sigmas[step]!);
			expectNumbers(sample.data, 'the transformer', 'dit_step');
		}
		if (part) keepTokens(sample, last!.latents, part.kept, this.cache.frameTokens);
		await this.#write(frame, sample, sourceLatents, part);
		return sample;
	}

	/** As if it had painted these latents: the next frame follows from them. In a style. Errors: ERR_MODEL, ERR_ENGINE. */
	async remember(frame: number, latents: Tensor<Float32Array>, sourceLatents: Tensor<Float32Array>): Promise<void> {
		await this.#write(frame, latents, sourceLatents, undefined);
	}

	/** The clean pass. */
	async #write(
		frame: number,
		latents: Tensor<Float32Array>,
		sourceLatents: Tensor<Float32Array>,
		part: Part | undefined,
	): Promise<void> {
		const clean = await this.#pass(latents, sourceLatents, 0, part);
		// Keys and values that are no numbers would be read for as long as they are held; they show in the velocity.
		expectNumbers((clean['velocity'] as Tensor<Float32Array>).data, 'the transformer', 'dit_step');
		this.cache.write(frame, keysAndValues(clean, this.cache.keys.length));
		this.#painted = { latents: { data: latents.data.slice(), shape: latents.shape }, hidden: clean['hidden']! };
	}

	async #pass(
		sample: Tensor<Float32Array>,
		sourceLatents: Tensor<Float32Array>,
		level: number,
		part: Part | undefined,
	): Promise<Record<string, Tensor>> {
		const inputs: Record<string, Tensor> = {
			sample,
			timestep: { data: Float32Array.of(1000 * level), shape: [1] },
			source_latents: sourceLatents,
			attention_bias: this.cache.bias,
			...this.#words,
		};
		for (const [layer, key] of this.cache.keys.entries()) {
			inputs[`past_key_${layer}`] = key;
			inputs[`past_value_${layer}`] = this.cache.values[layer]!;
		}
		if (!part) return await this.#run('dit_step', inputs);
		inputs['kept'] = { data: BigInt64Array.from(part.kept, BigInt), shape: [part.kept.length] };
		inputs['own_hidden'] = part.hidden;
		for (const [layer, key] of this.cache.newest!.keys.entries()) {
			inputs[`own_key_${layer}`] = key;
			inputs[`own_value_${layer}`] = this.cache.newest!.values[layer]!;
		}
		return await this.#run('dit_step_kept', inputs);
	}

	#run(role: keyof CausalGraphs, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
		// No side of these graphs depends on a size.
		return this.#graphs[role].run(inputs, { batch: 1, height: 0, width: 0 });
	}
}

/** Puts the last painting where a token was not painted, into latents [1, channels, height, width] of square tokens. */
const keepTokens = (
	{ data, shape }: Tensor<Float32Array>,
	last: Tensor<Float32Array>,
	kept: Uint32Array,
	tokens: number,
): void => {
	const [, channels = 0, height = 0, width = 0] = shape;
	const patch = Math.sqrt((height * width) / tokens);
	const isKept = new Uint8Array(tokens);
	for (const token of kept) isKept[token] = 1;
	for (let channel = 0; channel < channels; channel++)
		for (let y = 0; y < height; y++)
			for (let x = 0; x < width; x++) {
				const at = (channel * height + y) * width + x;
				if (!isKept[Math.floor(y / patch) * (width / patch) + Math.floor(x / patch)]) data[at] = last.data[at]!;
			}
};

const keysAndValues = (outputs: Record<string, Tensor>, layers: number): KeysAndValues => {
	const of = (name: string) =>
		Array.from({ length: layers }, (_, layer) => outputs[`${name}_${layer}`] as Tensor<Float32Array>);
	return { keys: of('key'), values: of('value') };
};
