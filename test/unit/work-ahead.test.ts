// Batches that are asked for before the one in front of them is painted.
import { describe, expect, it } from 'vitest';
import type { DenoisedBatch } from '../../sidecar/engine/batch.ts';
import type { LineDenoiseRequest } from '../../sidecar/engine/denoiser-stream.ts';
import { paintLine } from '../../sidecar/engine/line.ts';
import { SimulatedDevice } from '../../sidecar/engine/simulated-device.ts';
import { PAINTED, simulatePeriodMs, simulatedStages, STILL_WORLD } from '../../sidecar/engine/simulated-line.ts';
import { TemporalAdapter } from '../../sidecar/engine/temporal-adapter.ts';
import { VirtualClock } from '../../sidecar/engine/virtual-clock.ts';
import { SidecarError } from '../../sidecar/errors.ts';
import { nowUs } from '../../sidecar/frame/clock.ts';
import { pictureByteLength, rgbLayout } from '../../sidecar/frame/frame.ts';
import type { PaintResult } from '../../sidecar/inference/worker-protocol.ts';
import type { Parameters } from '../../sidecar/parameters.ts';
import { collect, frameOf, framesUpTo, parametersOf } from '../support/frames.ts';

const TIMES = { sideMs: 10, mainMs: 30, decodeMs: 20 };

describe('the law of the line, with a decoder of its own', () => {
	const periodMs = (times: typeof TIMES, how: { batchesAhead: number; overlaps?: boolean }) => {
		const clock = new VirtualClock();
		const { sleep } = clock;
		const simulation = { ...times, ...how, tuning: { condRefreshEvery: 0 }, batchSize: 1, batches: 20, sleep };
		return clock.run(simulatePeriodMs({ ...simulation, nowMs: () => clock.nowMs }));
	};

	it('takes max(side, main, decode) a batch as soon as one batch is asked for ahead', async () => {
		expect(await periodMs(TIMES, { batchesAhead: 1 })).toBeCloseTo(30, 6);
		expect(await periodMs({ ...TIMES, decodeMs: 40 }, { batchesAhead: 1 })).toBeCloseTo(40, 6);
		expect(await periodMs({ ...TIMES, sideMs: 50 }, { batchesAhead: 1 })).toBeCloseTo(50, 6);
	});

	it('takes main + decode where none is, and the sum of all where nothing works ahead', async () => {
		expect(await periodMs(TIMES, { batchesAhead: 0 })).toBeCloseTo(50, 6);
		expect(await periodMs(TIMES, { batchesAhead: 2, overlaps: false })).toBeCloseTo(60, 6);
	});
});

/** Paints a grey that follows from all that it is asked, and writes down when. */
class TellingDevice extends SimulatedDevice {
	/** `+n` is asked for, `*n` with an image to refresh the adapter by, `-n` is painted. */
	readonly events: string[] = [];
	#asked = 0;
	#painted = 0;

	constructor({ sleep }: Pick<VirtualClock, 'sleep'>, times = TIMES) {
		super({ ...times, sleep });
	}

	override async denoise(request: LineDenoiseRequest): Promise<PaintResult> {
		this.events.push(`${request.temporal.images ? '*' : '+'}${this.#asked++}`);
		const result = await super.denoise(request);
		this.events.push(`-${this.#painted++}`);
		return result;
	}

	override advance(entering?: LineDenoiseRequest) {
		this.events.push(entering ? 'in' : 'on');
		return super.advance(entering);
	}

	protected override paint(request: LineDenoiseRequest): PaintResult {
		const result = super.paint(request);
		const { images, multiplier } = request.temporal;
		const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, value) => total + value, 0);
		const grey = Math.abs(Math.round(1000 * sum(request.noise.data) + sum(images?.data ?? []) + 7 * multiplier));
		result.paintings.data.fill(grey % 251);
		return result;
	}
}

/** Warping and blending leave their mark, so that a painting follows from those before it. */
const MARKING: typeof STILL_WORLD = {
	...STILL_WORLD,
	warp: async ({ data }, _flow, target) => target.data.set(data.map((value) => (value + 1) % 251)),
	blend: async ({ data }, _frame, { data: last }, _lastFrame, _flow, weight) =>
		data.set(data.map((value, i) => Math.round((1 - weight) * value + weight * last[i]!))),
};

interface Ahead {
	times?: typeof TIMES;
	batchesAhead?: number;
	overlaps?: boolean;
}

const paint = async (count: number, parametersNow: () => Parameters, { times = TIMES, ...how }: Ahead) => {
	const clock = new VirtualClock();
	const device = new TellingDevice(clock, times);
	const stages = simulatedStages({ device, native: MARKING, parametersNow });
	const frames = await clock.run(collect(paintLine(framesUpTo(count), stages, how)));
	return { frames, events: device.events.join(' ') };
};

