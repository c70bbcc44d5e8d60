// The real engine: threads, onnxruntime and models/lite. Threads need compiled files, so this runs dist/.
import { beforeAll, describe, expect, it } from 'vitest';
import type { WorkerEngine as Engine, WorkerEngineSettings } from '../../sidecar/engine/worker-engine.ts';
import { pictureByteLength, rgbLayout, type Picture, type StyledFrame } from '../../sidecar/frame/frame.ts';
import type { Parameters } from '../../sidecar/parameters.ts';
import { collect, parametersOf } from '../support/frames.ts';
import { LITE } from '../support/lite.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const { WorkerEngine } = (await import(
	dist('engine/worker-engine.js')
)) as typeof import('../../sidecar/engine/worker-engine.ts');
const { openModelFolder } = (await import(
	dist('inference/manifest.js')
)) as typeof import('../../sidecar/inference/manifest.ts');
const { FrameRing } = (await import(dist('frame/ring.js'))) as typeof import('../../sidecar/frame/ring.ts');
const { loadNative } = (await import(dist('native.js'))) as typeof import('../../sidecar/native.ts');

const PAINTED = { width: 256, height: 160 };
const LAYOUT = rgbLayout(PAINTED);
const native = loadNative();
let folder: WorkerEngineSettings['folder'];

beforeAll(async () => {
	folder = await openModelFolder(LITE);
});

/** A picture with soft tones and hard edges that moves two pixels a frame to the right. */
const sourcePicture = (frame: number): Picture => {
	const data = new Uint8Array(pictureByteLength(LAYOUT));
	for (let y = 0, i = 0; y < LAYOUT.height; y++)
		for (let x = 0; x < LAYOUT.width; x++) {
			const u = x - 2 * frame;
			const isDisc = (u - 100) ** 2 + (y - 80) ** 2 < 45 ** 2;
			data[i++] = isDisc ? 220 : 60 + 0.4 * x;
			data[i++] = isDisc ? 120 + 0.5 * y : 90 + 0.6 * y;
			data[i++] = isDisc ? 60 : 160 - 0.3 * x + 20 * Math.sin(u / 9);
		}
	return { ...LAYOUT, data };
};

type Source = (sequence: number) => Picture;
const stillPicture: Source = () => sourcePicture(0);

/** Stands still, and grows darker by two levels a frame from the fifth on. */
const fadingPicture: Source = (sequence) => {
	const { data, ...layout } = sourcePicture(0);
	return { ...layout, data: data.map((value) => Math.max(0, value - 2 * Math.max(0, sequence - 4))) };
};

const withEngine = async <T>(
	parametersNow: () => Parameters,
	use: (engine: Engine, paint: (count: number, source?: Source) => Promise<StyledFrame[]>) => Promise<T>,
	overlaps = true,
): Promise<T> => {
	const ring = new FrameRing({ slotCount: 32, slotBytes: pictureByteLength(LAYOUT), mode: 'wait' });
	await using engine = await WorkerEngine.open({
		folder,
		provider: 'cpu',
		painted: PAINTED,
		fit: 'stretch',
		ring,
		parametersNow,
		batchDeadlineMs: Infinity,
		native,
		observer: { stage: () => {}, batch: () => {} },
		overlaps,
	});
	const running = new AbortController().signal;
	return await use(engine, async (count, source = sourcePicture) => {
		for (let sequence = 0; sequence < count; sequence++) {
			const slot = (await ring.acquire(running))!;
			ring.bytes(slot).set(source(sequence).data);
			ring.offer({ sequence, slot, capturedUs: 0, timestampUs: sequence * 40_000, durationUs: 40_000, layout: LAYOUT });
		}
		ring.close();
		return await collect(engine.paint(ring.frames(running)));
	});
};

const paint = (parameters: Parameters, count: number, source?: Source) =>
	withEngine(
		() => parameters,
		(_, paintFrames) => paintFrames(count, source),
	);

const meanDifference = async (a: Picture, b: Picture) => (await native.pictureDifference(a, b)).meanAbsolute;

