import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../../sidecar/frame/tensor.ts';
import { gaussianNoise } from '../../sidecar/inference/gaussian-noise.ts';
import {
	checkWindow,
	EMPTY_WINDOW,
	framesBack,
	keepNewest,
	writeFrame,
	type FrameWindow,
	type WindowSize,
	type Writing,
} from '../../sidecar/inference/causal/frame-window.ts';
import {
	KeyValueCache,
	REFERENCE_DISTANCE,
	type CacheShape,
	type KeysAndValues,
} from '../../sidecar/inference/causal/key-value-cache.ts';

type Deed = 'next' | 'again' | 'switch' | 'switch with a reference';

const sizes = fc
	.record({ frames: fc.integer({ min: 1, max: 8 }), sinkFrames: fc.integer({ min: 0, max: 7 }) })
	.filter(({ frames, sinkFrames }) => sinkFrames < frames);
const deeds = fc.array(fc.constantFrom<Deed>('next', 'next', 'next', 'again', 'switch', 'switch with a reference'), {
	maxLength: 60,
});

const deedsOrScenes = fc.array(
	fc.oneof(
		{ weight: 6, arbitrary: fc.constantFrom<Deed>('next', 'again', 'switch', 'switch with a reference') },
		{ weight: 1, arbitrary: fc.constant('scene' as const) },
	),
	{ maxLength: 60 },
);

const numbers = (window: FrameWindow) => window.map(({ frame }) => frame);
const sinksOf = (window: FrameWindow) => numbers(window.filter(({ isSink }) => isSink));

interface Step {
	deed: Deed;
	before: FrameWindow;
	window: FrameWindow;
	writing?: Writing;
	frame?: number;
}

/** What each of these deeds does to the window. */
const rolled = (size: WindowSize, asked: readonly Deed[]): Step[] => {
	let window = EMPTY_WINDOW;
	let frame = -1;
	const steps: Step[] = [];
	for (const deed of asked) {
		const before = window;
		if (deed.startsWith('switch')) {
			({ window } = keepNewest(before, size));
			steps.push({ deed, before, window });
			continue;
		}
		if (deed === 'next' || frame < 0) frame += 1 + (frame % 3 === 0 ? 4 : 0); // frames of the source are left out
		const writing = writeFrame(before, frame, size);
		window = writing.window;
		steps.push({ deed, before, window, writing, frame });
	}
	return steps;
};

const eachStep = (claim: (step: Step, size: WindowSize) => void) =>
	fc.assert(
		fc.property(sizes, deeds, (size, asked) => {
			for (const step of rolled(size, asked)) claim(step, size);
		}),
	);

