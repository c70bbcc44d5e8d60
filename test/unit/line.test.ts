import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { paintLine } from '../../sidecar/engine/line.ts';
import { SimulatedDevice } from '../../sidecar/engine/simulated-device.ts';
import { PAINTED, simulatedStages, simulatePeriodMs, STILL_WORLD } from '../../sidecar/engine/simulated-line.ts';
import { SidecarError } from '../../sidecar/errors.ts';
import type { Picture } from '../../sidecar/frame/frame.ts';
import type { LineDenoiseRequest } from '../../sidecar/engine/denoiser-stream.ts';
import type { EncodeRequest } from '../../sidecar/inference/encoder.ts';
import type { Flow } from '../../sidecar/native.ts';
import type { Parameters } from '../../sidecar/parameters.ts';
import { collect, frameOf, framesUpTo, parametersOf } from '../support/frames.ts';
import { VirtualClock } from '../../sidecar/engine/virtual-clock.ts';

const TIMES = [
	{ batchSize: 1, sideMs: 125, mainMs: 45, what: 'one frame, bound by the encoder' },
	{ batchSize: 1, sideMs: 10, mainMs: 30, what: 'one frame, bound by the denoiser' },
	{ batchSize: 4, sideMs: 153, mainMs: 152, what: 'four frames, both streams alike' },
	{ batchSize: 8, sideMs: 233, mainMs: 300, what: 'eight frames, bound by the denoiser' },
	{ batchSize: 16, sideMs: 628, mainMs: 493, what: 'sixteen frames of arXiv 2606.05981, Table IV' },
];

const steadyPeriodMs = async ({ batchSize, sideMs, mainMs }: (typeof TIMES)[number]): Promise<number> => {
	const clock = new VirtualClock();
	const { sleep } = clock;
	return await clock.run(simulatePeriodMs({ batchSize, sideMs, mainMs, batches: 20, sleep, nowMs: () => clock.nowMs }));
};

describe('the law of the line', () => {
	it.each(TIMES)('takes max(side, main) a batch: $what', async (times) => {
		const period = await steadyPeriodMs(times);
		const law = Math.max(times.sideMs, times.mainMs);
		expect(period / law).toBeGreaterThan(0.999);
		expect(period / law).toBeLessThan(1.15);
	});

	it('takes side + main where nothing works ahead', async () => {
		const clock = new VirtualClock();
		const [sideMs, mainMs] = [153, 152];
		const { sleep } = clock;
		const nowMs = () => clock.nowMs;
		const periodMs = await clock.run(
			simulatePeriodMs({ batchSize: 4, sideMs, mainMs, batches: 20, overlaps: false, sleep, nowMs }),
		);
		expect(periodMs).toBeCloseTo(sideMs + mainMs, 6);
	});

	it("gives the paper's 39.3 ms a frame at its stage times", async () => {
		expect((await steadyPeriodMs(TIMES.at(-1)!)) / 16).toBeCloseTo(39.3, 1);
	});
});

/** A device that keeps what it was asked. */
class RecordingDevice extends SimulatedDevice {
	readonly encodes: EncodeRequest[] = [];
	readonly denoises: LineDenoiseRequest[] = [];
	/** Runs of the stream batch, with what entered. */
	readonly advances: (LineDenoiseRequest | undefined)[] = [];

	constructor() {
		super({ sideMs: 0, mainMs: 0, sleep: async () => {} });
	}

	override encode(request: EncodeRequest) {
		this.encodes.push(request);
		return super.encode(request);
	}

	override denoise(request: LineDenoiseRequest) {
		this.denoises.push(request);
		return super.denoise(request);
	}

	override advance(entering?: LineDenoiseRequest) {
		this.advances.push(entering);
		return super.advance(entering);
	}
}

const paint = async (count: number, parametersNow: () => Parameters, native = STILL_WORLD) => {
	const device = new RecordingDevice();
	const frames = await collect(paintLine(framesUpTo(count), simulatedStages({ device, native, parametersNow })));
	return { device, frames };
};

/** A still world, and another one from a frame on. */
const cutAt = (frame: number): typeof STILL_WORLD => {
	const order = new Map<unknown, number>();
	const isAfter = (picture: unknown) => {
		if (!order.has(picture)) order.set(picture, order.size);
		return order.get(picture)! >= frame;
	};
	return {
		...STILL_WORLD,
		thumbnailDifference: async (a, b) => (isAfter(a) === isAfter(b) ? 0 : 90),
	};
};

