// A causal transformer of random weights: its graphs in onnxruntime with the cache of keys and values, against torch.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BufferedFrames, type BufferGraphs } from '../../sidecar/inference/causal/buffered-frames.ts';
import { CausalDenoiser, type CausalGraphs } from '../../sidecar/inference/causal/causal-denoiser.ts';
import { PaintedFrames, WHOLE_FRAME_EVERY } from '../../sidecar/inference/causal/causal-painter.ts';
import { isOfFamily, openGraph, openModelFolder } from '../../sidecar/inference/manifest.ts';
import { flowMatchSigmas, imageSeqLen } from '../../sidecar/inference/noise-schedule.ts';
import type { GraphSession } from '../../sidecar/inference/session.ts';
import type { CausalDitManifest } from '../../sidecar/config/schema/manifest.ts';
import type { Mask } from '../../sidecar/frame/frame.ts';
import { element, type Tensor } from '../../sidecar/frame/tensor.ts';
import { readParityFixture, relativeError, type ParityFixture } from '../support/parity.ts';
import { exportTinyDit, TINY } from '../support/tiny-dit.ts';

const ROLES = ['dit_prompt', 'dit_reference', 'dit_step', 'dit_step_kept', 'dit_buffer'] as const;

interface Switch {
	frame: number;
	prompt: string;
	reference?: string;
}

let exported: Awaited<ReturnType<typeof exportTinyDit>>;
let made: CausalDitManifest;
/** As torch has them. */
let sigmas: number[];
let switches: Switch[];
/** Those of which a few tokens are painted. */
let keptFrames: number[];
/** Those that don't wait for the next one, in a moving buffer. */
let finishedFrames: number[];
let fixture: ParityFixture;
let graphs: Record<(typeof ROLES)[number], GraphSession>;

beforeAll(async () => {
	exported = await exportTinyDit();
	const folder = await openModelFolder(exported.folder);
	if (!isOfFamily(folder, 'causal-dit')) throw new TypeError('not what was exported');
	made = folder.manifest;
	({ sigmas, switches, keptFrames, finishedFrames } = JSON.parse(
		await readFile(join(folder.path, 'parity.json'), 'utf8'),
	) as {
		sigmas: number[];
		switches: Switch[];
		keptFrames: number[];
		finishedFrames: number[];
	});
	fixture = await readParityFixture(folder.path);
	const opened = ROLES.map(async (role) => [role, await openGraph(folder, role, 'cpu')] as const);
	graphs = Object.fromEntries(await Promise.all(opened)) as typeof graphs;
});
afterAll(async () => {
	for (const graph of Object.values(graphs)) await graph[Symbol.asyncDispose]();
	await exported[Symbol.asyncDispose]();
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
	sigmas,
});

const started = async (used: CausalGraphs = graphs) => {
	const denoiser = new CausalDenoiser(used, made.window);
	await denoiser.switchTo(styleOf(switches[0]!));
	return denoiser;
};

describe('the causal transformer', () => {
	test('has the levels of its schedule in torch', () => {
		const own = flowMatchSigmas(made.scheduler, made.steps.default, imageSeqLen(TINY.width, TINY.height));
		for (const [i, level] of sigmas.entries()) expect(own[i]).toBeCloseTo(level, 6);
		expect(own).toHaveLength(sigmas.length);
	});

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
			`kept (model tiny-dit, graph dit_step_kept) has shape [${kept.length - 1}]`,
		);
	});

	test('other words are said without losing a painting, and another scene begins with the reference alone', async () => {
		const [denoiser, fresh] = [await started(), await started()];
		for (const frame of [0, 1]) await denoiser.paint(frameOf(frame));
		await denoiser.say(floats('prompt_b'));
		expect(denoiser.cache.window.map(({ frame }) => frame)).toEqual([0, 1]);
		const said = await denoiser.paint(frameOf(2));
		expect(relativeError(said, element(floats('painted'), 2))).toBeGreaterThan(1e-3);
		await denoiser.say(floats('prompt_a'));
		denoiser.beginScene();
		// Not even the tokens that are left out come from the scene before.
		const begun = await denoiser.paint({ ...frameOf(3), kept: keptOf(keptFrames[0]!) });
		expect(begun.data).toEqual((await fresh.paint(frameOf(3))).data);
	});

	test('a window may be shorter than the graphs have room for', async () => {
		const [short, long] = [new CausalDenoiser(graphs, { frames: 1, sinkFrames: 0 }), await started()];
		await short.switchTo(styleOf(switches[0]!));
		for (const frame of [0, 1]) {
			const expected = await long.paint(frameOf(frame));
			expect((await short.paint(frameOf(frame))).data).toEqual(expected.data);
		}
		expect(relativeError(await short.paint(frameOf(2)), await long.paint(frameOf(2)))).toBeGreaterThan(1e-3);
		expect(short.cache.window.map(({ frame }) => frame)).toEqual([2]);
	});

	test('goes on from what another has painted as if it had painted it', async () => {
		const [before, after] = [await started(), await started()];
		const painted = await before.paint(frameOf(0));
		await after.remember(0, painted, frameOf(0).sourceLatents);
		expect((await after.paint(frameOf(1))).data).toEqual((await before.paint(frameOf(1))).data);
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
		expect(() => new CausalDenoiser(graphs, { frames: 3, sinkFrames: 3 })).toThrow('3 frames of the window are sinks');
		await expect(new CausalDenoiser(graphs, made.window).paint(frameOf(0))).rejects.toThrow(
			'a style has to come first',
		);
	});
});

