// A causal transformer of random weights: its graphs in onnxruntime with the cache of keys and values, against torch.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GraphSpec } from '../../sidecar/config/schema.ts';
import { element, type Tensor } from '../../sidecar/frame/tensor.ts';
import { CausalDenoiser, type CausalGraphs } from '../../sidecar/inference/causal/causal-denoiser.ts';
import { GraphSession } from '../../sidecar/inference/session.ts';
import { readParityFixture, relativeError, type ParityFixture } from '../support/parity.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const ROLES = ['dit_prompt', 'dit_reference', 'dit_step', 'dit_step_kept'] as const;

/** causal-dit.json, as training.causal_dit.export writes it. */
interface Made {
	window: { frames: number; sinkFrames: number };
	sigmas: number[];
	graphs: Record<(typeof ROLES)[number], GraphSpec>;
}
interface Switch {
	frame: number;
	prompt: string;
	reference?: string;
}

let folder: string;
let made: Made;
let switches: Switch[];
/** Those of which a few tokens are painted. */
let keptFrames: number[];
let fixture: ParityFixture;
let graphs: Record<(typeof ROLES)[number], GraphSession>;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-causal-dit-'));
	const flags = ['--tiny', '--frames', '3', '--sinks', '1', '--stream', '12', '--out', folder];
	await promisify(execFile)('/usr/bin/python3', ['-m', 'training.causal_dit.export', ...flags], {
		cwd: root,
		env: { ...process.env, OMP_NUM_THREADS: '1' },
	});
	made = JSON.parse(await readFile(join(folder, 'causal-dit.json'), 'utf8')) as Made;
	({ switches, keptFrames } = JSON.parse(await readFile(join(folder, 'parity.json'), 'utf8')) as {
		switches: Switch[];
		keptFrames: number[];
	});
	fixture = await readParityFixture(folder);
	const open = async (role: (typeof ROLES)[number]) =>
		[role, await GraphSession.open(join(folder, made.graphs[role].file), made.graphs[role], 'cpu', role)] as const;
	graphs = Object.fromEntries(await Promise.all(ROLES.map(open))) as typeof graphs;
});
afterAll(async () => {
	for (const graph of Object.values(graphs)) await graph[Symbol.asyncDispose]();
	await rm(folder, { recursive: true, force: true });
});

const floats = (name: string) => fixture.tensor(name) as Tensor<Float32Array>;

const styleOf = ({ prompt, reference }: Switch) => ({
	promptEmbeds: floats(prompt),
	referenceLatents: reference === undefined ? undefined : floats(reference),
});

const keptOf = (frame: number): Uint32Array | undefined => {
	const row = keptFrames.indexOf(frame);
	return row < 0 ? undefined : Uint32Array.from(element(fixture.tensor('kept'), row).data as BigInt64Array, Number);
};

const frameOf = (frame: number) => ({
	frame,
	noise: element(floats('noise'), frame),
	sourceLatents: element(floats('source_latents'), frame),
	sigmas: made.sigmas,
});

const started = async (used: CausalGraphs = graphs) => {
	const denoiser = new CausalDenoiser(used, made.window);
	await denoiser.switchTo(styleOf(switches[0]!));
	return denoiser;
};

