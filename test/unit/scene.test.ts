import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Frame } from '../../sidecar/frame/frame.ts';
import { FrameRing } from '../../sidecar/frame/ring.ts';
import { Backdrop } from '../../sidecar/ingest/scene/backdrop.ts';
import { Canvas, rgb } from '../../sidecar/ingest/scene/canvas.ts';
import { Layer } from '../../sidecar/ingest/scene/layer.ts';
import { Path } from '../../sidecar/ingest/scene/path.ts';
import { Scene } from '../../sidecar/ingest/scene/scene.ts';
import { openSceneSource } from '../../sidecar/ingest/scene-source.ts';

const SIZE = { width: 256, height: 144 };
const RATE = { num: 30, den: 1 };

/** Frames with their pixels, as the engine would read them. */
const readScene = async (seed: number, count: number, size = SIZE) => {
	const source = await openSceneSource({ size, frameRate: RATE, seed, pace: 'max', durationS: count / 30 });
	const ring = new FrameRing({ slotCount: 2, slotBytes: size.width * size.height * 4, mode: 'wait' });
	const { signal } = new AbortController();
	const run = source.run(ring, signal).then((end) => (ring.close(), end));
	const frames: (Frame & { pixels: Uint8Array })[] = [];
	for await (const frame of ring.frames(signal)) {
		frames.push({ ...frame, pixels: ring.bytes(frame.slot).slice() });
		ring.release(frame);
	}
	return { frames, end: await run };
};
const hashOf = (pixels: Uint8Array) => createHash('sha256').update(pixels).digest('hex');

describe('scene', () => {
	it('gives the same frames for the same seed, and others for another', async () => {
		const [first, again, other] = [await readScene(1, 5), await readScene(1, 5), await readScene(2, 5)];
		const hashes = ({ frames }: typeof first) => frames.map(({ pixels }) => hashOf(pixels));
		expect(hashes(again)).toEqual(hashes(first));
		for (const hash of hashes(other)) expect(hashes(first)).not.toContain(hash);
	});

	it('moves in every frame, in many places, and never jumps', async () => {
		const { frames } = await readScene(3, 20);
		for (const [index, { pixels }] of frames.entries()) {
			if (index === 0) continue;
			const before = frames[index - 1]!.pixels;
			let [changed, sum] = [0, 0];
			for (let at = 0; at < pixels.length; at++) {
				const difference = Math.abs(pixels[at]! - before[at]!);
				if (difference > 2) changed++;
				sum += difference;
			}
			expect(changed / pixels.length).toBeGreaterThan(0.05);
			expect(sum / pixels.length).toBeLessThan(12);
		}
	});

	it('has the frame of a moment without those before it', () => {
		const late = new Uint32Array(SIZE.width * SIZE.height);
		const straight = new Uint32Array(SIZE.width * SIZE.height);
		const scene = new Scene(SIZE, 4);
		for (let frame = 0; frame < 10; frame++) scene.paint(late, frame / 30);
		new Scene(SIZE, 4).paint(straight, 9 / 30);
		expect(straight).toEqual(late);
	});

	it('fills every pixel, opaque, at any size', () => {
		for (const [width, height] of [
			[1, 1],
			[2, 3],
			[33, 17],
			[90, 160],
			[400, 100],
		] as const) {
			const scene = new Scene({ width, height }, 1);
			// The camera reaches both ends of its way.
			for (let timeS = 0; timeS < 24; timeS += 2) {
				const pixels = new Uint32Array(width * height);
				scene.paint(pixels, timeS);
				expect(pixels.every((pixel) => pixel >>> 24 === 255)).toBe(true);
			}
		}
	});

	it('uses the whole range from shadow to light, and all colours', async () => {
		const { frames } = await readScene(0, 1);
		const sums = [new Set<number>(), new Set<number>(), new Set<number>()];
		for (const [at, value] of frames[0]!.pixels.entries()) sums[at % 4]?.add(value >> 4);
		for (const values of sums) expect(values.size).toBeGreaterThan(13);
	});

	it('stamps frames by their number and ends when asked to', async () => {
		const { frames, end } = await readScene(0, 6, { width: 32, height: 18 });
		expect(end).toEqual({ framesRead: 6, warnings: [] });
		expect(frames.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5]);
		expect(frames.map(({ timestampUs }) => timestampUs)).toEqual([0, 33_333, 66_667, 100_000, 133_333, 166_667]);
		expect(frames.map(({ timestampUs, durationUs }) => timestampUs + durationUs)).toEqual(
			frames.map(({ sequence }) => Math.round(((sequence + 1) * 1e6) / 30)),
		);
	});

	it('stops when told to', async () => {
		const source = await openSceneSource({ size: { width: 32, height: 18 }, frameRate: RATE, seed: 0, pace: 'max' });
		const ring = new FrameRing({ slotCount: 2, slotBytes: 32 * 18 * 4, mode: 'wait' });
		const stop = new AbortController();
		const run = source.run(ring, stop.signal);
		stop.abort();
		expect((await run).warnings).toEqual([]);
	});
});

