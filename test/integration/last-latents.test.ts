// What the denoiser of models/lite makes of the latents that it gave last, against its graph run by hand.
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../sidecar/frame/tensor.ts';
import { Denoiser, type TemporalConditioning } from '../../sidecar/inference/denoiser.ts';
import { openGraph } from '../../sidecar/inference/manifest.ts';
import { LITE, openLite } from '../support/lite.ts';
import { readParityFixture, relativeError } from '../support/parity.ts';

const { tensor: unpack } = await readParityFixture(LITE);
const folder = await openLite();
const SIZES = { batch: 1, height: 64, width: 64 };
const noise = unpack('sample') as Tensor<Float32Array>;
const images = unpack('cond_image') as Tensor<Uint8Array>;
/** One cell and a quarter to the right. */
const flow = { width: 16, height: 16, data: Float32Array.from({ length: 512 }, (_, at) => (at % 2 ? 0 : 1.25)) };

const open = () => Denoiser.open(folder, { provider: 'cpu', painted: SIZES, precision: 'fp32' });

const latentsOf = async (denoiser: Denoiser, temporal: TemporalConditioning, line = 0): Promise<Tensor> => {
	const prompt = {
		promptEmbeds: unpack('prompt_embeds') as Tensor<Float32Array>,
		attentionMask: unpack('attention_mask') as Tensor<BigInt64Array>,
	};
	const sourceLatents = unpack('source_latents') as Tensor<Float32Array>;
	const [result] = await denoiser.denoise([{ line, noise, steps: 1, sourceLatents, prompt, temporal }]);
	return result!.latents;
};

const byHand = async (last: Tensor): Promise<Tensor> => {
	await using conditioner = await openGraph(folder, 'lllite_cond', 'cpu');
	await using unet = await openGraph(folder, 'unet', 'cpu');
	const moved = new Float32Array(last.data.length);
	for (let at = 0; at < moved.length; at++) moved[at] = Number(last.data[at % 16 === 0 ? at : at - 1]);
	// The place of the first column is the border, the others' lie a quarter of a cell to the left of what they took.
	const offsets = Float32Array.from({ length: 512 }, (_, at) => (at < 256 && at % 16 > 1 ? -0.25 : 0));
	for (let row = 0; row < 16; row++) offsets[16 * row + 1] = 0;
	const { velocity } = await unet.run(
		{
			sample: noise,
			timestep: { data: Float32Array.of(1000), shape: [1] },
			prompt_embeds: unpack('prompt_embeds'),
			source_latents: unpack('source_latents'),
			...(await conditioner.run({ image: images }, SIZES)),
			last_latents: { data: moved, shape: last.shape },
			last_offsets: { data: offsets, shape: [1, 2, 16, 16] },
			multiplier: { data: Float32Array.of(1), shape: [1] },
		},
		SIZES,
	);
	return { data: Float32Array.from(noise.data, (z, at) => z - Number(velocity!.data[at])), shape: noise.shape };
};

describe('the latents of the last frame', () => {
	it('go, moved, into the next one', async () => {
		await using denoiser = await open();
		const first = await latentsOf(denoiser, { multiplier: 0 });
		const expected = await byHand(first);
		const second = await latentsOf(denoiser, { multiplier: 1, images, flows: [flow] });
		expect(relativeError(second, expected)).toBeLessThan(1e-5);
		expect(relativeError(second, first)).toBeGreaterThan(1e-2);
	});

	it("are no other line's: where there are none, the adapter is off for a batch", async () => {
		await using denoiser = await open();
		const first = await latentsOf(denoiser, { multiplier: 0 });
		const temporal = { multiplier: 1, images, flows: [flow] };
		expect(await latentsOf(denoiser, temporal, 1)).toEqual(first);
		expect(await latentsOf(denoiser, temporal, 1)).not.toEqual(first);
		denoiser.forget(1);
		expect(await latentsOf(denoiser, temporal, 1)).toEqual(first);
	});
});
