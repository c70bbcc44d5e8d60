import { describe, expect, test } from 'vitest';
import { rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';
import { measurePictures } from '../../sidecar/telemetry/picture-metrics.ts';

const size = { width: 96, height: 64 };

const picture = (value: (x: number, y: number) => number): Picture => {
	const data = new Uint8Array(size.width * size.height * 3);
	for (let y = 0; y < size.height; y++)
		for (let x = 0; x < size.width; x++) data.fill(value(x, y), (y * size.width + x) * 3, (y * size.width + x) * 3 + 3);
	return { ...rgbLayout(size), data };
};
const flat = (value: number) => picture(() => value);
/** Blobs wide enough for optical flow to follow, moved to the right. */
const blobs = (shift: number) =>
	picture((x, y) => 128 + 60 * Math.sin((x - shift) / 6) * Math.cos(y / 7) + 40 * Math.sin((x - shift) / 11 + y / 5));

async function* clip(...pairs: [Picture, Picture][]) {
	yield* pairs;
}

const native = loadNative();

describe('metrics of a clip, by hand', () => {
	test('a still scene whose painting flickers between 10 and 20', async () => {
		const metrics = await measurePictures(
			clip([flat(10), flat(10)], [flat(10), flat(20)], [flat(10), flat(10)]),
			native,
		);
		expect(metrics).toMatchObject({ frames: 3, warpingError: 10, warpingErrorVisible: 10, consecutiveL1: 10 });
		expect(metrics.consistencyRatio).toBe(1);
		expect(metrics.visibleFraction).toBeCloseTo(1, 5);
		expect(metrics.output).toMatchObject({ sobel: 0 });
		// Two pictures are as their sources (100 dB), one is 10 off: 20 log10(255 / 10) = 28.131 dB.
		expect(metrics.psnrDb).toBeCloseTo((100 + 28.131 + 100) / 3, 2);
	});

	test('a source against itself: alike, and steady under its own motion', async () => {
		const frames = [0, 2, 4].map((shift) => blobs(shift));
		const metrics = await measurePictures(clip(...frames.map((frame): [Picture, Picture] => [frame, frame])), native);
		expect(metrics.psnrDb).toBe(100);
		expect(metrics.ssim).toBeCloseTo(1, 5);
		expect(metrics.hfLogRatio).toBe(0);
		expect(metrics.consecutiveL1).toBeGreaterThan(8);
		expect(metrics.consistencyRatio).toBeLessThan(0.35);
	});

	test('a painting that stands still while the scene moves is worse than one that moves along', async () => {
		const inputs = [0, 2, 4].map((shift) => blobs(shift));
		const frozen = await measurePictures(
			clip(...inputs.map((input): [Picture, Picture] => [input, inputs[0]!])),
			native,
		);
		const moving = await measurePictures(clip(...inputs.map((input): [Picture, Picture] => [input, input])), native);
		expect(frozen.consecutiveL1).toBe(0);
		expect(frozen.consistencyRatio).toBe(0);
		expect(frozen.warpingError).toBeGreaterThan(2 * moving.warpingError);
	});

	test('a clip of one frame and a clip of none', async () => {
		expect(await measurePictures(clip([flat(1), flat(1)]), native)).toMatchObject({
			frames: 1,
			warpingError: 0,
			psnrDb: 100,
		});
		expect(await measurePictures(clip(), native)).toMatchObject({ frames: 0, warpingError: 0, psnrDb: 0 });
	});
});
