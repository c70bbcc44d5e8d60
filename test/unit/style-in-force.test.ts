import { expect, test } from 'vitest';
import type { Encoding, MovingBatch } from '../../sidecar/engine/batch.ts';
import { EncoderStream } from '../../sidecar/engine/encoder-stream.ts';
import { received, toSend } from '../../sidecar/engine/engine-protocol.ts';
import { STILL_WORLD } from '../../sidecar/engine/simulated-line.ts';
import { pictureByteLength, rgbLayout, type Picture, type Size } from '../../sidecar/frame/frame.ts';
import { zeros } from '../../sidecar/frame/tensor.ts';
import type { EncodeRequest } from '../../sidecar/inference/encoder.ts';
import type { Condition, Parameters } from '../../sidecar/parameters.ts';
import { frameOf, parametersOf } from '../support/frames.ts';

// What the encoder's stream says of the style to a model that paints each frame from the paintings before it.

const PAINTED = { width: 32, height: 32 };
const SAID = 'as it is shown';
const pictureOf = (size: Size, value = 0): Picture => ({
	...rgbLayout(size),
	data: new Uint8Array(pictureByteLength(rgbLayout(size))).fill(value),
});
const shows = (id: string, weight: number): Condition => ({
	prompt: `like ${id}`,
	weight,
	reference: { id, picture: pictureOf({ width: 7, height: 5 }) },
});
const says = (prompt: string, weight: number): Condition => ({ prompt, weight });

/** The encodings of batches with these parameters, and what the device was asked. */
const encoded = async (all: readonly Partial<Parameters>[], { isCausal = true } = {}) => {
	const asked: EncodeRequest[] = [];
	const stream = new EncoderStream({
		device: {
			encode: async (request) => {
				asked.push(request);
				return {
					sourceLatents: { ...zeros([request.pictures.shape[0]!, 1, 1, 1]), data: Float32Array.of(asked.length) },
					details: {},
					...(request.text && {
						prompts: request.text.prompts.map(() => ({
							promptEmbeds: zeros([1, 1, 1]),
							attentionMask: { data: new BigInt64Array(1), shape: [1, 1] },
						})),
					}),
					stagesMs: { vaeEncodeMs: 1 },
				};
			},
		},
		native: STILL_WORLD,
		vision: PAINTED,
		...(isCausal && { causal: { painted: PAINTED, referencePrompt: SAID } }),
		observer: { stage: () => {}, batch: () => {} },
	});
	async function* batches(): AsyncGenerator<MovingBatch> {
		for (const [index, given] of all.entries())
			yield {
				index,
				frames: [frameOf(index)],
				parameters: { ...parametersOf({ teRefreshEvery: 256 }), ...given },
				pictures: [pictureOf(PAINTED)],
				sideStartUs: 0,
				isReused: false,
				motion: Promise.reject(new Error('not asked')),
				noise: Promise.reject(new Error('not asked')),
			};
	}
	const encodings: Encoding[] = [];
	for await (const { encoding, motion, noise } of stream.encode(batches())) {
		for (const unheard of [motion, noise]) unheard.catch(() => {});
		encodings.push(encoding!);
	}
	return { encodings, prompts: asked.flatMap(({ text }) => text?.prompts ?? []), requests: asked.length };
};

const stylesOf = async (...all: (readonly Condition[])[]) =>
	(await encoded(all.map((conditioning) => ({ conditioning })))).encodings.map(({ causal }) => causal!);

test('strength, a refreshed embedding and what is armed are no other style; another prompt, reference or seed is', async () => {
	const [oil, weak, armed, ink, shown] = await stylesOf(
		[says('oil', 1)],
		[says('oil', 0.2)],
		[says('oil', 1), shows('a', 0)],
		[says('ink', 1)],
		[shows('a', 1)],
	);
	expect([weak!.style, armed!.style]).toEqual([oil!.style, oil!.style]);
	expect(armed!.mixture).toBe(oil!.mixture);
	expect(weak!.mixture).not.toBe(oil!.mixture);
	expect(new Set([oil!.style, ink!.style, shown!.style]).size).toBe(3);
	expect(oil!.reference).toBeUndefined();
	const { encodings } = await encoded([{ seed: 1 }, { seed: 2 }, { seed: 2, epoch: 9 }]);
	const [first, second, third] = encodings.map(({ causal }) => causal!.style);
	expect(second).not.toBe(first);
	expect(third).toBe(second);
});

test('in a cross-fade the heavier side is in force, and at the very middle still the old one', async () => {
	const faded = await stylesOf(...[0, 0.4, 0.5, 0.6, 1].map((share) => [shows('a', 1 - share), says('ink', share)]), [
		says('ink', 1),
	]);
	const [a, , , , , ink] = faded.map(({ style }) => style);
	expect(faded.map(({ style }) => style)).toEqual([a, a, a, ink, ink, ink]);
	expect(faded.map(({ reference }) => reference !== undefined)).toEqual([true, true, true, false, false, false]);
});

test('where a picture shows the style, the model’s own words are said', async () => {
	const { prompts, encodings } = await encoded([{ conditioning: [shows('a', 0.7), shows('b', 0.3), says('ink', 0)] }]);
	expect(prompts).toEqual([SAID, 'ink']);
	expect(encodings[0]!.causal!.mixture).toBe(JSON.stringify([[SAID, 1]]));
	const other = await encoded([{ conditioning: [shows('a', 1)] }], { isCausal: false });
	expect(other.prompts).toEqual(['like a']);
	expect(other.encodings[0]!.causal).toBeUndefined();
	expect(other.requests).toBe(1);
});

test('a reference is encoded once for as long as it is in use, and before it has weight', async () => {
	const a = [says('oil', 1), shows('a', 0)];
	const { requests, encodings } = await encoded([
		{ conditioning: a },
		{ conditioning: a },
		{ conditioning: [shows('a', 1)] },
		{ conditioning: [says('oil', 1)] },
		{ conditioning: [shows('a', 1)] },
	]);
	// Five batches; a, and a once more.
	expect(requests).toBe(7);
	expect(encodings[2]!.causal!.reference!.data[0]).toBe(2);
	expect(encodings[4]!.causal!.reference!.data[0]).toBe(7);
});

test('the pixels of a reference cross to an engine once, as long as the parameters before had it', () => {
	const { picture } = shows('a', 1).reference!;
	const first = { ...parametersOf(), conditioning: [shows('a', 1), says('ink', 0)] };
	const second = { ...parametersOf(), conditioning: [shows('a', 0.5), shows('b', 0.5)] };
	expect(toSend(first, parametersOf()).conditioning[0]!.reference).toEqual({ id: 'a', picture });
	const sent = toSend(second, first);
	expect(sent.conditioning.map(({ reference }) => reference)).toEqual([{ id: 'a' }, { id: 'b', picture }]);
	expect(received(sent, first)).toEqual(second);
	expect(received(toSend(first, second), second)).toEqual(first);
});