describe('what the streams are asked', () => {
	it('paints every frame once, in order, and the last batch may be short', async () => {
		const { frames, device } = await paint(10, () => parametersOf({ batchSize: 4 }));
		expect(frames.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
		expect(device.encodes.map(({ pictures }) => pictures.shape[0])).toEqual([4, 4, 2]);
	});

	it('shows the text-and-vision encoder a frame every teRefreshEvery batches while something moves', async () => {
		const native = { ...STILL_WORLD, thumbnailDifference: async () => 2 };
		const { device } = await paint(10, () => parametersOf({ teRefreshEvery: 4 }), native);
		expect(device.encodes.map(({ text }) => Boolean(text))).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1, 0].map(Boolean));
	});

	it('shows it a still picture eight times more seldom, and each with teRefreshEvery 1', async () => {
		const { device } = await paint(50, () => parametersOf({ teRefreshEvery: 4 }));
		expect(device.encodes.flatMap(({ text }, batch) => (text ? [batch] : []))).toEqual([0, 24, 48]);
		const each = await paint(5, () => parametersOf({ teRefreshEvery: 1 }));
		expect(each.device.encodes.every(({ text }) => text)).toBe(true);
	});

	it('shows it the first frame after a scene cut, and counts from there', async () => {
		const { device } = await paint(32, () => parametersOf({ teRefreshEvery: 4 }), cutAt(3));
		expect(device.encodes.flatMap(({ text }, batch) => (text ? [batch] : []))).toEqual([0, 3, 27]);
	});

	it('lets one frame stand for the batch with teBatchOne, and shows all without', async () => {
		for (const [teBatchOne, shown] of [
			[true, 1],
			[false, 4],
		] as const) {
			const { device } = await paint(4, () => parametersOf({ batchSize: 4, teBatchOne }));
			expect(device.encodes[0]?.text?.images.shape[0]).toBe(shown);
		}
	});

	it('conditions on the last painting from the second batch on, every condRefreshEvery batches', async () => {
		const { device } = await paint(7, () => parametersOf({ condRefreshEvery: 3 }));
		expect(device.denoises.map(({ temporal }) => Boolean(temporal.images))).toEqual([0, 1, 0, 0, 1, 0, 0].map(Boolean));
		expect(device.denoises.map(({ temporal }) => temporal.multiplier)).toEqual([0, 1, 1, 1, 1, 1, 1]);
	});

	it('says how every frame moved while it conditions, for models that go by the last latents', async () => {
		const { device } = await paint(10, () => parametersOf({ batchSize: 4 }), cutAt(4));
		expect(device.denoises.map(({ temporal }) => temporal.flows?.length)).toEqual([undefined, undefined, 2]);
	});

	it('never conditions when the adapter is off', async () => {
		const { device } = await paint(4, () => parametersOf({ condRefreshEvery: 0 }));
		expect(device.denoises.every(({ temporal }) => temporal.multiplier === 0 && !temporal.images)).toBe(true);
	});

	it('drops the conditioning at a scene cut and refreshes with the first painting of the new scene', async () => {
		const { device } = await paint(8, () => parametersOf({ condRefreshEvery: 8 }), cutAt(4));
		expect(device.denoises.map(({ temporal }) => temporal.multiplier)).toEqual([0, 1, 1, 1, 0, 1, 1, 1]);
		expect(device.denoises.map(({ temporal }) => Boolean(temporal.images))).toEqual(
			[0, 1, 0, 0, 0, 1, 0, 0].map(Boolean),
		);
	});

	it.each(['fixed', 'advected'] as const)(
		'refreshes early when the picture has moved far, with %s noise',
		async (noise) => {
			const flows: number[] = [];
			const native = {
				...STILL_WORLD,
				opticalFlow: async (_from: Picture, _to: Picture, flow: Flow) => void flows.push(flow.width),
				// The limit is 0.02 · 32 px.
				meanMotion: async ({ width }: Flow) => (0.3 * width) / PAINTED.width,
			};
			const { device } = await paint(8, () => parametersOf({ condRefreshEvery: 60, noise }), native);
			expect(device.denoises.map(({ temporal }) => Boolean(temporal.images))).toEqual(
				[0, 1, 0, 0, 1, 0, 0, 1].map(Boolean),
			);
			// Noise that is carried along needs the flow of each frame in full.
			expect(flows.filter((width) => width === PAINTED.width)).toHaveLength(noise === 'fixed' ? 3 : 7);
			expect(flows.filter((width) => width === PAINTED.width / 4)).toHaveLength(noise === 'fixed' ? 7 : 0);
		},
	);

	it('starts a new style from nothing, with embeddings of its own, and never goes back an epoch', async () => {
		let asked = 0;
		const parametersNow = () => (asked++ < 6 ? parametersOf() : parametersOf({}, 1, 'pencil-sketch'));
		const { device, frames } = await paint(6, parametersNow);
		const epochs = frames.map(({ epoch }) => epoch);
		expect(epochs).toEqual(epochs.toSorted((a, b) => a - b));
		const first = epochs.indexOf(1);
		expect(first).toBeGreaterThan(0);
		expect(device.encodes[first]?.text?.prompts).toEqual(['transfer this to pencil-sketch style']);
		expect(device.denoises[first]?.temporal.multiplier).toBe(0);
		expect(device.denoises[first + 1]?.temporal.images).toBeDefined();
	});

	it('encodes a prompt once, and mixes anew while the weights of a cross-fade change', async () => {
		const [oil, pencil] = ['an oil painting', 'a pencil sketch'];
		let asked = 0;
		const parametersNow = () => {
			const mix = Math.min(asked++ / 20, 1);
			const conditioning = [
				{ prompt: oil, weight: 1 - mix },
				{ prompt: pencil, weight: mix },
			].filter(({ weight }) => weight > 0);
			return { ...parametersOf({ teRefreshEvery: 256 }), conditioning };
		};
		const { device } = await paint(8, parametersNow);
		expect(device.encodes.flatMap(({ text }) => text?.prompts ?? [])).toEqual([oil, pencil]);
	});

	it('takes what the weights lack from the neutral prompt', async () => {
		const parametersNow = () => ({ ...parametersOf(), conditioning: [{ prompt: 'an oil painting', weight: 0.4 }] });
		const { device } = await paint(1, parametersNow);
		expect(device.encodes[0]?.text?.prompts).toEqual(['an oil painting', undefined]);
	});

	it("gives the source's own pixels under passthrough, without the streams", async () => {
		const { device, frames } = await paint(3, () => parametersOf({}, 0, 'passthrough'));
		expect(device.encodes).toHaveLength(0);
		expect(frames).toHaveLength(3);
	});

	it('ends with the error of the stage that failed', async () => {
		const device = new RecordingDevice();
		device.denoise = () => Promise.reject(new SidecarError('ERR_ENGINE', 'out of memory'));
		const stages = simulatedStages({ device, parametersNow: () => parametersOf() });
		await expect(collect(paintLine(framesUpTo(5), stages))).rejects.toMatchObject({ code: 'ERR_ENGINE' });
	});
});

