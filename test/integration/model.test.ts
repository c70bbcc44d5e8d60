import { createHash } from 'node:crypto';
import { appendFile, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { findModelFolder, openGraph, openModelFolder, verifyModel } from '../../sidecar/inference/manifest.ts';
import { GraphSession } from '../../sidecar/inference/session.ts';
import { readTokenizer } from '../../sidecar/inference/tokenizer.ts';
import { copyOfLite, editManifest, LITE } from '../support/lite.ts';

describe('models/lite', () => {
	it('passes its own verification', async () => {
		expect(await verifyModel(LITE)).toMatchObject({ name: 'lite', licence: 'MIT' });
		expect(await findModelFolder('lite')).toBe(LITE);
	});

	it('tokenises any sentence to the length of the model', async () => {
		const tokenize = await readTokenizer(await openModelFolder(LITE));
		for (const prompt of ['paint it as an oil painting', 'zażółć gęślą jaźń 🎨', '$& $1 {prompt}', 'x'.repeat(500)]) {
			const { inputIds, attentionMask } = tokenize(prompt);
			expect(inputIds.shape).toEqual([1, 32]);
			const length = attentionMask.data.filter((mask) => mask === 1n).length;
			expect(length).toBeGreaterThan(1);
			expect(inputIds.data.slice(length).every((id) => id === 0n)).toBe(true);
		}
	});

	it("takes the tokenizer's own marks in a prompt as nothing", async () => {
		const tokenize = await readTokenizer(await openModelFolder(LITE));
		expect(tokenize('oil [PAD] painting[UNK]')).toEqual(tokenize('oil painting'));
		expect(tokenize('oil [P[UNK]AD] painting').inputIds.data.slice(0, 4)).not.toContain(0n);
	});
});

describe('a model that is not what it says', () => {
	it('is refused when one byte of a graph was changed', async () => {
		const folder = await copyOfLite();
		const path = join(folder, 'unet.onnx');
		const bytes = await readFile(path);
		bytes[bytes.length >> 1]! ^= 1;
		await writeFile(path, bytes);
		await expect(openModelFolder(folder)).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringMatching(/unet\.onnx has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}/),
		});
	});

	it('is refused when a graph has another shape, printing both', async () => {
		const folder = await copyOfLite();
		await editManifest(folder, ({ graphs }) => (graphs.te_vision.inputs[0].shape = ['batch', 96, 128, 3]));
		await expect(verifyModel(folder)).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringMatching(/image is uint8 \[batch, 128, 128, 3\].*expected uint8 \[batch, 96, 128, 3\]/),
		});
	});

	it('is refused when a graph takes what model.json does not name', async () => {
		const folder = await copyOfLite();
		await editManifest(folder, ({ graphs }) => graphs.unet.inputs.splice(0, 1));
		await expect(verifyModel(folder)).rejects.toMatchObject({ code: 'ERR_MODEL' });
	});

	it('is refused when the manifest is cut, has an unknown key, or points out of its folder', async () => {
		const cut = await copyOfLite();
		await writeFile(join(cut, 'model.json'), '{ "format": "allaprima-model", ');
		const unknownKey = await copyOfLite();
		await editManifest(unknownKey, (manifest) => (manifest.surprise = 1));
		const outside = await copyOfLite();
		await editManifest(outside, ({ graphs }) => (graphs.unet.file = '../../etc/passwd'));
		for (const folder of [cut, unknownKey, outside])
			await expect(openModelFolder(folder)).rejects.toMatchObject({ code: 'ERR_MODEL' });
	});

	it('is refused when the tokenizer is not one', async () => {
		const folder = await copyOfLite();
		await appendFile(join(folder, 'tokenizer.json'), ' ');
		await expect(openModelFolder(folder)).rejects.toMatchObject({ message: expect.stringContaining('tokenizer.json') });
	});

	it('is refused by name when there is none, naming those there are', async () => {
		await expect(findModelFolder('dreamlite-mobile')).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringContaining('lite'),
		});
	});

	it('says what a graph got and wanted when a tensor has the wrong shape', async () => {
		const { path, manifest } = await openModelFolder(LITE);
		await using graph = await GraphSession.open(
			join(path, 'te_vision.onnx'),
			manifest.graphs.te_vision,
			'cpu',
			'model lite, graph te_vision',
		);
		const image = { data: new Uint8Array(64 * 64 * 3), shape: [1, 64, 64, 3] };
		await expect(graph.run({ image }, { batch: 1, height: 128, width: 128 })).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringContaining('has shape [1, 64, 64, 3]'),
		});
	});

	it('gives the same as it was exported and as onnxruntime makes it faster', async () => {
		const folder = await openModelFolder(LITE);
		const image = { data: new Uint8Array(128 * 128 * 3).map((_, i) => (7 * i) % 256), shape: [1, 128, 128, 3] };
		const features = await Promise.all(
			(['disabled', 'all'] as const).map(async (graphOptimizationLevel) => {
				await using graph = await openGraph(folder, 'te_vision', 'cpu', 'fp32', { graphOptimizationLevel });
				const { vision_features } = await graph.run({ image }, { batch: 1, height: 128, width: 128 });
				return vision_features!.data as Float32Array;
			}),
		);
		const [exported, optimised] = features;
		exported!.forEach((value, i) => expect(Math.abs(value - optimised![i]!)).toBeLessThan(1e-2));
		// That the level is heard at all.
		const wrong = { graphOptimizationLevel: 'most' as 'all' };
		await expect(openGraph(folder, 'te_vision', 'cpu', 'fp32', wrong)).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringContaining('most'),
		});
	});
});

