import { isDeepStrictEqual } from 'node:util';
import { SidecarError } from '../../errors.ts';
import { concatenate, element, zeros, type Tensor } from '../../frame/tensor.ts';
import { eulerStep, expectNumbers, type CausalConditioning } from '../denoiser.ts';
import type { CausalGraph, CausalGraphs, NextFrame } from './causal-denoiser.ts';
import { BUFFERED, empty, EMPTY_BUFFER, enter, finish, remember, type BufferPass } from './moving-buffer.ts';

/** Those that a moving buffer needs. */
export interface BufferGraphs extends Pick<CausalGraphs, 'dit_prompt' | 'dit_reference'> {
	dit_buffer: CausalGraph;
}

interface BufferedFrame extends Pick<NextFrame, 'noise' | 'sourceLatents' | 'sigmas'> {
	/** After its first step. */
	begun?: Tensor<Float32Array>;
}

/**
 * The frames of one line in a moving buffer: a pass a frame, in which each is painted beside the one that is a step ahead, or a step
 * behind, and the reference. A painting comes with the frame after it, or when it is finished without one. One call at a time.
 */
export class BufferedFrames {
	readonly #graphs: BufferGraphs;
	#buffer = EMPTY_BUFFER as BufferPass<BufferedFrame>['buffer'];
	#style: string | undefined;
	#promptEmbeds: Tensor<Float32Array> | undefined;
	/** What the graph is told of them. */
	#words: Record<string, Tensor> = {};
	#reference: Record<string, Tensor> = {};

	constructor(graphs: BufferGraphs) {
		this.#graphs = graphs;
	}

	/**
	 * The painting of the frame before; undefined where there was none, or it was given already. What is of another scene or style
	 * is not painted beside it. Errors: ERR_MODEL, ERR_ENGINE, ERR_MEMORY.
	 */
	async enter(
		{ noise, sourceLatents, promptEmbeds, sigmas, isCut }: NextFrame,
		{ style, reference, before }: Pick<CausalConditioning, 'style' | 'reference' | 'before'>,
	): Promise<Tensor<Float32Array> | undefined> {
		if (sigmas.length !== BUFFERED + 1)
			throw new SidecarError(
				'ERR_MODEL',
				`The moving buffer has a frame at each of ${BUFFERED} steps, not ${sigmas.length - 1}. Give --steps ${BUFFERED}, or leave --moving-buffer out.`,
			);
		const frame = { noise, sourceLatents, sigmas };
		let last: Tensor<Float32Array> | undefined;
		if (isCut || style !== this.#style) {
			last = await this.finish();
			this.#buffer = empty(this.#buffer);
		}
		await this.#takeUp(promptEmbeds, style, reference);
		if (before && !isCut) this.#buffer = remember(this.#buffer, asBegun(frame, before));
		return (await this.#pass(enter(this.#buffer, frame))) ?? last;
	}

	/** The painting that is owed, without the frame after it; undefined where none is. Errors: ERR_MODEL, ERR_ENGINE, ERR_MEMORY. */
	async finish(): Promise<Tensor<Float32Array> | undefined> {
		const pass = finish(this.#buffer);
		return pass && (await this.#pass(pass));
	}

	async #pass({
		rows,
		finished,
		entered,
		buffer,
	}: BufferPass<BufferedFrame>): Promise<Tensor<Float32Array> | undefined> {
		const { sigmas } = rows[0].frame;
		const samples = rows.map(({ frame, step }) => (step === 0 ? frame.noise : frame.begun!));
		const levels = rows.map(({ step }) => 1000 * sigmas[step]!);
		const { velocity } = await this.#run('dit_buffer', {
			sample: concatenate(samples),
			timestep: { data: Float32Array.from(levels), shape: [BUFFERED] },
			source_latents: concatenate(rows.map(({ frame }) => frame.sourceLatents)),
			...this.#words,
			...this.#reference,
		});
		const stepped = (row: 0 | 1): Tensor<Float32Array> => {
			const { step } = rows[row];
			const z = { ...samples[row]!, data: samples[row]!.data.slice() };
			eulerStep(z.data, element(velocity as Tensor<Float32Array>, row).data, sigmas[step + 1]! - sigmas[step]!);
			expectNumbers(z.data, 'the transformer', 'dit_buffer');
			return z;
		};
		const painting = finished === undefined ? undefined : stepped(finished);
		if (entered !== undefined) rows[entered].frame.begun = stepped(entered);
		this.#buffer = buffer;
		return painting;
	}

	/** Before another style, nothing is in the buffer; other words of the same one are those of both frames. */
	async #takeUp(
		promptEmbeds: Tensor<Float32Array>,
		style: string,
		reference: Tensor<Float32Array> | undefined,
	): Promise<void> {
		if (style !== this.#style) this.#reference = await this.#shown(reference);
		if (!this.#promptEmbeds || !isDeepStrictEqual(promptEmbeds.data, this.#promptEmbeds.data))
			this.#words = await this.#run('dit_prompt', { prompt_embeds: promptEmbeds });
		this.#style = style;
		this.#promptEmbeds = promptEmbeds;
	}

	async #shown(reference: Tensor<Float32Array> | undefined): Promise<Record<string, Tensor>> {
		const made = reference && (await this.#run('dit_reference', { reference_latents: reference }));
		const inputs: Record<string, Tensor> = {
			reference_shown: { data: Float32Array.of(made ? 1 : 0), shape: [1] },
		};
		for (const { name, shape } of this.#graphs.dit_buffer.spec.inputs) {
			const [, own] = /^reference_((?:key|value)_\d+)$/.exec(name) ?? [];
			if (own) inputs[name] = made?.[own] ?? zeros(shape as number[]);
		}
		return inputs;
	}

	#run(role: keyof BufferGraphs, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
		// No side of these graphs depends on a size.
		return this.#graphs[role].run(inputs, { batch: 1, height: 0, width: 0 });
	}
}

/** What another has painted, as it would be after its first step from this frame's noise: on the line from there to the painting. */
const asBegun = (
	{ noise, sigmas }: BufferedFrame,
	{ painting, sourceLatents }: NonNullable<CausalConditioning['before']>,
): BufferedFrame => {
	const level = sigmas[1]!;
	const data = painting.data.map((value, i) => value + level * (noise.data[i]! - value));
	return { noise, sigmas, sourceLatents, begun: { data, shape: painting.shape } };
};
