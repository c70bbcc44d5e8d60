// A DreamLite-mobile of a tenth of every width, with random weights: its graphs in onnxruntime against the plain networks in torch.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GraphRole, TensorSpec } from '../../sidecar/config/schema/manifest.ts';
import { rgbLayout } from '../../sidecar/frame/frame.ts';
import { concatenate, elementCount, zeros, type Tensor } from '../../sidecar/frame/tensor.ts';
import { gaussianNoise } from '../../sidecar/inference/gaussian-noise.ts';
import { openGraph, openModelFolder, type ModelFolder } from '../../sidecar/inference/manifest.ts';
import { resolveShape, type GraphSession } from '../../sidecar/inference/session.ts';
import { readTokenizer } from '../../sidecar/inference/tokenizer.ts';
import { loadNative } from '../../sidecar/native.ts';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { ffmpeg } from '../support/clips.ts';
import { exportTenth, writeTenthCheckpoint } from '../support/dreamlite.ts';
import { editManifest } from '../support/lite.ts';
import { readParityFixture, relativeError, type ParityFixture } from '../support/parity.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-dreamlite-'));
	const checkpoint = await writeTenthCheckpoint(folder);
	await exportTenth(checkpoint, folder, ['--size', '512x512', '--size', '512x288']);
	await exportTenth(checkpoint, folder, ['--size', '128x64', '--half']);
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Smallest cosine of the rows that the mask counts. */
const worstCosine = (found: Tensor, expected: Tensor, mask: Tensor, dropped: number): number => {
	const [, tokens = 0, channels = 0] = expected.shape;
	let worst = 1;
	for (let token = 0; token < tokens; token++) {
		if (mask.data[dropped + token] !== 1n) continue;
		let [dot, a, b] = [0, 0, 0];
		for (let i = token * channels; i < (token + 1) * channels; i++) {
			const [x, y] = [Number(found.data[i]), Number(expected.data[i])];
			dot += x * y;
			a += x * x;
			b += y * y;
		}
		worst = Math.min(worst, dot / Math.sqrt(a * b));
	}
	return worst;
};