describe('the window', () => {
	test('holds the last frames, with those first after the start at the front', () => {
		let window = EMPTY_WINDOW;
		for (let frame = 0; frame < 100; frame++) ({ window } = writeFrame(window, frame, { frames: 5, sinkFrames: 2 }));
		expect(numbers(window)).toEqual([0, 1, 97, 98, 99]);
		expect(window.map(({ slot }) => slot).slice(0, 2)).toEqual([0, 1]);
	});

	test('a pass over a frame that is held overwrites it where it lies, and moves nothing', () => {
		eachStep(({ deed, before, writing, window }) => {
			if (deed !== 'again' || before.length === 0) return;
			expect(window).toBe(before);
			expect(writing).toEqual({ window, slot: before.at(-1)!.slot, farther: [] });
		});
	});

	test('is in the order in which frames were painted, each in a slot of its own, as many as there is room for', () => {
		eachStep(({ window }, { frames }) => {
			expect(numbers(window)).toEqual([...numbers(window)].sort((a, b) => a - b));
			expect(new Set(window.map(({ slot }) => slot)).size).toBe(window.length);
			expect(window.every(({ slot }) => slot >= 0 && slot < frames)).toBe(true);
		});
	});

	test('never lets a sink go but at a switch, and of the others the oldest first', () => {
		eachStep(({ before, window, writing, frame }, { frames, sinkFrames }) => {
			if (!writing) return;
			expect(sinksOf(window).slice(0, sinksOf(before).length)).toEqual(sinksOf(before));
			expect(sinksOf(window).length).toBeLessThanOrEqual(sinkFrames);
			const gone = before.filter((held) => !window.includes(held));
			if (before.at(-1)?.frame === frame) expect(gone).toEqual([]);
			else if (gone.length > 0) {
				expect(gone).toEqual([before.find(({ isSink }) => !isSink)]);
				expect(before.filter(({ isSink }) => !isSink)).toHaveLength(frames - sinkFrames);
			}
			expect(window.at(-1)!.frame).toBe(frame);
		});
	});

	test('has sinks in the first slots, in order, and nothing else there', () => {
		eachStep(({ window }, { sinkFrames }) => {
			const sinks = window.filter(({ isSink }) => isSink);
			expect(sinks.map(({ slot }) => slot)).toEqual(sinks.map((_, i) => i));
			expect(window.filter(({ isSink }) => !isSink).every(({ slot }) => slot >= sinkFrames)).toBe(true);
		});
	});

	test('positions are bounded by its length, and those that grow are the ones that are said to', () => {
		eachStep(({ before, window, writing }, { frames }) => {
			for (const index of window.keys()) {
				expect(framesBack(window, index)).toBeGreaterThanOrEqual(1);
				expect(framesBack(window, index)).toBeLessThanOrEqual(frames);
			}
			for (const [index, held] of before.entries()) {
				const now = window.findIndex(({ frame }) => frame === held.frame);
				if (!writing || now < 0) continue;
				const grown = framesBack(window, now) - framesBack(before, index);
				expect(grown).toBe(writing.farther.includes(held.slot) ? 1 : 0);
			}
		});
	});

	test('a switch leaves the last frame, which is no sink of the new style', () => {
		eachStep(({ deed, before, window }, { sinkFrames }) => {
			if (!deed.startsWith('switch')) return;
			const newest = before.at(-1);
			expect(window).toEqual(newest ? [{ frame: newest.frame, slot: sinkFrames, isSink: false }] : []);
		});
	});

	test('refuses frames that go back in time', () => {
		const { window } = writeFrame(EMPTY_WINDOW, 7, { frames: 2, sinkFrames: 0 });
		expect(() => writeFrame(window, 6, { frames: 2, sinkFrames: 0 })).toThrow('frame 6 is written after 7');
	});

	test.each([
		[{ frames: 0, sinkFrames: 0 }, 'The window has 0 frames, expected 1 to 31.'],
		[{ frames: 32, sinkFrames: 0 }, 'The window has 32 frames'],
		[{ frames: 2.5, sinkFrames: 0 }, 'The window has 2.5 frames'],
		[{ frames: NaN, sinkFrames: 0 }, 'The window has NaN frames'],
		[{ frames: 4, sinkFrames: 4 }, '4 frames of the window are sinks, expected 0 to 3'],
		[{ frames: 4, sinkFrames: -1 }, '-1 frames of the window are sinks'],
	])('%j is no window', (size, message) => {
		expect(() => checkWindow(size, 31)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
		expect(() => checkWindow(size, 31)).toThrow(message);
	});
});

const SHAPE = { layers: 2, heads: 2, headDim: 16, referenceTokens: 3, frameTokens: 4 };

const made = (seed: number, tokens: number): KeysAndValues => {
	const tensors = (first: number) =>
		Array.from({ length: SHAPE.layers }, (_, layer): Tensor<Float32Array> => {
			const shape = [1, SHAPE.heads, tokens, SHAPE.headDim];
			return { data: gaussianNoise(first + layer, SHAPE.heads * tokens * SHAPE.headDim), shape };
		});
	return { keys: tensors(10 * seed), values: tensors(10 * seed + 5) };
};

/** The numbers of one token of a tensor [1, heads, tokens, headDim]. */
const token = ({ data, shape }: Tensor<Float32Array>, head: number, at: number): number[] => {
	const [, , tokens = 0, length = 0] = shape;
	return [...data.subarray((head * tokens + at) * length, (head * tokens + at + 1) * length)];
};

/** A key as of `back` frames later: pair i of time turns by 100^(-i / pairs) a frame, backwards. */
const turned = (key: readonly number[], back: number): number[] => {
	const [half, pairs] = [key.length / 2, key.length / 8];
	const result = [...key];
	for (let pair = 0; pair < pairs; pair++) {
		const angle = -back * 100 ** (-pair / pairs);
		const [a, b] = [key[pair]!, key[pair + half]!];
		result[pair] = a * Math.cos(angle) - b * Math.sin(angle);
		result[pair + half] = a * Math.sin(angle) + b * Math.cos(angle);
	}
	return result;
};

const expectClose = (found: readonly number[], expected: readonly number[]) => {
	for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 4);
};