describe('the stream batch', () => {
	// No deadline passes unless the test says so: the stream batch is as full as it can be.
	beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
	afterEach(() => void vi.useRealTimers());

	const STREAMED = { steps: 4, streamBatch: true } as const;
	/** A letter a run: in, or on without a batch. */
	const runsOf = ({ advances }: RecordingDevice) => advances.map((entering) => (entering ? 'i' : 'o')).join('');

	it('takes one run a batch, and gives every frame once and in order', async () => {
		const { device, frames } = await paint(9, () => parametersOf({ ...STREAMED, batchSize: 2 }));
		expect(frames.map(({ sequence, kind }) => `${sequence} ${kind}`)).toEqual(
			Array.from({ length: 9 }, (_, i) => `${i} painting`),
		);
		expect(runsOf(device)).toBe('iiiiiooo');
		expect(device.advances[4]!.noise.shape[0]).toBe(1);
		expect(device.denoises).toEqual([]);
	});

	it('is none with one step', async () => {
		const { device } = await paint(3, () => parametersOf({ ...STREAMED, steps: 1 }));
		expect([device.advances.length, device.denoises.length]).toEqual([0, 3]);
	});

	it('has no temporal adapter: what it would go by is not painted yet', async () => {
		const { device } = await paint(6, () => parametersOf({ ...STREAMED, condRefreshEvery: 1 }));
		for (const entering of device.advances.slice(0, 6)) expect(entering!.temporal).toEqual({ multiplier: 0 });
	});

	it('is finished before another scene enters', async () => {
		const { device, frames } = await paint(10, () => parametersOf(STREAMED), cutAt(5));
		expect(runsOf(device)).toBe('iiiiioooiiiiiooo');
		expect(frames.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 10 }, (_, i) => i));
		// Where nothing is carried along, cuts are seen all the same.
		const fixed = await paint(10, () => parametersOf({ ...STREAMED, noise: 'fixed' }), cutAt(5));
		expect(runsOf(fixed.device)).toBe('iiiiioooiiiiiooo');
	});

	it('is finished before another style enters, and never goes back an epoch', async () => {
		let asked = 0;
		const parametersNow = () => (asked++ < 10 ? parametersOf(STREAMED) : parametersOf(STREAMED, 1, 'pencil-sketch'));
		const { device, frames } = await paint(8, parametersNow);
		const epochs = frames.map(({ epoch }) => epoch);
		expect(epochs).toEqual(epochs.toSorted((a, b) => a - b));
		expect(new Set(epochs)).toEqual(new Set([0, 1]));
		expect(runsOf(device)).toMatch(/^i+ooo?o?i+ooo$/);
		expect(device.advances.filter(Boolean)).toHaveLength(8);
	});

	it('is finished before a frame that is not painted', async () => {
		let asked = 0;
		const parametersNow = () => (asked++ < 4 ? parametersOf(STREAMED) : parametersOf({}, 1, 'passthrough'));
		const { device, frames } = await paint(5, parametersNow);
		expect(frames.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4]);
		expect(frames.at(-1)!.kind).toBe('source');
		expect(runsOf(device)).toMatch(/^i+o+$/);
	});

	it('goes on without a next batch that does not come, so that nothing is held back', async () => {
		let go = () => {};
		const waiting = new Promise<void>((resolve) => (go = resolve));
		async function* source() {
			yield frameOf(0);
			yield frameOf(1);
			await waiting;
			yield frameOf(2);
		}
		const device = new RecordingDevice();
		const shown: number[] = [];
		const done = (async () => {
			const stages = simulatedStages({ device, parametersNow: () => parametersOf(STREAMED) });
			for await (const { sequence } of paintLine(source(), stages)) shown.push(sequence);
		})();
		await vi.advanceTimersByTimeAsync(1000);
		expect(shown).toEqual([0, 1]);
		expect(runsOf(device)).toBe('iiooo');
		go();
		await vi.advanceTimersByTimeAsync(1000);
		await done;
		expect(shown).toEqual([0, 1, 2]);
		expect(runsOf(device)).toBe('iioooiooo');
	});

	it('ends with the error of the run that failed', async () => {
		const device = new RecordingDevice();
		device.advance = () => Promise.reject(new SidecarError('ERR_MEMORY', 'no room'));
		const stages = simulatedStages({ device, parametersNow: () => parametersOf(STREAMED) });
		await expect(collect(paintLine(framesUpTo(5), stages))).rejects.toMatchObject({ code: 'ERR_MEMORY' });
	});
});