describe('what is asked for ahead', () => {
	it('is the next batch, but a refresh waits for the painting that it goes by', async () => {
		const parameters = parametersOf({ condRefreshEvery: 4 });
		const { events } = await paint(7, () => parameters, { batchesAhead: 1 });
		expect(events).toBe('+0 -0 *1 +2 -1 +3 -2 +4 -3 -4 *5 +6 -5 -6');
		const inTurn = await paint(4, () => parameters, { batchesAhead: 0 });
		expect(inTurn.events).toBe('+0 -0 *1 -1 +2 -2 +3 -3');
	});

	it.each([0, 0.4])(
		'paints the same as one batch after the other, with %d of the painting before',
		async (outputBlend) => {
			const parameters = parametersOf({ condRefreshEvery: 4, outputBlend, noise: 'per-frame' });
			const greys = async (how: Ahead) => {
				const { frames } = await paint(24, () => parameters, how);
				return frames.map(({ sequence, picture }) => [sequence, picture.data[0], picture.data.at(-1)]);
			};
			const inTurn = await greys({ overlaps: false });
			expect(new Set(inTurn.map(([, grey]) => grey)).size).toBeGreaterThan(12);
			for (const batchesAhead of [0, 1, 2])
				for (const times of [TIMES, { sideMs: 30, mainMs: 10, decodeMs: 5 }, { sideMs: 1, mainMs: 5, decodeMs: 30 }])
					expect(await greys({ batchesAhead, times })).toEqual(inTurn);
		},
	);

	it('is painted before a batch enters the stream batch, which takes its conditioning', async () => {
		let asked = 0;
		const streamed = parametersOf({ steps: 4, streamBatch: true, condRefreshEvery: 0 });
		const parametersNow = () => (asked++ < 6 ? parametersOf({ condRefreshEvery: 0 }) : streamed);
		const { events } = await paint(6, parametersNow, { batchesAhead: 2 });
		expect(events).toMatch(/-(\d) in/);
		expect(events).not.toMatch(/in.*-\d/);
	});

	/** Shows what a device paints that fails at its fourth batch; the consumer takes so long for a frame. */
	const untilFourth = async (condRefreshEvery: number, consumerMs: number): Promise<number[]> => {
		const clock = new VirtualClock();
		const device = new TellingDevice(clock);
		const denoise = device.denoise.bind(device);
		let asked = 0;
		device.denoise = async (request) => {
			const isLost = asked++ === 3;
			const result = await denoise(request);
			if (isLost) throw new SidecarError('ERR_MEMORY', 'no room');
			return result;
		};
		const stages = simulatedStages({ device, parametersNow: () => parametersOf({ condRefreshEvery }) });
		const shown: number[] = [];
		const watch = async () => {
			for await (const { sequence } of paintLine(framesUpTo(9), stages, { batchesAhead: 2 })) {
				shown.push(sequence);
				await clock.sleep(consumerMs);
			}
		};
		await expect(clock.run(watch())).rejects.toMatchObject({ code: 'ERR_MEMORY' });
		return shown;
	};

	it.each([0, 1])('ends with the error of the batch that failed, refreshed every %d', async (condRefreshEvery) => {
		expect(await untilFourth(condRefreshEvery, 0)).toEqual([0, 1, 2]);
	});

	it('keeps an error until what came before it is shown', async () => {
		const unheard: unknown[] = [];
		const hear = (error: unknown) => void unheard.push(error);
		process.on('unhandledRejection', hear);
		try {
			expect(await untilFourth(0, 500)).toEqual([0, 1, 2]);
		} finally {
			process.off('unhandledRejection', hear);
		}
		expect(unheard).toEqual([]);
	});

	it('is let go where nobody wants more', async () => {
		const clock = new VirtualClock();
		const stages = simulatedStages({
			device: new TellingDevice(clock),
			parametersNow: () => parametersOf({ condRefreshEvery: 1 }),
		});
		const shown: number[] = [];
		const watch = async () => {
			for await (const { sequence } of paintLine(framesUpTo(9), stages, { batchesAhead: 2 }))
				if (shown.push(sequence) === 3) break;
		};
		await clock.run(watch());
		expect(shown).toEqual([0, 1, 2]);
	});
});

it('counts no time twice in which two batches were on their way', async () => {
	const layout = rgbLayout(PAINTED);
	const picture = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
	const mainMs: number[] = [];
	const observer = { stage: () => {}, batch: (times: { mainMs: number }) => void mainMs.push(times.mainMs) };
	const adapter = new TemporalAdapter({ native: STILL_WORLD, observer });
	const startUs = nowUs();
	const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)).then(() => [picture]);
	async function* batches() {
		for (const ms of [30, 60, 90])
			yield {
				frames: [frameOf(0)],
				pictures: [picture],
				parameters: parametersOf(),
				isReused: false,
				encoding: { sideMs: 0 },
				mainStartUs: startUs,
				paintings: after(ms),
			} as unknown as DenoisedBatch;
	}
	const blended = await collect(adapter.blend(batches()));
	for (const { shown } of blended) await shown;
	expect(mainMs).toHaveLength(3);
	expect(mainMs.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual((nowUs() - startUs) / 1000);
});

it('blends the painting before into what follows from it, and not into another scene or style', async () => {
	const layout = rgbLayout(PAINTED);
	const grey = (level: number) => ({ ...layout, data: new Uint8Array(pictureByteLength(layout)).fill(level) });
	const flow = { width: 1, height: 1, data: new Float32Array(2) };
	const observer = { stage: () => {}, batch: () => {} };
	const adapter = new TemporalAdapter({ native: MARKING, observer });
	async function* batches() {
		for (const [level, isNewScene] of [
			[100, true],
			[200, false],
			[0, true],
			[100, false],
		] as const)
			yield {
				frames: [frameOf(0)],
				pictures: [grey(0)],
				parameters: parametersOf({ outputBlend: 0.25 }),
				motion: Promise.resolve({ fromPrevious: [flow], isNewScene }),
				isReused: false,
				encoding: { sideMs: 0 },
				mainStartUs: nowUs(),
				paintings: Promise.resolve([grey(level)]),
			} as unknown as DenoisedBatch;
	}
	const shown = [];
	for await (const batch of adapter.blend(batches())) shown.push((await batch.shown)[0]!.data[0]);
	expect(shown).toEqual([100, 175, 0, 75]);
});