describe('the cache', () => {
	test('has what was made of each frame that is held, turned to how far back it is, and hides all else', () => {
		fc.assert(
			fc.property(sizes, fc.integer({ min: 0, max: 2 }), deedsOrScenes, (window, spare, asked) => {
				const slots = window.frames + spare;
				const cache = new KeyValueCache({ ...SHAPE, slots, window });
				const by = new Map<number, KeysAndValues>();
				let reference: KeysAndValues | undefined;
				let [frame, seed] = [-1, 0];
				for (const deed of asked) {
					seed++;
					if (deed.startsWith('switch')) {
						reference = deed === 'switch' ? undefined : made(seed, SHAPE.referenceTokens);
						cache.switchTo(reference);
						continue;
					}
					if (deed === 'scene') {
						cache.forgetFrames();
						expect(cache.window).toEqual([]);
						expect(cache.newest).toBeUndefined();
						continue;
					}
					if (deed === 'next' || frame < 0) frame++;
					by.set(frame, made(seed, SHAPE.frameTokens));
					cache.write(frame, by.get(frame)!);
				}
				const past = SHAPE.referenceTokens + slots * SHAPE.frameTokens;
				const shown = Array.from({ length: past + SHAPE.frameTokens }, (_, at) => (at < past ? -1e4 : 0));
				if (reference) shown.fill(0, 0, SHAPE.referenceTokens);
				const pieces = cache.window.map(({ frame: held, slot }, i) => ({
					from: by.get(held)!,
					start: SHAPE.referenceTokens + slot * SHAPE.frameTokens,
					count: SHAPE.frameTokens,
					back: framesBack(cache.window, i),
				}));
				for (const { start, count } of pieces) shown.fill(0, start, start + count);
				expect([...cache.bias.data]).toEqual(shown);
				if (reference) pieces.push({ from: reference, start: 0, count: SHAPE.referenceTokens, back: 0 });
				for (const { from, start, count, back } of pieces)
					for (let layer = 0; layer < SHAPE.layers; layer++)
						for (let head = 0; head < SHAPE.heads; head++)
							for (let at = 0; at < count; at++) {
								const [key, value] = [from.keys[layer]!, from.values[layer]!];
								expectClose(token(cache.keys[layer]!, head, start + at), turned(token(key, head, at), back));
								expect(token(cache.values[layer]!, head, start + at)).toEqual(token(value, head, at));
							}
			}),
			{ numRuns: 30 },
		);
	}, 30_000);

	test('has the same sink in the same place after thousands of frames', () => {
		const cache = new KeyValueCache({ ...SHAPE, slots: 3, window: { frames: 3, sinkFrames: 1 } });
		const frame = made(1, SHAPE.frameTokens);
		for (let i = 0; i < 4; i++) cache.write(i, frame);
		const early = cache.keys.map(({ data }) => data.slice());
		for (let i = 0; i < 5000; i++) cache.write(1e9 + i, frame);
		expect(cache.window.map((held) => held.frame)).toEqual([0, 1e9 + 4998, 1e9 + 4999]);
		const sink = SHAPE.referenceTokens * SHAPE.headDim;
		for (const [layer, { data }] of cache.keys.entries())
			expect(data.subarray(sink, sink + SHAPE.frameTokens * SHAPE.headDim)).toEqual(
				early[layer]!.subarray(sink, sink + SHAPE.frameTokens * SHAPE.headDim),
			);
	});

	test('what does not fit is refused, and what was held is held', () => {
		const cache = new KeyValueCache({ ...SHAPE, slots: 2, window: { frames: 2, sinkFrames: 0 } });
		cache.write(0, made(1, SHAPE.frameTokens));
		const before = cache.keys.map(({ data }) => data.slice());
		const refused = (what: () => void, message: string) => {
			expect(what).toThrow(expect.objectContaining({ code: 'ERR_MODEL' }));
			expect(what).toThrow(message);
		};
		refused(() => cache.write(1, made(2, 5)), 'The tensor of keys of frame 1 has shape [1, 2, 5, 16]');
		refused(() => cache.write(1, { ...made(2, 4), values: [] }), 'frame 1 has values of 0 layers, expected 2.');
		refused(() => cache.switchTo(made(3, 4)), 'The tensor of keys of the reference has shape [1, 2, 4, 16]');
		expect(cache.window).toHaveLength(1);
		expect(cache.keys.map(({ data }) => data)).toEqual(before);
	});

	test('larger than a gibibyte, or than the graphs have room for, is none', () => {
		const huge: CacheShape = {
			layers: 30,
			heads: 12,
			headDim: 128,
			referenceTokens: 1560,
			frameTokens: 1560,
			slots: 21,
			window: { frames: 21, sinkFrames: 0 },
		};
		expect(() => new KeyValueCache(huge)).toThrow('A window of 21 frames takes 12066 MiB, expected 1024 at most');
		expect(REFERENCE_DISTANCE).toBeGreaterThan(31);
		const long = { ...SHAPE, slots: 3, window: { frames: 4, sinkFrames: 0 } };
		expect(() => new KeyValueCache(long)).toThrow('The window has 4 frames, expected 1 to 3.');
	});
});