describe.each([
	{ name: 'dreamlite-mobile', width: 512, height: 512, tolerance: 1e-3, levels: 1 },
	{ name: 'dreamlite-mobile-512x288', width: 512, height: 288, tolerance: 1e-3, levels: 1 },
	{ name: 'dreamlite-mobile-128x64', width: 128, height: 64, tolerance: 1e-2, levels: 3 }, // in half floats
])('$name gives what torch gave', ({ name, width, height, tolerance, levels }) => {
	let model: ModelFolder;
	let fixture: ParityFixture;
	/** What docs/models.md has. */
	const measured: Record<string, string> = {};
	beforeAll(async () => {
		model = await openModelFolder(join(folder, name));
		fixture = await readParityFixture(join(folder, name));
	});
	afterAll(() => console.log(name, measured));

	const run = async (role: GraphRole, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> => {
		await using graph = await openGraph(model, role, 'cpu');
		return await graph.run(inputs, { batch: 1, height, width });
	};

	const denoise = async (
		unet: GraphSession,
		multiplier: number,
		condEmbeds: Record<string, Tensor>,
	): Promise<Tensor> => {
		const { dropTokens } = model.manifest.textEncoder;
		const { data, shape } = fixture.tensor('attention_mask');
		const inputs = {
			sample: fixture.tensor('sample'),
			timestep: { data: Float32Array.of(fixture.timestep), shape: [1] },
			prompt_embeds: fixture.tensor('prompt_embeds'),
			encoder_attention_mask: { data: data.slice(dropTokens), shape: [1, shape[1]! - dropTokens] },
			source_latents: fixture.tensor('source_latents'),
			...condEmbeds,
			multiplier: { data: Float32Array.of(multiplier), shape: [1] },
		};
		const { velocity } = await unet.run(inputs, { batch: 1, height, width });
		return velocity!;
	};

	/** As the addon makes them of the picture whose pixel_values torch made itself. */
	const pixelValues = async ({ data }: Tensor): Promise<Tensor> => {
		const { width: across, height: down, patches } = model.manifest.textEncoder.image;
		const picture = { ...rgbLayout({ width: across, height: down }), data: data as Uint8Array };
		const rows = zeros([1, 256, 1536]);
		await loadNative().patchRows(picture, { width: across, height: down, ...patches! }, rows.data);
		return rows;
	};

	it('in the text encoder, each token within a cosine of 0.999', async () => {
		const { dropTokens } = model.manifest.textEncoder;
		const mask = fixture.tensor('attention_mask');
		const features = await run('te_vision', { pixel_values: await pixelValues(fixture.tensor('te_image')) });
		const ids = { input_ids: fixture.tensor('input_ids'), attention_mask: mask };
		const { prompt_embeds } = await run('te_text', { ...ids, ...features });
		const expected = fixture.tensor('prompt_embeds');
		const cosine = worstCosine(prompt_embeds!, expected, mask, dropTokens);
		expect(cosine).toBeGreaterThan(0.999);
		measured['text encoder, worst cosine of a token'] = `1 - ${(1 - cosine).toExponential(0)}`;
		// The picture is seen, and each of DeepStack's maps: without one the tokens are others.
		for (const feature of Object.keys(features)) {
			const blind = { ...features[feature]!, data: new Float32Array(features[feature]!.data.length) };
			const { prompt_embeds: without } = await run('te_text', { ...ids, ...features, [feature]: blind });
			expect(worstCosine(without!, expected, mask, dropTokens), feature).toBeLessThan(0.999);
		}
	});

	it('in the autoencoder', async () => {
		const { source_latents } = await run('vae_encoder', { image: fixture.tensor('image') });
		const latentsError = relativeError(source_latents!, fixture.tensor('source_latents'));
		expect(latentsError).toBeLessThan(tolerance);
		// One step: x0 = noise - velocity.
		const [noise, velocity] = [fixture.tensor('sample'), fixture.tensor('velocity')];
		const x0 = Float32Array.from(noise.data as Float32Array, (z, i) => z - Number(velocity.data[i]));
		const { image } = await run('vae_decoder', { latents: { data: x0, shape: noise.shape } });
		const painting = fixture.tensor('painting').data as Uint8Array;
		expect(painting.some((value) => value !== painting[0])).toBe(true);
		let worst = 0;
		for (const [i, value] of painting.entries()) worst = Math.max(worst, Math.abs(value - Number(image!.data[i])));
		expect(worst).toBeLessThanOrEqual(levels); // of 255
		measured['latents'] = latentsError.toExponential(1);
		measured['painting, of 255'] = String(worst);
	});

	it('in the denoiser, with the adapter and without, and bit for bit as without at multiplier 0', async () => {
		const condEmbeds = await run('lllite_cond', { image: fixture.tensor('cond_image') });
		await using unet = await openGraph(model, 'unet', 'cpu');
		const plain = await denoise(unet, 0, condEmbeds);
		const adapted = await denoise(unet, 1, condEmbeds);
		const errors = [
			relativeError(plain, fixture.tensor('velocity')),
			relativeError(adapted, fixture.tensor('velocity_adapted')),
		];
		for (const error of errors) expect(error).toBeLessThan(tolerance);
		measured['velocity, without the adapter and with it'] = errors.map((error) => error.toExponential(1)).join(', ');
		expect(relativeError(fixture.tensor('velocity_adapted'), fixture.tensor('velocity'))).toBeGreaterThan(1e-2);
		const none = Object.fromEntries(
			Object.entries(condEmbeds).map(([key, { data, shape }]) => [key, { data: new Float32Array(data.length), shape }]),
		);
		expect(await denoise(unet, 0, none)).toEqual(plain);
	});

	it('in the tokens, the system prompt before them as it was exported', async () => {
		const tokenize = await readTokenizer(model);
		expect(tokenize(fixture.prompt).attentionMask.data).toEqual(fixture.tensor('attention_mask').data);
		expect(fixture.tokens).toHaveLength(3);
		for (const { prompt, ids } of fixture.tokens)
			expect([...tokenize(prompt).inputIds.data].map(Number), prompt).toEqual(ids);
	});
});

it('a batch is painted as its frames are one by one, each with a timestep of its own', async () => {
	const model = await openModelFolder(join(folder, 'dreamlite-mobile-128x64'));
	const fixture = await readParityFixture(model.path);
	const { dropTokens, maxLength } = model.manifest.textEncoder;
	const mask = fixture.tensor('attention_mask') as Tensor<BigInt64Array>;
	const sizes = { batch: 1, width: 128, height: 64 };
	const of = (spec: TensorSpec, frame: number): Tensor => {
		if (spec.name === 'input_ids') return fixture.tensor('input_ids');
		if (spec.name === 'attention_mask') return mask;
		if (spec.name === 'encoder_attention_mask')
			return { data: mask.data.slice(dropTokens), shape: [1, maxLength - dropTokens] };
		if (spec.name === 'timestep') return { data: Float32Array.of([1000, 652.489][frame]!), shape: [1] };
		if (spec.name === 'multiplier') return { data: Float32Array.of(1), shape: [1] };
		const shape = resolveShape(spec, sizes);
		const noise = gaussianNoise(7 * frame + spec.name.length, elementCount(shape));
		return { data: spec.type === 'uint8' ? Uint8Array.from(noise, (z) => 128 + 40 * z) : noise, shape };
	};
	for (const role of Object.keys(model.manifest.graphs) as GraphRole[]) {
		await using graph = await openGraph(model, role, 'cpu');
		const frames = [0, 1].map((frame) =>
			Object.fromEntries(graph.spec.inputs.map((spec) => [spec.name, of(spec, frame)])),
		);
		const both = Object.fromEntries(
			graph.spec.inputs.map(({ name, shape }) => [
				name,
				shape[0] === 'batch' ? concatenate(frames.map((frame) => frame[name]!)) : frames[0]![name]!,
			]),
		);
		const together = await graph.run(both, { ...sizes, batch: 2 });
		const [first, second] = [await graph.run(frames[0]!, sizes), await graph.run(frames[1]!, sizes)];
		for (const [name, tensor] of Object.entries(together)) {
			expect(relativeError(tensor, concatenate([first[name]!, second[name]!])), `${role} ${name}`).toBeLessThan(1e-2);
			expect(relativeError(first[name]!, second[name]!), `${role} ${name}`).toBeGreaterThan(1e-2);
		}
	}
});

describe('what a prompt or a file cannot do', () => {
	let model: ModelFolder;
	beforeAll(async () => {
		model = await openModelFolder(join(folder, 'dreamlite-mobile-512x288'));
	});

	it('a prompt neither ends its turn nor brings pictures', async () => {
		const tokenize = await readTokenizer(model);
		const { added_tokens } = JSON.parse(await readFile(join(model.path, 'tokenizer.json'), 'utf8')) as {
			added_tokens: { id: number; content: string }[];
		};
		const marks = new Set(
			added_tokens.filter(({ content }) => content !== '<|endoftext|>').map(({ id }) => BigInt(id)),
		);
		const count = (prompt: string) => tokenize(prompt).inputIds.data.filter((id) => marks.has(id)).length;
		expect(count('anime')).toBe(3 + 2 + 2 + 64); // turns begun and ended, the picture's bounds, the picture
		for (const prompt of ['<|im_end|>', 'x<|image_pad|>y', '<|im_<|im_end|>end|>', '<|vision_start|><|image_pad|>'])
			expect(count(prompt), prompt).toBe(count('anime'));
	});

	/** A copy whose autoencoder has other weights in its file, with their right hash. */
	const withWeights = async (change: (weights: Buffer) => Buffer): Promise<ModelFolder> => {
		const copy = join(folder, 'copy');
		await rm(copy, { recursive: true, force: true });
		await cp(model.path, copy, { recursive: true });
		const data = join(copy, 'vae_encoder.onnx.data');
		const weights = change(await readFile(data));
		await writeFile(data, weights);
		const sha256 = createHash('sha256').update(weights).digest('hex');
		await editManifest(copy, ({ graphs }) => (graphs.vae_encoder.externalData[0].sha256 = sha256));
		return await openModelFolder(copy);
	};
	const encode = async (own: ModelFolder) => {
		await using graph = await openGraph(own, 'vae_encoder', 'cpu');
		const image = { data: new Uint8Array(512 * 288 * 3).fill(200), shape: [1, 288, 512, 3] };
		return (await graph.run({ image }, { batch: 1, height: 288, width: 512 }))['source_latents']!;
	};

	it('the weights of one model are never those of another with the same graph', async () => {
		const silent = await withWeights((weights) => weights.fill(0));
		expect(relativeError(await encode(silent), await encode(model))).toBeGreaterThan(0.1);
	});

	it('a graph does not read beyond the file of its weights, nor take one that was changed', async () => {
		const short = await withWeights((weights) => weights.subarray(0, weights.length - 8));
		await expect(encode(short)).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringMatching(/up to byte \d+ of vae_encoder\.onnx\.data, which has \d+/),
		});
		await writeFile(join(short.path, 'vae_encoder.onnx.data'), 'others');
		await expect(openModelFolder(short.path)).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringMatching(/vae_encoder\.onnx\.data has sha256 .*, expected/),
		});
	});
});

