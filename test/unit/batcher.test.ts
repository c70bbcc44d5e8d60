import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ahead } from '../../sidecar/engine/ahead.ts';
import { Batcher } from '../../sidecar/engine/batcher.ts';
import type { Frame } from '../../sidecar/frame/frame.ts';
import { collect, frameOf, framesUpTo, parametersOf } from '../support/frames.ts';

const sequences = (frames: readonly Frame[]) => frames.map(({ sequence }) => sequence);

describe('batcher', () => {
	beforeEach(() => void vi.useFakeTimers());
	afterEach(() => void vi.useRealTimers());

	it('collects B frames, and gives the rest at the end', async () => {
		const batcher = new Batcher({ parametersNow: () => parametersOf({ batchSize: 3 }), deadlineMs: Infinity });
		const batches = await collect(batcher.batches(framesUpTo(7)));
		expect(batches.map(({ frames }) => sequences(frames))).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
		expect(batches.map(({ index }) => index)).toEqual([0, 1, 2]);
	});

	it('gives a short batch at the deadline, and keeps the frame that came late', async () => {
		async function* stalling() {
			yield frameOf(0);
			await new Promise((resolve) => setTimeout(resolve, 500));
			yield frameOf(1);
			yield frameOf(2);
		}
		const batcher = new Batcher({ parametersNow: () => parametersOf({ batchSize: 2 }), deadlineMs: 100 });
		const batches = collect(batcher.batches(stalling()));
		await vi.advanceTimersByTimeAsync(1000);
		expect((await batches).map(({ frames }) => sequences(frames))).toEqual([[0], [1, 2]]);
	});

	it('reads the parameters once a batch, when it is full', async () => {
		let epoch = 0;
		const batcher = new Batcher({ parametersNow: () => parametersOf({ batchSize: 2 }, epoch), deadlineMs: Infinity });
		async function* switching() {
			yield frameOf(0);
			epoch = 1; // the artist chose while the batch was being collected
			yield frameOf(1);
			yield frameOf(2);
		}
		const [first] = await collect(batcher.batches(switching()));
		expect(first?.parameters.epoch).toBe(1);
		expect(Object.isFrozen(first?.parameters)).toBe(true);
	});

	it('passes on an error of the source', async () => {
		async function* failing() {
			yield frameOf(0);
			throw new Error('torn cable');
		}
		const batcher = new Batcher({ parametersNow: () => parametersOf(), deadlineMs: Infinity });
		await expect(collect(batcher.batches(failing()))).rejects.toThrow('torn cable');
	});
});

describe('ahead', () => {
	it('makes item n + 1 while item n is worked on, and never n + 2', async () => {
		const made: number[] = [];
		async function* items() {
			for (let i = 0; i < 4; i++) {
				made.push(i);
				yield i;
			}
		}
		for await (const item of ahead(items())) {
			await new Promise((resolve) => setImmediate(resolve));
			expect(made.at(-1)).toBe(Math.min(item + 1, 3));
		}
	});

	it('passes on an error in its place, after the items before it', async () => {
		async function* items() {
			yield 1;
			throw new Error('second item');
		}
		const iterator = ahead(items());
		expect(await iterator.next()).toEqual({ value: 1, done: false });
		await expect(iterator.next()).rejects.toThrow('second item');
	});

	it('lets the source clean up when the consumer stops early', async () => {
		let cleaned = false;
		async function* items() {
			try {
				for (let i = 0; ; i++) yield i;
			} finally {
				cleaned = true;
			}
		}
		for await (const item of ahead(items())) if (item === 2) break;
		expect(cleaned).toBe(true);
	});
});