describe('a graph that was optimised before', () => {
	afterEach(() => void vi.unstubAllEnvs());

	const image = { data: new Uint8Array(128 * 128 * 3).map((_, i) => (7 * i) % 256), shape: [1, 128, 128, 3] };
	const features = async (): Promise<string> => {
		await using graph = await openGraph(await openModelFolder(LITE), 'te_vision', 'cpu');
		const { vision_features } = await graph.run({ image }, { batch: 1, height: 128, width: 128 });
		return digest(vision_features!.data as Float32Array);
	};
	const digest = (data: Uint8Array | Float32Array): string => createHash('sha256').update(data).digest('hex');
	/** As the cache has it: with the sha256 of what is before it. */
	const sealed = (graph: Uint8Array): Buffer => Buffer.concat([graph, createHash('sha256').update(graph).digest()]);

	it('is what is loaded, gives the same to the bit, and is made anew where it cannot be loaded', async () => {
		const folder = await mkdtemp(join(tmpdir(), 'allaprima-cache-'));
		vi.stubEnv('XDG_CACHE_HOME', folder);
		const first = await features();
		const graphs = join(folder, 'allaprima', 'graphs');
		const [name, ...others] = await readdir(graphs);
		expect(others).toEqual([]);
		const kept = await readFile(join(graphs, name!));
		expect(await features()).toBe(first);

		// Another graph in its place would be seen: it is read.
		await writeFile(join(graphs, name!), sealed(await readFile(join(LITE, 'vae_decoder.onnx'))));
		await expect(features()).rejects.toMatchObject({ message: expect.stringContaining('image is missing') });

		for (const damaged of [sealed(Buffer.from('no graph')), kept.subarray(1), Buffer.alloc(0)]) {
			await writeFile(join(graphs, name!), damaged);
			expect(await features()).toBe(first);
			expect(digest(await readFile(join(graphs, name!)))).toBe(digest(kept));
		}
	});

	it('is not taken for one whose file was changed since it was checked', async () => {
		vi.stubEnv('XDG_CACHE_HOME', await mkdtemp(join(tmpdir(), 'allaprima-cache-')));
		await features();
		const folder = await copyOfLite();
		const checked = await openModelFolder(folder);
		await writeFile(join(folder, 'te_vision.onnx'), await readFile(join(LITE, 'vae_decoder.onnx')));
		await expect(openGraph(checked, 'te_vision', 'cpu')).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringContaining('image is missing'),
		});
	});

	it('is not needed: without a place for it the model paints', async () => {
		vi.stubEnv('XDG_CACHE_HOME', join(LITE, 'model.json'));
		expect(await features()).toMatch(/^[0-9a-f]{64}$/);
	});
});