describe('the causal transformer', () => {
	test('paints a stream as torch does, through evictions, switches of prompt and reference, and frames painted in part', async () => {
		const denoiser = new CausalDenoiser(graphs, made.window);
		const painted = floats('painted');
		expect(switches).toHaveLength(3);
		expect(keptFrames.length).toBeGreaterThan(2);
		for (let frame = 0; frame < painted.shape[0]!; frame++) {
			const style = switches.find((one) => one.frame === frame);
			if (style) await denoiser.switchTo(styleOf(style));
			const found = await denoiser.paint({ ...frameOf(frame), kept: keptOf(frame) });
			expect(relativeError(found, element(painted, frame)), `frame ${frame}`).toBeLessThan(1e-3);
		}
		expect(denoiser.cache.window.map(({ frame }) => frame)).toEqual([9, 10, 11]);
	});

	test('paints from what it painted before, and from the reference', async () => {
		const [with_, without, forgetful] = [await started(), await started(), await started()];
		await without.switchTo({ promptEmbeds: floats('prompt_a') });
		for (const frame of [0, 1]) {
			const first = await with_.paint(frameOf(frame));
			expect(relativeError(await without.paint(frameOf(frame)), first)).toBeGreaterThan(1e-2);
		}
		const alone = await forgetful.paint(frameOf(1));
		expect(relativeError(alone, element(floats('painted'), 1))).toBeGreaterThan(1e-2);
	});

	test('outside the tokens that are kept the last painting stays, to the bit; after a switch all is painted', async () => {
		const denoiser = await started();
		const kept = keptOf(keptFrames[0]!)!;
		const first = await denoiser.paint({ ...frameOf(0), kept });
		expect(relativeError(first, element(floats('painted'), 0))).toBeLessThan(1e-3);
		const second = await denoiser.paint({ ...frameOf(1), kept });
		// 12 channels of 16 x 24, in tokens of 4 x 4.
		for (const [at, value] of second.data.entries()) {
			const token = Math.floor((at % 384) / 96) * 6 + Math.floor((at % 24) / 4);
			expect(value === first.data[at]).toBe(!kept.includes(token));
		}
		await denoiser.switchTo(styleOf(switches[1]!));
		const third = await denoiser.paint({ ...frameOf(2), kept });
		expect(third.data.every((value, at) => value !== second.data[at])).toBe(true);
		await expect(denoiser.paint({ ...frameOf(3), kept: kept.subarray(1) })).rejects.toThrow(
			`kept (dit_step_kept) has shape [${kept.length - 1}]`,
		);
	});

	test('a frame that was painted is not painted again', async () => {
		const denoiser = await started();
		await denoiser.paint(frameOf(1));
		await expect(denoiser.paint(frameOf(1))).rejects.toThrow('Frame 1 comes after frame 1, expected a later one.');
		await expect(denoiser.paint(frameOf(0))).rejects.toMatchObject({ code: 'ERR_ENGINE' });
	});

	test('a pass that fails or overflows leaves the cache as it was', async () => {
		let passes = 0;
		let give: 'nothing' | 'NaN' = 'nothing';
		const failing: CausalGraphs = {
			...graphs,
			dit_step: {
				spec: graphs.dit_step.spec,
				run: async (inputs, sizes) => {
					const outputs = await graphs.dit_step.run(inputs, sizes);
					if (++passes !== 6) return outputs; // the clean pass of the second frame
					if (give === 'nothing') throw new Error('out of memory');
					(outputs['velocity'] as Tensor<Float32Array>).data[3] = NaN;
					return outputs;
				},
			},
		};
		for (give of ['nothing', 'NaN'] as const) {
			passes = 0;
			const denoiser = await started(failing);
			await denoiser.paint(frameOf(0));
			await expect(denoiser.paint(frameOf(1))).rejects.toThrow(
				give === 'NaN' ? 'The graph dit_step of the transformer gave values that are no numbers' : 'out of memory',
			);
			expect(denoiser.cache.window.map(({ frame }) => frame)).toEqual([0]);
			expect(relativeError(await denoiser.paint(frameOf(1)), element(floats('painted'), 1))).toBeLessThan(1e-3);
		}
	});

	test('graphs that do not fit each other, sinks without end and a frame without a style are refused', async () => {
		const spec = structuredClone(made.graphs.dit_step);
		spec.inputs.find(({ name }) => name === 'past_key_0')!.shape[2] = 95;
		const odd = { ...graphs, dit_step: { spec, run: graphs.dit_step.run.bind(graphs.dit_step) } };
		expect(() => new CausalDenoiser(odd, made.window)).toThrow('for 95 tokens of the past');
		spec.inputs = spec.inputs.filter(({ name }) => name !== 'past_key_0');
		expect(() => new CausalDenoiser(odd, made.window)).toThrow("The transformer's past_key_0 is [missing]");
		expect(() => new CausalDenoiser(graphs, { sinkFrames: 3 })).toThrow('3 frames of the window are sinks');
		await expect(new CausalDenoiser(graphs, made.window).paint(frameOf(0))).rejects.toThrow(
			'a style has to come first',
		);
	});
});
