// The folder of a causal transformer as a model like any other: verified, imported, tried on a provider.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { modelHashOf } from '../../sidecar/config/model-hash.ts';
import { filesOf, openModelFolder, verifyModel } from '../../sidecar/inference/manifest.ts';
import { importModel } from '../../sidecar/inference/model-import.ts';
import { selfTest } from '../../sidecar/inference/self-test.ts';
import { editManifest } from '../support/lite.ts';
import { exportTinyDit } from '../support/tiny-dit.ts';

let exported: Awaited<ReturnType<typeof exportTinyDit>>;
let place: string;
beforeAll(async () => {
	exported = await exportTinyDit();
	place = await mkdtemp(join(tmpdir(), 'allaprima-models-'));
	// What is kept of these graphs is nobody else's.
	vi.stubEnv('XDG_CACHE_HOME', join(place, 'cache'));
});
afterAll(async () => {
	vi.unstubAllEnvs();
	await rm(place, { recursive: true });
	await exported[Symbol.asyncDispose]();
});

const copy = async (name: string): Promise<string> => {
	const folder = join(place, name);
	await cp(exported.folder, folder, { recursive: true });
	return folder;
};

it('is imported with the weights that its graphs share, and is the same model then', async () => {
	const { path, manifest } = await importModel(exported.folder, { isAccepted: async () => true, roots: [place] });
	expect(manifest).toMatchObject({ name: 'tiny-dit', family: 'causal-dit', window: { frames: 3, sinkFrames: 1 } });
	const names = (await readdir(path)).sort();
	expect(names).toEqual([...filesOf(manifest).map(({ file }) => file), 'model.json'].sort());
	expect(names).toContain('causal-dit.weights');
	expect(modelHashOf(manifest)).toBe(modelHashOf((await openModelFolder(exported.folder)).manifest));
});

it('gives what the CPU gives, in every graph', { timeout: 120_000 }, async () => {
	await expect(selfTest(await openModelFolder(exported.folder), 'cpu')).resolves.toBeUndefined();
});

it('is refused where weights were changed, a graph is of another shape, or its window is none of its graphs', async () => {
	const damaged = await copy('damaged');
	const weights = join(damaged, 'causal-dit.weights');
	const bytes = await readFile(weights);
	bytes[bytes.length >> 1]! ^= 1;
	await writeFile(weights, bytes);
	await expect(verifyModel(damaged)).rejects.toThrow(/causal-dit\.weights has sha256 /);

	const long = await copy('long');
	await editManifest(long, ({ window }) => (window.frames = 5));
	await expect(openModelFolder(long)).rejects.toThrow('a window of 5 frames, and its graphs have room for 3.');

	const other = await copy('other');
	await editManifest(other, ({ graphs }) => {
		const kept = graphs.dit_step_kept.inputs.find(({ name }: { name: string }) => name === 'kept');
		kept.shape[0]++;
	});
	await expect(verifyModel(other)).rejects.toThrow(
		/graph dit_step_kept, input kept is int64 \[7\] in the graph, expected int64 \[8\]/,
	);
});