describe('the engine with models/lite', () => {
	it('paints every frame through all six roles, and says which provider runs it', async () => {
		await withEngine(
			() => parametersOf(),
			async (engine, paintFrames) => {
				expect(engine.provider).toBe('cpu');
				const frames = await paintFrames(6);
				expect(frames.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5]);
				for (const { kind, picture, sequence } of frames) {
					expect(kind).toBe('painting');
					expect(picture).toMatchObject(LAYOUT);
					expect(await meanDifference(picture, sourcePicture(sequence))).toBeGreaterThan(4);
				}
			},
		);
	});

	it('paints the same picture from the same seed, and another from another', async () => {
		const first = (await paint(parametersOf(), 3)).at(-1)!.picture;
		const again = (await paint(parametersOf(), 3)).at(-1)!.picture;
		const other = (await paint({ ...parametersOf(), seed: 7 }, 3)).at(-1)!.picture;
		expect(await meanDifference(first, again)).toBe(0);
		expect(await meanDifference(first, other)).toBeGreaterThan(0.5);
	});

	it('paints with batches on their way side by side what it paints one after the other, bit for bit', async () => {
		for (const tuning of [{ condRefreshEvery: 4 }, { condRefreshEvery: 3, batchSize: 2, outputBlend: 0.3 }]) {
			const parameters = parametersOf({ ...tuning, noise: 'advected' });
			const bytes = (overlaps: boolean) =>
				withEngine(
					() => parameters,
					async (_, paintFrames) => (await paintFrames(24)).map(({ picture }) => Buffer.from(picture.data)),
					overlaps,
				);
			const [together, inTurn] = [await bytes(true), await bytes(false)];
			expect(together).toHaveLength(24);
			for (const [i, painting] of together.entries()) expect(painting.equals(inTurn[i]!), `frame ${i}`).toBe(true);
		}
	});

	it('shows the last painting of a still picture again, which is what painting it would give', async () => {
		const all = await paint(parametersOf(), 32, stillPicture);
		const reused = await paint(parametersOf({ similarityThreshold: 3 }), 32, stillPicture);
		expect(all.filter(({ isReused }) => isReused)).toEqual([]);
		expect(reused.filter(({ isReused }) => isReused).length).toBeGreaterThan(12);
		for (const [i, { picture, kind, sequence }] of reused.entries()) {
			expect({ kind, sequence }).toEqual({ kind: 'painting', sequence: i });
			expect(await meanDifference(picture, all[i]!.picture)).toBeLessThan(0.01 * 255);
		}
		// What moves is painted.
		const moving = await paint(parametersOf({ similarityThreshold: 3 }), 20);
		expect(moving.filter(({ isReused }) => isReused)).toEqual([]);
	});

	it('leaves the picture nearly as it is at strength 0, and paints at 1', async () => {
		const neutral = (await paint({ ...parametersOf(), conditioning: [] }, 1))[0]!.picture;
		const painted = (await paint(parametersOf(), 1))[0]!.picture;
		expect(await meanDifference(neutral, sourcePicture(0))).toBeLessThan(
			0.6 * (await meanDifference(painted, sourcePicture(0))),
		);
	});

	it('paints another style from another prompt', async () => {
		const oil = (await paint(parametersOf(), 1))[0]!.picture;
		const pencil = (
			await paint(
				{
					...parametersOf(),
					conditioning: [{ prompt: 'transfer this to pencil sketch style', weight: 1 }],
				},
				1,
			)
		)[0]!.picture;
		expect(await meanDifference(oil, pencil)).toBeGreaterThan(20);
	});

	it('paints a batch of four as it paints four frames', async () => {
		const off = { condRefreshEvery: 0, teRefreshEvery: 256 };
		const single = await paint(parametersOf({ ...off, batchSize: 1 }), 4);
		const batched = await paint(parametersOf({ ...off, batchSize: 4 }), 4);
		for (const [i, frame] of batched.entries())
			expect(await meanDifference(frame.picture, single[i]!.picture)).toBeLessThan(0.01);
	});

	it('paints in two and four steps', async () => {
		for (const steps of [2, 4] as const) {
			const [frame] = await paint(parametersOf({ steps }), 1);
			expect(await meanDifference(frame!.picture, sourcePicture(0))).toBeGreaterThan(4);
		}
	});

	it('paints with the stream batch what it paints without, in order', async () => {
		for (const batchSize of [1, 2]) {
			const tuning = { steps: 4, batchSize, condRefreshEvery: 0 } as const;
			const plain = await paint(parametersOf(tuning), 7);
			const streamed = await paint(parametersOf({ ...tuning, streamBatch: true }), 7);
			expect(streamed.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5, 6]);
			for (const [i, { picture }] of streamed.entries())
				expect(await meanDifference(picture, plain[i]!.picture)).toBe(0);
		}
	});

	it('holds the canvas still on a still picture, and redraws it with noise per frame', async () => {
		const lastTwo = async (parameters: Parameters) => {
			const frames = await paint(parameters, 8, stillPicture);
			return await meanDifference(frames.at(-1)!.picture, frames.at(-2)!.picture);
		};
		const advected = await lastTwo(parametersOf({ noise: 'advected' }));
		const perFrame = await lastTwo(parametersOf({ noise: 'per-frame' }));
		expect(advected).toBeLessThan(1);
		expect(perFrame).toBeGreaterThan(4 * advected);
	});

	it("gives the source's own bytes under passthrough", async () => {
		const frames = await paint(parametersOf({}, 0, 'passthrough'), 2);
		expect(await meanDifference(frames[1]!.picture, sourcePicture(1))).toBe(0);
	});

	it('blends in the painting before, when it is told to', async () => {
		const plain = await paint(parametersOf({ condRefreshEvery: 0, noise: 'per-frame' }), 4, stillPicture);
		const blended = await paint(
			parametersOf({ condRefreshEvery: 0, noise: 'per-frame', outputBlend: 0.6 }),
			4,
			stillPicture,
		);
		const step = async (frames: StyledFrame[]) => await meanDifference(frames[3]!.picture, frames[2]!.picture);
		expect(await step(blended)).toBeLessThan(0.7 * (await step(plain)));
	});

	it('carries strokes from painting to painting, and neither light nor colour: a fade does not lag', async () => {
		const lightOf = ({ data }: Picture) => data.reduce((sum, value) => sum + value, 0) / data.length;
		const lights = async (condRefreshEvery: number) =>
			(await paint(parametersOf({ condRefreshEvery }), 30, fadingPicture)).map(({ picture }) => lightOf(picture));
		const [adapted, alone] = [await lights(4), await lights(0)];
		expect(alone[0]! - alone[29]!).toBeGreaterThan(25);
		for (const [frame, light] of adapted.entries())
			expect(Math.abs(light - alone[frame]!), `frame ${frame}`).toBeLessThan(4);
	});
});
