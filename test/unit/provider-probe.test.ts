import { expect, it } from 'vitest';
import { modelBytes } from '../../sidecar/inference/manifest.ts';
import { probeTimeoutMs } from '../../sidecar/inference/provider-probe.ts';
import { openLite } from '../support/lite.ts';

it('gives a probe half a minute, and as much again for each gigabyte of the model', () => {
	expect([0, 1e9, 5e9].map(probeTimeoutMs)).toEqual([30_000, 60_000, 180_000]);
});

it('counts the graphs of a model as they are loaded', async () => {
	const { path, manifest } = await openLite();
	const bytes = await modelBytes({ path, manifest });
	expect(bytes).toBeGreaterThan(1e6);
	expect(probeTimeoutMs(bytes)).toBeLessThan(32_000);
	// Weights beside a graph count, and those of int8 graphs, which no probe opens, do not.
	const { unet } = manifest.graphs;
	const weights = { file: 'vae_decoder.onnx', sha256: manifest.graphs.vae_decoder.sha256 };
	const beside = { ...manifest, graphs: { ...manifest.graphs, unet: { ...unet, externalData: [weights] } } };
	expect(await modelBytes({ path, manifest: beside })).toBeGreaterThan(bytes);
	const { int8: _, ...plain } = manifest;
	expect(await modelBytes({ path, manifest: plain })).toBe(bytes);
});