describe('backdrop', () => {
	const at = (seed: number, timeS: number, { width, height } = SIZE) => {
		const pixels = new Uint32Array(width * height);
		new Backdrop({ width, height }, seed).paint(pixels, timeS);
		return pixels;
	};
	/** Mean difference of a byte. */
	const apart = (a: Uint32Array, b: Uint32Array) => {
		const [one, other] = [new Uint8Array(a.buffer), new Uint8Array(b.buffer)];
		return one.reduce((sum, value, i) => sum + Math.abs(value - other[i]!), 0) / one.length;
	};

	it('depends on the seed and the moment alone', () => {
		const backdrop = new Backdrop(SIZE, 4);
		const late = new Uint32Array(SIZE.width * SIZE.height);
		for (let frame = 0; frame < 5; frame++) backdrop.paint(late, frame / 30);
		expect(at(4, 4 / 30)).toEqual(late);
		expect(apart(at(5, 4 / 30), late)).toBeGreaterThan(20);
	});

	it('drifts without jumps, after a day too, and comes back to nothing that it was', () => {
		for (const timeS of [0, 3600, 86_400]) {
			const step = apart(at(1, timeS), at(1, timeS + 1 / 30));
			expect(step).toBeGreaterThan(0.02);
			expect(step).toBeLessThan(1.5);
		}
		const moments = [0, 20, 60, 600, 3600, 7200, 86_400].map((timeS) => at(1, timeS));
		for (const [i, a] of moments.entries())
			for (const b of moments.slice(i + 1)) expect(apart(a, b)).toBeGreaterThan(10);
	});

	it('has dark and light and several hues, and fills any size', () => {
		const bytes = new Uint8Array(at(0, 0).buffer);
		for (const channel of [0, 1, 2]) {
			const values = bytes.filter((_, i) => i % 4 === channel).sort();
			const edge = Math.floor(values.length / 50);
			expect(values.at(-edge)! - values[edge]!).toBeGreaterThan(90);
		}
		for (const [width, height] of [
			[1, 1],
			[33, 17],
			[90, 160],
		] as const)
			expect(at(2, 5, { width, height }).every((pixel) => pixel >>> 24 === 255)).toBe(true);
	});
});

describe('canvas', () => {
	const white = { kind: 'solid', color: rgb(255, 255, 255) } as const;

	it('covers pixels in proportion to the area inside', () => {
		const canvas = new Canvas(4, 3);
		canvas.pixels.fill(rgb(0, 0, 0));
		canvas.fill(new Path().polygon([1.5, 0, 3.25, 0, 3.25, 2, 1.5, 2]), white);
		const red = [...canvas.pixels].map((pixel) => pixel & 255);
		expect(red.slice(0, 4)).toEqual([0, expect.closeTo(128, -1), 255, expect.closeTo(64, -1)]);
		expect(red.slice(8)).toEqual([0, 0, 0, 0]);
	});

	it('clips what lies outside', () => {
		const canvas = new Canvas(4, 4);
		canvas.fill(new Path().polygon([-9, -9, 9, -9, 9, 9, -9, 9]), white);
		expect([...new Set(canvas.pixels)]).toEqual([rgb(255, 255, 255)]);
		canvas.fill(new Path().ellipse(50, 50, 5, 5), { kind: 'solid', color: rgb(0, 0, 0) });
		expect([...new Set(canvas.pixels)]).toEqual([rgb(255, 255, 255)]);
	});

	it('lays a layer between two pixels by mixing them', () => {
		const layer = new Layer(4, 1, 0);
		layer.canvas.pixels.set([rgb(0, 0, 0), rgb(200, 0, 0), rgb(100, 0, 0), rgb(100, 0, 0)]);
		const target = new Canvas(2, 1);
		layer.prepare().lay(target, 0.5);
		expect([...target.pixels].map((pixel) => pixel & 255)).toEqual([100, 150]);
	});

	it('repeats a layer that wraps', () => {
		const layer = new Layer(2, 1, 0, { wraps: true });
		layer.canvas.pixels.set([rgb(10, 0, 0), rgb(20, 0, 0)]);
		const target = new Canvas(5, 1);
		layer.prepare().lay(target, -3);
		expect([...target.pixels].map((pixel) => pixel & 255)).toEqual([20, 10, 20, 10, 20]);
	});
});