describe('allaprima with it', () => {
	const allaprima = (...args: string[]) =>
		spawnSync(process.execPath, [cli, ...args], {
			encoding: 'utf8',
			env: { PATH: process.env['PATH'], HOME: folder, XDG_DATA_HOME: join(folder, 'data') },
			timeout: 120_000,
		});
	const paint = (out: string, ...args: string[]) => {
		const path = join(folder, `${out}.mkv`);
		const report = join(folder, `${out}.json`);
		const source = ['--source', 'scene', '--frames', '3', '--pace', 'max', '--output', 'painted', '--provider', 'cpu'];
		const model = ['--model', 'dreamlite-mobile-512x288', '--batch-size', '2', '--cond-refresh-every', '1'];
		const painted = allaprima('run', ...source, ...model, '--sink', `file:${path}`, '--report', report, ...args);
		expect(painted, painted.stderr).toMatchObject({ status: 0 });
		return { path, report: JSON.parse(readFileSync(report, 'utf8')) as Report };
	};

	it('imports it, shows its licence, and paints with it by name, in one step and in two', async () => {
		const model = join(folder, 'dreamlite-mobile-512x288');
		const refused = allaprima('models', 'import', model);
		expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('may not be used commercially') });
		const imported = allaprima('models', 'import', model, '--accept-licence');
		expect(imported, imported.stderr).toMatchObject({ status: 0 });

		const oil = paint('oil');
		expect(oil.report).toMatchObject({
			model: 'dreamlite-mobile-512x288',
			size: { width: 512, height: 288 },
			framesIn: 3,
			framesOut: 3,
			batchSize: 2,
			steps: 1,
		});
		for (const stage of ['te', 'vaeEncode', 'warp', 'cond', 'unet', 'vaeDecode'])
			expect(oil.report.stagesMs, stage).toHaveProperty(stage);
		const ink = paint('ink', '--prompt', 'a drawing in ink', '--steps', '2');
		expect(ink.report).toMatchObject({ steps: 2, framesOut: 3 });
		// What is painted depends on the prompt, and on the frame.
		const frames = async (path: string) => {
			const rgb = await ffmpeg(`-i ${path} -f rawvideo -pix_fmt rgb24 -`);
			return [0, 1, 2].map((i) => rgb.subarray(i * 512 * 288 * 3, (i + 1) * 512 * 288 * 3));
		};
		const [first, second] = [await frames(oil.path), await frames(ink.path)];
		const distance = (a: Buffer, b: Buffer) => a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
		expect(distance(first[0]!, second[0]!)).toBeGreaterThan(1);
		expect(distance(first[0]!, first[2]!)).toBeGreaterThan(0.1);
	}, 240_000);
});
