import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findModelFolder, openModelFolder, verifyModel } from '../../sidecar/inference/manifest.ts';
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
});