describe('the frames of a line', () => {
	/** The graphs, and the names of those that were run since it was last asked. */
	const counted = () => {
		let ran: string[] = [];
		let kept: number[] = [];
		const count = (role: (typeof ROLES)[number]) => ({
			spec: graphs[role].spec,
			run: (...given: Parameters<GraphSession['run']>) => {
				ran.push(role);
				kept = Array.from((given[0]['kept']?.data as BigInt64Array | undefined) ?? [], Number);
				return graphs[role].run(...given);
			},
		});
		const wrapped = Object.fromEntries(ROLES.map((role) => [role, count(role)])) as unknown as CausalGraphs;
		return { wrapped, ran: () => [ran, (ran = [])][0], kept: () => kept };
	};
	const WINDOW = { frames: 3, sinkFrames: 1 };
	const WHOLE = ['dit_step', 'dit_step', 'dit_step'];
	const IN_PART = ['dit_step_kept', 'dit_step_kept', 'dit_step_kept'];

	const line = () => {
		const { wrapped, ran, kept } = counted();
		const frames = new PaintedFrames(wrapped, WINDOW);
		let frame = 0;
		const paint = async (
			style: Partial<Parameters<PaintedFrames['paint']>[1]> = {},
			{ prompt = 'prompt_a', isCut = false, seen = undefined as Mask | undefined } = {},
		) => {
			const { noise, sourceLatents } = frameOf(frame++ % 12);
			await frames.paint(
				{ noise, sourceLatents, promptEmbeds: floats(prompt), sigmas, isCut, seen },
				{ style: 'a', mixture: 'a', usesMask: false, ...style },
			);
			return { ran: ran(), held: frames.held.map((held) => held.frame) };
		};
		return Object.assign(paint, { kept });
	};

	/** A cell a token: those that are given. */
	const seenIn = (...tokens: number[]): Mask => ({
		width: 6,
		height: 4,
		data: Uint8Array.from({ length: 24 }, (_, token) => Number(tokens.includes(token))),
	});

	test('a style is taken up once, its words when they change, and another style leaves the last painting', async () => {
		const paint = line();
		expect(await paint()).toEqual({ ran: ['dit_prompt', ...WHOLE], held: [0] });
		expect(await paint()).toEqual({ ran: WHOLE, held: [0, 1] });
		expect(await paint({ mixture: 'ab' }, { prompt: 'prompt_b' })).toEqual({
			ran: ['dit_prompt', ...WHOLE],
			held: [0, 1, 2],
		});
		const shown = { style: 'r', reference: floats('reference_a') };
		expect(await paint(shown)).toEqual({ ran: ['dit_prompt', 'dit_reference', ...WHOLE], held: [2, 3] });
		expect(await paint(shown)).toEqual({ ran: WHOLE, held: [2, 3, 4] });
		expect(await paint()).toEqual({ ran: ['dit_prompt', ...WHOLE], held: [4, 5] });
	});

	test('a cut forgets the scene before, also where the style changes with it', async () => {
		const paint = line();
		await paint();
		await paint();
		expect((await paint({}, { isCut: true })).held).toEqual([2]);
		expect((await paint({ style: 'b' }, { isCut: true })).held).toEqual([3]);
	});

	test('under the mask eleven frames of twelve are painted in part, and none whose style, words or scene are others', async () => {
		const paint = line();
		const masked = { usesMask: true };
		await paint(masked);
		for (let i = 1; i < WHOLE_FRAME_EVERY; i++) expect((await paint(masked)).ran, `frame ${i}`).toEqual(IN_PART);
		expect((await paint(masked)).ran).toEqual(WHOLE);
		expect((await paint(masked)).ran).toEqual(IN_PART);
		expect((await paint({ ...masked, mixture: 'ab' })).ran).toEqual(WHOLE);
		expect((await paint({ ...masked, mixture: 'ab' })).ran).toEqual(IN_PART);
		expect((await paint({ ...masked, mixture: 'ab', style: 'b' })).ran).toEqual(['dit_prompt', ...WHOLE]);
		expect((await paint({ ...masked, mixture: 'ab', style: 'b' })).ran).toEqual(IN_PART);
		expect((await paint({ ...masked, mixture: 'ab', style: 'b' }, { isCut: true })).ran).toEqual(WHOLE);
		// An embedding that was only refreshed is no other mixture.
		expect((await paint({ ...masked, mixture: 'ab', style: 'b' }, { prompt: 'prompt_b' })).ran).toEqual([
			'dit_prompt',
			...IN_PART,
		]);
		expect((await paint({ mixture: 'ab', style: 'b' }, { prompt: 'prompt_b' })).ran).toEqual(WHOLE);
	});

	test('where a part is seen, eleven frames of twelve are painted there, unless it is more than the graph takes', async () => {
		const paint = line();
		const corner = { seen: seenIn(0, 1) };
		expect((await paint({}, corner)).ran).toEqual(['dit_prompt', ...WHOLE]);
		for (let i = 1; i < WHOLE_FRAME_EVERY; i++) expect((await paint({}, corner)).ran, `frame ${i}`).toEqual(IN_PART);
		expect((await paint({}, corner)).ran).toEqual(WHOLE);
		// Seven tokens: what is seen, and the rest of what is next to it.
		expect((await paint({}, corner)).ran).toEqual(IN_PART);
		expect(paint.kept()).toEqual(expect.arrayContaining([0, 1, 2, 6, 7, 8]));
		expect(paint.kept()).toHaveLength(7);
		// It moves, and is painted where it is now.
		expect((await paint({}, { seen: seenIn(21, 22, 23) })).ran).toEqual(IN_PART);
		expect(paint.kept()).toEqual(expect.arrayContaining([21, 22, 23]));
		const large = { seen: seenIn(0, 1, 2, 3, 4, 5, 6, 7) };
		expect((await paint({}, large)).ran).toEqual(WHOLE);
		expect((await paint({ usesMask: true }, large)).ran).toEqual(WHOLE);
		expect((await paint({ usesMask: true }, large)).ran).toEqual(IN_PART);
		expect((await paint({ mixture: 'ab' }, corner)).ran).toEqual(WHOLE);
		expect((await paint({ mixture: 'ab' }, corner)).ran).toEqual(IN_PART);
		expect((await paint({ mixture: 'ab' }, { ...corner, isCut: true })).ran).toEqual(WHOLE);
		expect((await paint({ mixture: 'ab' })).ran).toEqual(WHOLE);
	});

	test('a first frame follows from what another engine painted, unless another scene begins with it', async () => {
		const before = { painting: element(floats('painted'), 0), sourceLatents: frameOf(0).sourceLatents };
		expect(await line()({ before })).toEqual({ ran: ['dit_prompt', 'dit_step', ...WHOLE], held: [0, 1] });
		expect(await line()({ before }, { isCut: true })).toEqual({ ran: ['dit_prompt', ...WHOLE], held: [0] });
	});
});

