import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { type Picture, type PixelFormat, pictureByteLength, rgbLayout } from '../../sidecar/frame/frame.ts';
import { type Flow, loadNative, type NativeAddon } from '../../sidecar/native.ts';

const native = loadNative();
const ADDON_PATH = fileURLToPath(new URL('../../native/build/Release/allaprima.node', import.meta.url));

const rgbPicture = (width: number, height: number, fill = 0): Picture => ({
	...rgbLayout({ width, height }),
	data: new Uint8Array(3 * width * height).fill(fill),
});

const yuvPicture = (format: PixelFormat, width: number, height: number): Picture => {
	const layout = { format, width, height, matrix: 'bt709', range: 'limited' } as const;
	return { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
};

const flowOf = (width: number, height: number): Flow => ({
	width,
	height,
	data: new Float32Array(2 * width * height),
});

/** Waves, moved to the right. */
const drawWaves = ({ data, width }: Picture, shift = 0): void => {
	data.forEach((_, index) => {
		const pixel = Math.floor(index / 3);
		const x = (pixel % width) - shift;
		const y = Math.floor(pixel / width);
		data[index] = 128 + 50 * Math.sin(x / 4 + y / 11) + 50 * Math.sin(y / 5 - x / 17);
	});
};

const inSharedMemory = <View extends Uint8Array | Float32Array>(view: View): View => {
	const memory = new SharedArrayBuffer(view.byteLength + 64);
	const shared = new (view.constructor as new (memory: SharedArrayBuffer, offset: number, length: number) => View)(
		memory,
		32,
		view.length,
	);
	shared.set(view);
	return shared;
};

const shareData = <Holder extends { data: Uint8Array | Float32Array }>(holder: Holder): Holder => ({
	...holder,
	data: inSharedMemory(holder.data),
});

describe('the addon', () => {
	it('tells the version of OpenCV', () => {
		expect(native.opencvVersion).toMatch(/^4\.\d+\.\d+/);
	});

	it('works in shared memory as in memory of its own', async () => {
		const source = rgbPicture(64, 48);
		drawWaves(source);
		const coded = yuvPicture('NV12', 32, 24);
		const sharedCoded = shareData(yuvPicture('NV12', 32, 24));
		await native.convert(source, coded, 'cover');
		await native.convert(shareData(source), sharedCoded, 'cover');
		expect(sharedCoded.data).toEqual(coded.data);

		const flow = shareData(flowOf(64, 48));
		const target = shareData(rgbPicture(64, 48));
		flow.data.fill(0);
		await native.warp(shareData(source), flow, target);
		expect(target.data).toEqual(source.data);

		const shape = { channels: 4, width: 8, height: 6 };
		const field = inSharedMemory(Float32Array.from({ length: 192 }, (_, index) => index));
		const places = Float32Array.from({ length: 96 }, (_, index) =>
			index < 48 ? index % 8 : Math.floor((index - 48) / 8),
		);
		const [to, samples] = [inSharedMemory(new Float32Array(96)), inSharedMemory(new Float32Array(192))];
		await native.advectNoise(field, inSharedMemory(places), shape, flow, to, samples);
		expect(to).toEqual(places);
		expect(samples).toEqual(field);
		samples.fill(7);
		const offsets = inSharedMemory(new Float32Array(96).fill(7));
		await native.moveLatents(field, shape, [flow], samples, offsets);
		expect(samples).toEqual(field);
		expect(new Set(offsets)).toEqual(new Set([0]));
	});

	it('writes to the view and to nothing beside it', async () => {
		const memory = new Uint8Array(16 + 12 + 16).fill(9);
		const target = { ...rgbLayout({ width: 2, height: 2 }), data: memory.subarray(16, 28) };
		await native.convert(rgbPicture(5, 5, 200), target, 'stretch');
		expect([...memory]).toEqual([...Array(16).fill(9), ...Array(12).fill(200), ...Array(16).fill(9)]);
	});

	it('finds, follows and measures motion', async () => {
		const [previous, next, moved] = [rgbPicture(256, 144), rgbPicture(256, 144), rgbPicture(256, 144)];
		drawWaves(previous);
		drawWaves(next, 2);
		const flow = flowOf(256, 144);
		for (const method of ['dis', 'farneback'] as const) {
			await native.opticalFlow(previous, next, flow, method);
			expect(await native.meanMotion(flow)).toBeCloseTo(2, 0);
			await native.warp(previous, flow, moved);
			const before = await native.pictureDifference(previous, next);
			const after = await native.pictureDifference(moved, next);
			expect(after.meanAbsolute).toBeLessThan(before.meanAbsolute / 3);
			expect(after.ssim).toBeGreaterThan(before.ssim);
			expect(after.psnrDb).toBeGreaterThan(before.psnrDb);
		}
		const coarse = flowOf(64, 36);
		await native.opticalFlow(previous, next, coarse, 'dis');
		expect(await native.meanMotion(coarse)).toBeCloseTo(2 / 4, 0);
		await native.opticalFlow(previous, previous, coarse, 'dis');
		expect(await native.meanMotion(coarse)).toBeCloseTo(0, 1);
		const { all, visible, visibleFraction } = await native.warpingError([previous, next], [previous, next]);
		expect(all).toBeLessThan(3);
		expect(visible).toBeLessThanOrEqual(all);
		expect(visibleFraction).toBeGreaterThan(0.9);
		expect(await native.thumbnailDifference(previous, previous)).toBe(0);
		expect(await native.blockDifference(previous, previous)).toBe(0);
		expect(await native.blockDifference(previous, next)).toBeGreaterThan(1);
		const { sobel, hfFft } = await native.pictureDetail(previous);
		expect(sobel).toBeGreaterThan(0);
		expect(hfFft).toBeGreaterThan(0);
	});

	it('blends the last painting in where its frame agrees', async () => {
		const [painting, last, frame] = [rgbPicture(32, 16, 200), rgbPicture(32, 16, 100), rgbPicture(32, 16, 7)];
		await native.blend(painting, frame, last, frame, flowOf(8, 4), 0.25);
		expect(new Set(painting.data)).toEqual(new Set([175]));
		await native.blend(painting, frame, last, rgbPicture(32, 16, 90), flowOf(32, 16), 0.25);
		expect(new Set(painting.data)).toEqual(new Set([175]));
	});

	it('gives the same results to calls that run at the same time', async () => {
		const source = rgbPicture(320, 180);
		drawWaves(source);
		const sizes = Array.from({ length: 24 }, (_, index) => ({ width: 40 + 13 * index, height: 200 - 7 * index }));
		const convert = async ({ width, height }: { width: number; height: number }) => {
			const target = yuvPicture('I420', width, height);
			await native.convert(source, target, 'cover');
			return target.data;
		};
		const together = await Promise.all(sizes.map(convert));
		for (const [index, size] of sizes.entries()) expect(together[index]).toEqual(await convert(size));
	});

	it('leaves the event loop free while it works', async () => {
		const [previous, next] = [rgbPicture(1280, 720), rgbPicture(1280, 720, 50)];
		let working = true;
		const work = native.opticalFlow(previous, next, flowOf(1280, 720), 'farneback').then(() => (working = false));
		let turns = 0;
		while (working) {
			await new Promise((resolve) => setImmediate(resolve));
			turns += 1;
		}
		await work;
		expect(turns).toBeGreaterThan(100);
	});

	it('keeps memory that only the call still holds', async () => {
		const call = () => {
			const source = rgbPicture(1280, 720, 70);
			const target = rgbPicture(640, 360);
			const done = native.convert(source, target, 'stretch');
			return { done, target };
		};
		const calls = Array.from({ length: 12 }, call);
		const litter = Array.from({ length: 50 }, () => new Uint8Array(1 << 20).fill(3));
		for (const { done, target } of calls) {
			await done;
			expect(target.data.every((value) => value === 70)).toBe(true);
		}
		expect(litter).toHaveLength(50);
	});
});

describe('a wrong argument', () => {
	const source = rgbPicture(8, 8);
	const target = rgbPicture(8, 8);
	const flow = flowOf(8, 8);
	const shape = { channels: 4, width: 4, height: 4 };
	const [field, places] = [new Float32Array(64), new Float32Array(32)];
	const [to, samples] = [new Float32Array(32), new Float32Array(64)];
	/** Calls past the types, as a mistake would. */
	const call = (name: keyof NativeAddon, ...values: unknown[]): Promise<unknown> =>
		(native[name] as (...values: unknown[]) => Promise<unknown>)(...values);

	const refused: [string, Parameters<typeof call>, string][] = [
		['nothing at all', ['convert'], 'a picture for source but received undefined'],
		['null', ['convert', source, null, 'cover'], 'a picture for target but received null'],
		[
			'an unknown format',
			['convert', source, { ...target, format: 'YV12' }, 'cover'],
			"'UYVY' for target.format but received 'YV12'",
		],
		[
			'an unknown matrix',
			['convert', { ...source, matrix: 'bt2020' }, target, 'cover'],
			"'bt709' for source.matrix but received 'bt2020'",
		],
		['no range', ['convert', { ...source, range: undefined }, target, 'cover'], 'source.range but received undefined'],
		['an unknown fit', ['convert', source, target, 'fill'], "'stretch' for fit but received 'fill'"],
		['no width', ['convert', { ...source, width: 0 }, target, 'cover'], 'source.width but received 0'],
		['a negative height', ['convert', source, { ...target, height: -8 }, 'cover'], 'target.height but received -8'],
		['half a pixel', ['convert', { ...source, width: 7.5 }, target, 'cover'], 'source.width but received 7.5'],
		[
			'a width that is no number',
			['convert', { ...source, width: '8' }, target, 'cover'],
			"source.width but received '8'",
		],
		['NaN', ['convert', { ...source, width: NaN }, target, 'cover'], 'source.width but received NaN'],
		[
			'a huge width',
			['convert', { ...source, width: 2 ** 32 + 8 }, target, 'cover'],
			'from 1 to 16384 for source.width',
		],
		[
			'a width over the limit',
			['convert', { ...source, width: 16385 }, target, 'cover'],
			'source.width but received 16385',
		],
		[
			'too few bytes',
			['convert', { ...source, data: new Uint8Array(191) }, target, 'cover'],
			'a Uint8Array of 192 elements for source.data but received 191',
		],
		[
			'too many bytes',
			['convert', source, { ...target, data: new Uint8Array(193) }, 'cover'],
			'target.data but received 193',
		],
		['bytes of another type', ['convert', { ...source, data: new Int8Array(192) }, target, 'cover'], 'source.data'],
		['a bare ArrayBuffer', ['convert', { ...source, data: new ArrayBuffer(192) }, target, 'cover'], 'source.data'],
		[
			'the same memory twice',
			['convert', source, { ...source }, 'cover'],
			'memory apart from source.data for target.data',
		],
		[
			'YUV where RGB is due',
			['opticalFlow', yuvPicture('I420', 8, 8), source, flow, 'dis'],
			"'RGB' for previous.format but received 'I420'",
		],
		['pictures of two sizes', ['opticalFlow', source, rgbPicture(8, 9), flow, 'dis'], '8x8, for next but received 8x9'],
		[
			'a flow larger than the pictures',
			['opticalFlow', source, target, flowOf(9, 8), 'dis'],
			'8x8, for flow but received 9x8',
		],
		[
			'a flow of another size',
			['opticalFlow', source, target, flowOf(4, 4), 'farneback'],
			'8x8, for flow but received 4x4',
		],
		['latents in place', ['moveLatents', field, shape, [flow], field, to], 'memory apart from latents for target'],
		[
			'short latents',
			['moveLatents', new Float32Array(63), shape, [flow], samples, to],
			'64 elements for latents but received 63',
		],
		['short offsets', ['moveLatents', field, shape, [flow], samples, new Float32Array(16)], '32 elements for offsets'],
		[
			'a flow smaller than the latents',
			['moveLatents', field, shape, [flow, flowOf(2, 2)], samples, to],
			'at least the size of shape, 4x4, for flows[1] but received 2x2',
		],
		['no flows', ['moveLatents', field, shape, [], samples, to], 'an array of 1 to 64 flows for flows'],
		['a flow for flows', ['moveLatents', field, shape, flow, samples, to], 'an array of 1 to 64 flows for flows'],
		['an unknown method', ['opticalFlow', source, target, flow, 'raft'], "'farneback' for method but received 'raft'"],
		[
			'a flow of doubles',
			['warp', source, { ...flow, data: new Float64Array(128) }, target],
			'a Float32Array of 128 elements for flow.data',
		],
		['a short flow', ['meanMotion', { ...flow, data: new Float32Array(127) }], 'flow.data but received 127'],
		['warping in place', ['warp', source, flow, source], 'memory apart from source.data for target.data'],
		['a weight over 1', ['blend', target, source, source, source, flow, 1.5], '0 to 1 for weight but received 1.5'],
		['a weight that is no number', ['blend', target, source, source, source, flow, NaN], 'weight but received NaN'],
		[
			'blending two sizes',
			['blend', target, source, rgbPicture(4, 4), source, flow, 0.5],
			'8x8, for lastPainting but received 4x4',
		],
		[
			'blending along a flow larger than the painting',
			['blend', target, source, source, source, flowOf(16, 16), 0.5],
			'at most the size of painting, 8x8, for flow but received 16x16',
		],
		[
			'blending a painting into itself',
			['blend', target, source, target, source, flow, 0.5],
			'memory apart from lastPainting.data for painting.data',
		],
		['noise in place', ['advectNoise', field, places, shape, flow, to, field], 'memory apart from field for samples'],
		[
			'coordinates in place',
			['advectNoise', field, places, shape, flow, places, samples],
			'memory apart from from for to',
		],
		[
			'short noise',
			['advectNoise', new Float32Array(63), places, shape, flow, to, samples],
			'64 elements for field but received 63',
		],
		[
			'no channels',
			['advectNoise', field, places, { ...shape, channels: 0 }, flow, to, samples],
			'shape.channels but received 0',
		],
		[
			'a flow smaller than the noise',
			['advectNoise', field, places, shape, flowOf(2, 2), to, samples],
			'at least the size of shape, 4x4, for flow but received 2x2',
		],
		[
			'one input',
			['warpingError', [source], [source, target]],
			'an array of two pictures for inputs but received an array of 1',
		],
		[
			'outputs of another size',
			['warpingError', [source, target], [source, rgbPicture(4, 8)]],
			'8x8, for outputs[1] but received 4x8',
		],
		['a picture that is none', ['pictureDetail', 7], 'a picture for picture but received 7'],
	];

	it.each(refused)('%s is a TypeError that names it', async (_, values, message) => {
		const error = await call(...values).catch((cause: unknown) => cause);
		expect(error).toBeInstanceOf(TypeError);
		expect((error as TypeError).message).toContain(message);
		expect((error as TypeError).message).toMatch(/^Expected .+ for .+ but received .+\.$/);
	});

	it('may throw an error of its own', async () => {
		const broken = {
			get width(): number {
				throw new RangeError('no width today');
			},
		};
		await expect(call('convert', broken, target, 'cover')).rejects.toThrow(new RangeError('no width today'));
	});

	it('cannot pull the memory of an earlier one away', async () => {
		const taken = rgbPicture(8, 8);
		const thief = {
			...target,
			get width() {
				structuredClone(taken.data, { transfer: [taken.data.buffer as ArrayBuffer] });
				return 8;
			},
		};
		await expect(call('convert', taken, thief, 'cover')).rejects.toThrow('source.data but received a detached one');
	});

	it('leaves the addon in order', async () => {
		await native.convert(rgbPicture(8, 8, 5), target, 'cover');
		expect(new Set(target.data)).toEqual(new Set([5]));
	});
});

describe('worker threads', () => {
	/** Runs in the worker: picks up its memory, works `rounds` times, tells each start. */
	const body = `
		const { parentPort, workerData } = require('node:worker_threads');
		const native = require(workerData.path);
		const layout = { format: 'RGB', width: 640, height: 360, matrix: 'bt709', range: 'full' };
		const picture = () => ({ ...layout, data: new Uint8Array(layout.width * layout.height * 3).fill(60) });
		const flow = () => ({ width: 640, height: 360, data: new Float32Array(2 * 640 * 360) });
		const difference = () => native.pictureDifference(picture(), picture());
		const work = [
			() => native.opticalFlow(picture(), picture(), flow(), 'farneback'),
			() => native.opticalFlow(picture(), picture(), flow(), 'dis'),
			() => native.moveLatents(new Float32Array(640 * 360), { channels: 1, width: 640, height: 360 }, [flow()], new Float32Array(640 * 360), new Float32Array(2 * 640 * 360)),
			() => native.convert(picture(), picture(), 'cover'),
			() => native.blend(picture(), picture(), picture(), picture(), flow(), 0.5),
			difference,
			() => native.warpingError([picture(), picture()], [picture(), picture()]),
		];
		parentPort.on('message', async (mode) => {
			if (mode === 'one') return parentPort.postMessage(await difference());
			const pending = Array.from({ length: 10 }, (_, index) => work[index % work.length]());
			parentPort.postMessage('under way');
			await Promise.all(pending);
			parentPort.postMessage('done');
		});
	`;
	const startWorker = () => new Worker(body, { eval: true, workerData: { path: ADDON_PATH } });

	it('load the addon again', async () => {
		const workers = [startWorker(), startWorker()];
		for (const worker of workers) {
			worker.postMessage('one');
			const [answer] = (await once(worker, 'message')) as [unknown];
			expect(answer).toEqual({ meanAbsolute: 0, psnrDb: Infinity, ssim: 1 });
		}
		expect(await Promise.all(workers.map((worker) => worker.terminate()))).toEqual([1, 1]);
	});

	it('may be terminated in the middle of work', async () => {
		for (let round = 0; round < 4; round += 1) {
			const worker = startWorker();
			worker.postMessage('many');
			await once(worker, 'message');
			await worker.terminate();
		}
		const target = rgbPicture(8, 8);
		await native.convert(rgbPicture(8, 8, 5), target, 'cover');
		expect(target.data[0]).toBe(5);
	});

	it('may exit on their own in the middle of work', async () => {
		const worker = new Worker(`${body}; parentPort.emit('message', 'many'); process.exit(3);`, {
			eval: true,
			workerData: { path: ADDON_PATH },
		});
		const [code] = (await once(worker, 'exit')) as [number];
		expect(code).toBe(3);
	});
});
