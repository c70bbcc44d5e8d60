import type { promptShapesOf } from '../config/schema/manifest.ts';
import type { EncodedPrompt } from '../engine/engine.ts';
import { elementCount } from '../frame/tensor.ts';

/** Embeddings as they cross the network: for each prompt its floats, then its mask as 64-bit integers, all little endian. */

/** What the words of the message say of one prompt. */
export interface EmbeddedPrompt {
	/** Null is the model's neutral one. */
	prompt: string | null;
	shape: number[];
	maskShape: number[];
}

type PromptShapes = ReturnType<typeof promptShapesOf>;

const FLOAT_BYTES = 4;
const INTEGER_BYTES = 8;

const bytesOf = ({ shape, maskShape }: EmbeddedPrompt): number =>
	FLOAT_BYTES * elementCount(shape) + INTEGER_BYTES * elementCount(maskShape);

export const encodePrompts = (
	encoded: readonly EncodedPrompt[],
): { prompts: EmbeddedPrompt[]; payload: Uint8Array } => {
	const prompts = encoded.map(({ prompt, embeds: { promptEmbeds, attentionMask } }) => ({
		prompt: prompt ?? null,
		shape: [...promptEmbeds.shape],
		maskShape: [...attentionMask.shape],
	}));
	const parts = encoded.flatMap(({ embeds: { promptEmbeds, attentionMask } }) =>
		[promptEmbeds.data, attentionMask.data].map((data) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
	);
	return { prompts, payload: Buffer.concat(parts) };
};

/** Whether they are what a model makes of prompts and one frame. */
export const areOfModel = (prompts: readonly EmbeddedPrompt[], model: PromptShapes): boolean =>
	prompts.every(
		({ shape, maskShape }) => String(shape) === String(model.shape) && String(maskShape) === String(model.maskShape),
	);

/** Undefined where the shapes are not those of the model, the bytes not as many as they say, or a number is none. */
export const decodePrompts = (
	prompts: readonly EmbeddedPrompt[],
	payload: Uint8Array,
	model: PromptShapes,
): EncodedPrompt[] | undefined => {
	if (!areOfModel(prompts, model)) return undefined;
	if (prompts.reduce((sum, prompt) => sum + bytesOf(prompt), 0) !== payload.length) return undefined;
	let offset = 0;
	// A copy, for numbers have to lie where their size divides the address.
	const take = (bytes: number) => new Uint8Array(payload.subarray(offset, (offset += bytes))).buffer;
	const decoded = prompts.map(({ prompt, shape, maskShape }) => ({
		prompt: prompt ?? undefined,
		embeds: {
			promptEmbeds: { shape, data: new Float32Array(take(FLOAT_BYTES * elementCount(shape))) },
			attentionMask: { shape: maskShape, data: new BigInt64Array(take(INTEGER_BYTES * elementCount(maskShape))) },
		},
	}));
	return decoded.every(({ embeds }) => embeds.promptEmbeds.data.every(Number.isFinite)) ? decoded : undefined;
};