describe('the moving buffer', () => {
	beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
	afterEach(() => void vi.useRealTimers());

	const BUFFERED = { steps: 2, movingBuffer: true } as const;

	/** Two frames, then none for a second, then one more: what was shown, each after which of them. */
	const paused = async (deadlineMs: number) => {
		let go = () => {};
		const waiting = new Promise<void>((resolve) => (go = resolve));
		async function* source() {
			yield frameOf(0);
			yield frameOf(1);
			await waiting;
			yield frameOf(2);
		}
		const device = new RecordingDevice();
		const shown: [sequence: number, timestampUs: number][] = [];
		const stages = simulatedStages({ device, parametersNow: () => parametersOf(BUFFERED), deadlineMs });
		const done = (async () => {
			for await (const { sequence, timestampUs } of paintLine(source(), stages)) shown.push([sequence, timestampUs]);
		})();
		const after: number[] = [];
		for (const ms of [99, 2, 899]) {
			await vi.advanceTimersByTimeAsync(ms);
			after.push(shown.length);
		}
		go();
		await vi.advanceTimersByTimeAsync(1000);
		await done;
		expect(shown).toEqual([
			[0, 0],
			[1, 40_000],
			[2, 80_000],
		]);
		return { after, runs: runsOf(device) };
	};
	const runsOf = ({ advances }: RecordingDevice) => advances.map((entering) => (entering ? 'i' : 'o')).join('');

	it('gives a painting with the next frame, which it waits for as a batch does for its last ones', async () => {
		expect(await paused(100)).toEqual({ after: [1, 2, 2], runs: 'iioio' });
		// Where every frame is painted, what is painted depends on no clock.
		expect(await paused(Infinity)).toEqual({ after: [1, 1, 1], runs: 'iiio' });
	});

	it('is finished before another scene, another style and what is not painted, and loses nothing', async () => {
		const scenes = await paint(8, () => parametersOf(BUFFERED), cutAt(5));
		expect(runsOf(scenes.device)).toBe('iiiiioiiio');
		let asked = 0;
		const changing = () => {
			const batch = Math.floor(asked++ / 2);
			if (batch === 4) return parametersOf(BUFFERED, 2, 'passthrough');
			return batch < 2 ? parametersOf(BUFFERED) : parametersOf(BUFFERED, batch < 4 ? 1 : 3, 'pencil-sketch');
		};
		const styles = await paint(7, changing);
		expect(runsOf(styles.device)).toBe('iioiioiio');
		for (const { frames } of [scenes, styles])
			expect(frames.map(({ sequence, timestampUs }) => timestampUs / 40_000 - sequence)).toEqual(frames.map(() => 0));
		expect(styles.frames.map(({ sequence, epoch, kind }) => `${sequence} ${epoch} ${kind}`)).toEqual([
			'0 0 painting',
			'1 0 painting',
			'2 1 painting',
			'3 1 painting',
			'4 2 source',
			'5 3 painting',
			'6 3 painting',
		]);
	});
});
