// models/lite in onnxruntime against the torch model it was exported from: models/lite/parity.json holds what torch gave.
import { describe, expect, it } from 'vitest';
import type { GraphRole } from '../../sidecar/config/schema/manifest.ts';
import type { Tensor } from '../../sidecar/frame/tensor.ts';
import { Decoder } from '../../sidecar/inference/decoder.ts';
import { Denoiser } from '../../sidecar/inference/denoiser.ts';
import { openGraph } from '../../sidecar/inference/manifest.ts';
import { readTokenizer } from '../../sidecar/inference/tokenizer.ts';
import { LITE, openLite } from '../support/lite.ts';
import { readParityFixture, relativeError } from '../support/parity.ts';

const { prompt, timestep, tensor: unpack } = await readParityFixture(LITE);
const folder = await openLite();
const SIZES = { batch: 1, height: 64, width: 64 };

const run = async (role: GraphRole, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> => {
	await using graph = await openGraph(folder, role, 'cpu');
	return await graph.run(inputs, SIZES);
};

const encodePrompt = async () => {
	const features = await run('te_vision', { image: unpack('te_image') });
	return await run('te_text', {
		input_ids: unpack('input_ids'),
		attention_mask: unpack('attention_mask'),
		...features,
	});
};

const denoise = async (multiplier: number) => {
	const condEmbeds = await run('lllite_cond', { image: unpack('cond_image') });
	const { velocity } = await run('unet', {
		sample: unpack('sample'),
		timestep: { data: Float32Array.of(timestep), shape: [1] },
		prompt_embeds: unpack('prompt_embeds'),
		source_latents: unpack('source_latents'),
		...condEmbeds,
		last_latents: unpack('last_latents'),
		last_offsets: unpack('last_offsets'),
		multiplier: { data: Float32Array.of(multiplier), shape: [1] },
	});
	return velocity!;
};

describe('models/lite gives what torch gave', () => {
	it('in the tokens of a prompt', async () => {
		const { inputIds, attentionMask } = (await readTokenizer(folder))(prompt);
		expect(inputIds.data).toEqual(unpack('input_ids').data);
		expect(attentionMask.data).toEqual(unpack('attention_mask').data);
	});

	it('in the text-and-vision encoder', async () => {
		const { prompt_embeds } = await encodePrompt();
		expect(relativeError(prompt_embeds!, unpack('prompt_embeds'))).toBeLessThan(1e-3);
	});

	it('in the autoencoder and the denoiser, with and without the temporal adapter', async () => {
		const { source_latents } = await run('vae_encoder', { image: unpack('image') });
		expect(relativeError(source_latents!, unpack('source_latents'))).toBeLessThan(1e-3);
		expect(relativeError(await denoise(0), unpack('velocity'))).toBeLessThan(1e-3);
		expect(relativeError(await denoise(1), unpack('velocity_adapted'))).toBeLessThan(1e-3);
		expect(relativeError(unpack('velocity_adapted'), unpack('velocity'))).toBeGreaterThan(1e-3); // the adapter says something
	});

	it('in the painting', async () => {
		const { source_latents: _, ...details } = await run('vae_encoder', { image: unpack('image') });
		const [noise, velocity] = [unpack('sample'), unpack('velocity')];
		const x0 = Float32Array.from(noise.data as Float32Array, (z, i) => z - Number(velocity.data[i]));
		const { image } = await run('vae_decoder', { latents: { data: x0, shape: noise.shape }, ...details });
		const painting = unpack('painting');
		const differences = (image!.data as Uint8Array).map((value, i) => Math.abs(value - Number(painting.data[i])));
		expect(Math.max(...differences)).toBeLessThanOrEqual(1); // of 255
	});

	it('in the painting of the denoiser, which takes the velocity from the noise in its one step', async () => {
		const { source_latents: _, ...details } = await run('vae_encoder', { image: unpack('image') });
		const settings = { provider: 'cpu', painted: SIZES, precision: 'fp32' } as const;
		await using denoiser = await Denoiser.open(folder, settings);
		const [denoised] = await denoiser.denoise([
			{
				line: 0,
				noise: unpack('sample') as Tensor<Float32Array>,
				steps: 1,
				sourceLatents: unpack('source_latents') as Tensor<Float32Array>,
				prompt: {
					promptEmbeds: unpack('prompt_embeds') as Tensor<Float32Array>,
					attentionMask: unpack('attention_mask') as Tensor<BigInt64Array>,
				},
				temporal: { multiplier: 0 },
			},
		]);
		await using decoder = await Decoder.open(folder, settings);
		const [decoded] = await decoder.decode([{ latents: denoised!.latents, details }]);
		const painting = unpack('painting');
		expect(decoded!.paintings.shape).toEqual(painting.shape);
		const differences = decoded!.paintings.data.map((value, i) => Math.abs(value - Number(painting.data[i])));
		expect(Math.max(...differences)).toBeLessThanOrEqual(1); // of 255
	});
});