describe('a moving buffer', () => {
	/** Frames of the fixture into a buffer of their own. */
	const opened = (used: BufferGraphs = graphs) => {
		const frames = new BufferedFrames(used);
		const enter = (
			frame: number,
			style: Partial<Parameters<BufferedFrames['enter']>[1]> = {},
			{ prompt = 'prompt_a', isCut = false, levels = sigmas } = {},
		) => {
			const { noise, sourceLatents } = frameOf(frame);
			const next = { noise, sourceLatents, promptEmbeds: floats(prompt), sigmas: levels, isCut };
			return frames.enter(next, { style: 'a', ...style });
		};
		return { enter, finish: () => frames.finish() };
	};

	test('paints a stream as torch does, through frames that nothing follows in time and switches of prompt and reference', async () => {
		const { enter, finish } = opened();
		const expected = floats('buffered');
		expect([finishedFrames, expected.shape[0]]).toEqual([[1, 2, 5, 9, 11], 12]);
		let given = 0;
		let style = switches[0]!;
		const compare = (found: Tensor<Float32Array> | undefined) => {
			if (!found) return;
			expect(relativeError(found, element(expected, given)), `frame ${given}`).toBeLessThan(1e-3);
			given++;
		};
		for (let frame = 0; frame < 12; frame++) {
			style = switches.find((one) => one.frame === frame) ?? style;
			const { promptEmbeds, referenceLatents } = styleOf(style);
			const shown = { style: String(style.frame), ...(referenceLatents && { reference: referenceLatents }) };
			expect(promptEmbeds).toEqual(floats(style.prompt));
			compare(await enter(frame, shown, { prompt: style.prompt }));
			expect(given, `after frame ${frame}`).toBe(frame);
			// That a switch finishes the frame before it is for the buffer to see to.
			if (finishedFrames.includes(frame) && !switches.some((one) => one.frame === frame + 1)) compare(await finish());
		}
		expect(given).toBe(12);
		expect(await finish()).toBeUndefined();
	});

	test('paints a frame beside the next one, in whose words and in the reference', async () => {
		const plain = opened();
		await plain.enter(0);
		const first = (await plain.enter(1))!;
		const alone = opened();
		await alone.enter(0);
		expect(relativeError((await alone.finish())!, first)).toBeGreaterThan(1e-3);
		for (const [style, how] of [
			[{}, { prompt: 'prompt_b' }],
			[{ reference: floats('reference_a') }, {}],
		] as const) {
			const other = opened();
			await other.enter(0, style);
			expect(relativeError((await other.enter(1, style, how))!, first)).toBeGreaterThan(1e-3);
		}
	});

	test('a frame of another scene or style is painted as the first one is, and the one before it as it began', async () => {
		for (const [style, how] of [
			[{}, { isCut: true }],
			[{ style: 'b' }, { prompt: 'prompt_b' }],
		] as const) {
			const [one, before, after] = [opened(), opened(), opened()];
			await before.enter(0);
			await one.enter(0);
			expect((await one.enter(1, style, how))!.data).toEqual((await before.finish())!.data);
			await after.enter(1, style, how);
			expect((await one.finish())!.data).toEqual((await after.finish())!.data);
		}
	});

	test('goes on from the painting of another engine', async () => {
		const before = { painting: element(floats('painted'), 0), sourceLatents: frameOf(0).sourceLatents };
		const [fresh, resumed, cut] = [opened(), opened(), opened()];
		await fresh.enter(1);
		expect(await resumed.enter(1, { before })).toBeUndefined();
		await cut.enter(1, { before }, { isCut: true });
		const painted = (await fresh.finish())!;
		expect((await resumed.finish())!.data).not.toEqual(painted.data);
		expect((await cut.finish())!.data).toEqual(painted.data);
		expect(await resumed.finish()).toBeUndefined();
	});

	test('a pass that fails or overflows leaves the buffer as it was; other steps are refused', async () => {
		let give: 'all' | 'nothing' | 'NaN' = 'all';
		const failing: BufferGraphs = {
			...graphs,
			dit_buffer: {
				spec: graphs.dit_buffer.spec,
				run: async (inputs, sizes) => {
					const outputs = await graphs.dit_buffer.run(inputs, sizes);
					if (give === 'nothing') throw new Error('out of memory');
					if (give === 'NaN') (outputs['velocity'] as Tensor<Float32Array>).data[3] = NaN;
					return outputs;
				},
			},
		};
		const [broken, sound] = [opened(failing), opened()];
		for (const { enter } of [broken, sound]) await enter(0);
		for (give of ['nothing', 'NaN'] as const)
			await expect(broken.enter(1)).rejects.toThrow(
				give === 'NaN' ? 'The graph dit_buffer of the transformer gave values that are no numbers' : 'out of memory',
			);
		give = 'all';
		expect((await broken.enter(1))!.data).toEqual((await sound.enter(1))!.data);
		await expect(sound.enter(2, {}, { levels: [1, 0] })).rejects.toThrow('a frame at each of 2 steps, not 1.');
	});
});
