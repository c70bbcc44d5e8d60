import { describe, expect, it } from 'vitest';
import type { ModelManifest } from '../../sidecar/config/schema/manifest.ts';
import { mixEmbeds } from '../../sidecar/engine/encoder-stream.ts';
import { foldNoise } from '../../sidecar/engine/noise-field.ts';
import { concatenate, element, expectShape } from '../../sidecar/frame/tensor.ts';
import { gaussianNoise } from '../../sidecar/inference/gaussian-noise.ts';
import { flowMatchSigmas, imageSeqLen } from '../../sidecar/inference/noise-schedule.ts';
import { autoPaintedSize, checkPaintedSize } from '../../sidecar/inference/painted-size.ts';

const DREAMLITE = { baseShift: 0.5, maxShift: 1.15, baseSeqLen: 256, maxSeqLen: 4096 };

describe('flow-match Euler schedule', () => {
	it.each([
		[256, [1, 0.831824, 0.622459, 0.354661, 0]],
		[512, [1, 0.849235, 0.652489, 0.384945, 0]],
		[768, [1, 0.874931, 0.699867, 0.437345, 0]],
		[1024, [1, 0.904531, 0.759511, 0.512844, 0]],
	])("gives DreamLite's sigmas for four steps at %i px", (side, expected) => {
		const sigmas = flowMatchSigmas(DREAMLITE, 4, imageSeqLen(side, side));
		expect(sigmas).toHaveLength(5);
		sigmas.forEach((sigma, i) => expect(sigma).toBeCloseTo(expected[i]!, 6));
	});

	it('gives [1, 0.652489, 0] for two steps at 512 px, and [1, 0] for one at any size', () => {
		const two = flowMatchSigmas(DREAMLITE, 2, imageSeqLen(512, 512));
		[1, 0.652489, 0].forEach((sigma, i) => expect(two[i]).toBeCloseTo(sigma, 6));
		for (const side of [256, 512, 1024]) expect(flowMatchSigmas(DREAMLITE, 1, imageSeqLen(side, side))).toEqual([1, 0]);
	});
});

describe('conditioning', () => {
	const embedsOf = (values: number[], counts: bigint[]) => ({
		promptEmbeds: { data: Float32Array.from(values), shape: [1, 1, values.length] },
		attentionMask: { data: BigInt64Array.from(counts), shape: [1, counts.length] },
	});

	it('is the weighted sum of the embeddings, over the tokens of either', () => {
		const mixed = mixEmbeds([
			{ embeds: embedsOf([4, 0], [1n, 0n]), weight: 0.25 },
			{ embeds: embedsOf([0, 8], [1n, 1n]), weight: 0.75 },
		]);
		expect([...mixed.promptEmbeds.data]).toEqual([1, 6]);
		expect([...mixed.attentionMask.data]).toEqual([1n, 1n]);
	});

	it('leaves what it mixes as it was', () => {
		const embeds = embedsOf([4, 0], [1n, 0n]);
		mixEmbeds([
			{ embeds, weight: 0.5 },
			{ embeds: embedsOf([0, 8], [1n, 1n]), weight: 0.5 },
		]);
		expect([...embeds.promptEmbeds.data]).toEqual([4, 0]);
		expect([...embeds.attentionMask.data]).toEqual([1n, 0n]);
	});
});

describe('noise', () => {
	it('is standard normal, the same for a seed and another for another', () => {
		const noise = gaussianNoise(42, 200_000);
		const mean = noise.reduce((sum, x) => sum + x, 0) / noise.length;
		const variance = noise.reduce((sum, x) => sum + (x - mean) ** 2, 0) / noise.length;
		const beyondTwo = noise.filter((x) => Math.abs(x) > 2).length / noise.length;
		expect(mean).toBeCloseTo(0, 2);
		expect(variance).toBeCloseTo(1, 1);
		expect(beyondTwo).toBeCloseTo(0.0455, 2);
		expect(gaussianNoise(42, 1000)).toEqual(noise.slice(0, 1000));
		expect(gaussianNoise(43, 1000)).not.toEqual(noise.slice(0, 1000));
		expect(gaussianNoise(42, 7)).toEqual(noise.slice(0, 7));
	});

	it('folds a quarter grid into latents of an eighth, 2 x 2 neighbours into channels', () => {
		// one channel of 4 x 4: 0..15
		const field = Float32Array.from({ length: 16 }, (_, i) => i);
		const { data, shape } = foldNoise(field, { channels: 1, width: 4, height: 4 }, 2);
		expect(shape).toEqual([1, 4, 2, 2]);
		expect([...data]).toEqual([0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]);
	});
});

describe('tensors', () => {
	it('cuts an element out of a batch and joins batches', () => {
		const batch = { data: Float32Array.from([1, 2, 3, 4, 5, 6]), shape: [3, 2] };
		expect([...element(batch, 1).data]).toEqual([3, 4]);
		expect(concatenate([element(batch, 2), element(batch, 0)])).toEqual({
			data: Float32Array.from([5, 6, 1, 2]),
			shape: [2, 2],
		});
	});

	it('prints both shapes where they differ', () => {
		const tensor = { data: new Float32Array(8), shape: [2, 4] };
		expect(() => expectShape(tensor, [2, 5], 'latents')).toThrow(
			'latents has shape [2, 4] (8 numbers), expected [2, 5].',
		);
		expect(() => expectShape({ ...tensor, shape: [2, 5] }, [2, 5], 'latents')).toThrow('(8 numbers)');
	});
});

describe('painted size', () => {
	const lite = {
		name: 'lite',
		size: { multipleOf: 32, min: [64, 64], max: [1920, 1088], default: [512, 288] },
	} as unknown as ModelManifest;
	const fixed = { name: 'big', size: { fixed: [512, 512] } } as unknown as ModelManifest;

	it.each([
		[1920, 1080, 512, 288],
		[7680, 4320, 512, 288],
		[1080, 1920, 288, 512],
		[640, 480, 416, 320],
		[1, 1, 384, 384],
	])('for a source of %ix%i is %ix%i', (width, height, paintedWidth, paintedHeight) => {
		expect(autoPaintedSize(lite, { width, height })).toEqual({ width: paintedWidth, height: paintedHeight });
	});

	it('stays inside what the model can do for the oddest source', () => {
		for (const source of [
			{ width: 10_000, height: 1 },
			{ width: 1, height: 10_000 },
		])
			expect(() => checkPaintedSize(lite, autoPaintedSize(lite, source))).not.toThrow();
		expect(autoPaintedSize(fixed, { width: 1920, height: 1080 })).toEqual({ width: 512, height: 512 });
	});

	it('refuses a size that the model cannot paint, saying what it can', () => {
		expect(() => checkPaintedSize(lite, { width: 500, height: 288 })).toThrow('multiples of 32');
		expect(() => checkPaintedSize(lite, { width: 4096, height: 288 })).toThrow('1920x1088');
		expect(() => checkPaintedSize(fixed, { width: 512, height: 288 })).toThrow('512x512 only');
	});
});
