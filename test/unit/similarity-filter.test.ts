import { describe, expect, it } from 'vitest';
import type { PictureBatch } from '../../sidecar/engine/batch.ts';
import type { LineDenoiseRequest } from '../../sidecar/engine/denoiser-stream.ts';
import { paintLine } from '../../sidecar/engine/line.ts';
import { SimilarityFilter } from '../../sidecar/engine/similarity-filter.ts';
import { SimulatedDevice } from '../../sidecar/engine/simulated-device.ts';
import { simulatedStages, STILL_WORLD } from '../../sidecar/engine/simulated-line.ts';
import { rgbLayout } from '../../sidecar/frame/frame.ts';
import type { Parameters } from '../../sidecar/parameters.ts';
import { collect, frameOf, framesUpTo, parametersOf } from '../support/frames.ts';

const PARAMETERS = parametersOf({ similarityThreshold: 3 });

/** Which frames are reused, of pictures whose largest difference of a block to one that holds 0 is their value. */
const reused = async (
	values: readonly number[],
	parametersOfFrame: (index: number) => Parameters = () => PARAMETERS,
) => {
	async function* batches(): AsyncGenerator<PictureBatch> {
		for (const [index, value] of values.entries())
			yield {
				index,
				frames: [frameOf(index)],
				parameters: parametersOfFrame(index),
				pictures: [{ ...rgbLayout({ width: 1, height: 1 }), data: new Uint8Array([value]) }],
				sideStartUs: 0,
			};
	}
	const native = {
		blockDifference: async (a: { data: Uint8Array }, b: { data: Uint8Array }) => Math.abs(a.data[0]! - b.data[0]!),
	};
	const observer = { stage: () => {}, batch: () => {} };
	const sifted = await collect(new SimilarityFilter({ native, observer }).sift(batches()));
	return sifted.flatMap(({ index, isReused }) => (isReused ? [index] : []));
};

const still = (count: number, value = 0): number[] => Array.from({ length: count }, () => value);
const from = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

describe('which frames are the last painting again', () => {
	it('those of a still picture, when the adapter has come to rest, but for one in 24', async () => {
		expect(await reused(still(64))).toEqual([...from(13, 35), ...from(37, 59), ...from(61, 63)]);
	});

	it('none from the first that differs on, until the picture has been still again', async () => {
		expect(await reused([...still(20), ...still(20, 100)])).toEqual([...from(13, 19), ...from(33, 39)]);
	});

	it('none that differs in less than the threshold each time, but has come as far since the last painting', async () => {
		const creeping = Array.from({ length: 80 }, (_, i) => Math.floor(i / 8)); // a level every eight frames
		const frames = await reused([...still(13), ...creeping]);
		const largest = Math.max(...frames.map((frame, i) => frame - (frames[i - 1] ?? frame)));
		expect(largest).toBeGreaterThan(1);
		const painted = from(0, 92).filter((frame) => !frames.includes(frame) && frame > 13);
		expect(painted.length).toBeGreaterThan(80 / 24);
	});

	it('none of other parameters than the painting has', async () => {
		const other = parametersOf({ similarityThreshold: 3 }, 1);
		const frames = await reused(still(40), (index) => (index < 20 ? PARAMETERS : other));
		expect(frames).toEqual([...from(13, 19), ...from(33, 39)]);
	});

	it.each([
		['at the threshold 0', parametersOf({ similarityThreshold: 0 })],
		['with noise that is new for each frame', parametersOf({ similarityThreshold: 3, noise: 'per-frame' })],
		['under the style passthrough', parametersOf({ similarityThreshold: 3 }, 0, 'passthrough')],
	])('none %s', async (_, parameters) => {
		expect(await reused(still(40), () => parameters)).toEqual([]);
	});

	it('all at half the threshold, half of them at three quarters, none at the threshold; the same each time', async () => {
		const share = async (difference: number) => {
			const parameters = parametersOf({ similarityThreshold: 100 });
			// One that is painted makes way for one that differs from it as much.
			const values = Array.from({ length: 4000 }, (_, i) => (i % 2) * difference);
			const frames = await reused(values, () => parameters);
			expect(await reused(values, () => parameters)).toEqual(frames);
			return frames.length / values.length;
		};
		const most = await share(0);
		expect(await share(50)).toBeCloseTo(most, 5);
		expect(await share(75)).toBeLessThan(0.8 * most);
		expect(await share(75)).toBeGreaterThan(0.4 * most);
		expect(await share(100)).toBe(0);
	});
});

describe('the line', () => {
	it('asks the streams for nothing, and gives the last painting in its place', async () => {
		class CountingDevice extends SimulatedDevice {
			painted = 0;
			override async denoise(request: LineDenoiseRequest) {
				const result = await super.denoise(request);
				result.paintings.data.fill(++this.painted);
				return result;
			}
		}
		const device = new CountingDevice({ sideMs: 0, mainMs: 0, sleep: async () => {} });
		const stages = simulatedStages({ device, native: STILL_WORLD, parametersNow: () => PARAMETERS });
		const frames = await collect(paintLine(framesUpTo(38), stages));
		expect(frames.map(({ sequence }) => sequence)).toEqual(from(0, 37));
		expect(new Set(frames.map(({ kind }) => kind))).toEqual(new Set(['painting']));
		expect(frames.map(({ picture }) => picture.data[0])).toEqual([...from(1, 13), ...still(23, 13), 14, 14]);
		expect(frames.map(({ isReused }) => isReused)).toEqual([...still(13), ...still(23, 1), 0, 1].map(Boolean));
	});
});
