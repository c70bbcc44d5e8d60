import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkTuning } from '../../sidecar/app/streams.ts';
import { framesInEngine } from '../../sidecar/engine/engine-protocol.ts';
import { StreamBatch } from '../../sidecar/inference/stream-batch.ts';
import { tuningOf } from '../support/frames.ts';
import { openLite } from '../support/lite.ts';

describe('the stream batch', () => {
	it('has a batch at each step once it is full, and finishes one with each run', () => {
		const stream = new StreamBatch<string>(4);
		const runs = ['a', 'b', 'c', 'd', 'e', undefined, undefined, undefined].map((entering) => {
			const { rows, finished } = stream.next(entering);
			return `${rows.map(({ batch, step }) => batch + step).join(' ')} -> ${finished ?? ''}`;
		});
		expect(runs).toEqual([
			'a0 -> ',
			'a1 b0 -> ',
			'a2 b1 c0 -> ',
			'a3 b2 c1 d0 -> a',
			'b3 c2 d1 e0 -> b',
			'c3 d2 e1 -> c',
			'd3 e2 -> d',
			'e3 -> e',
		]);
		expect(stream.inFlight).toBe(0);
		expect(stream.next()).toEqual({ rows: [], finished: undefined });
	});

	it('gives every batch each step once and in order, whenever it comes, and loses none', () => {
		const stepCounts = fc.constantFrom(1, 2, 4, 7);
		fc.assert(
			fc.property(stepCounts, fc.array(fc.boolean(), { maxLength: 60 }), (steps, comes) => {
				const stream = new StreamBatch<number>(steps);
				const taken: number[][] = [];
				const finished: number[] = [];
				const run = (entering?: number) => {
					const { rows, finished: done } = stream.next(entering);
					expect(rows.length).toBeLessThanOrEqual(steps);
					expect(new Set(rows.map(({ step }) => step)).size).toBe(rows.length);
					if (entering !== undefined) expect(rows.at(-1)).toEqual({ batch: entering, step: 0 });
					for (const { batch, step } of rows) (taken[batch] ??= []).push(step);
					if (done !== undefined) finished.push(done);
				};
				let count = 0;
				for (const isThere of comes) run(isThere ? count++ : undefined);
				while (stream.inFlight > 0) run();
				const order = Array.from({ length: count }, (_, batch) => batch);
				expect(finished).toEqual(order);
				const all = Array.from({ length: steps }, (_, step) => step);
				expect(taken).toEqual(order.map(() => all));
			}),
		);
	});

	it('is refused where the graph takes one timestep for all frames', async () => {
		const { manifest } = await openLite();
		const { unet } = manifest.graphs;
		const inputs = unet.inputs.map((input) => (input.name === 'timestep' ? { ...input, shape: [1] } : input));
		const other = { ...manifest, graphs: { ...manifest.graphs, unet: { ...unet, inputs } } };
		const streamed = tuningOf({ steps: 4, streamBatch: true });
		expect(() => checkTuning(manifest, streamed)).not.toThrow();
		expect(() => checkTuning(other, streamed)).toThrow('one timestep for all frames of a run');
		expect(() => checkTuning(other, { ...streamed, steps: 1 })).not.toThrow();
		expect(() => checkTuning(other, tuningOf({ steps: 4 }))).not.toThrow();
	});

	it('has room in the engine for a batch at each step, as far as a ring of shared memory goes', () => {
		const framesOf = (tuning: Parameters<typeof tuningOf>[0]) => framesInEngine(tuningOf(tuning));
		expect(framesOf({ batchSize: 4 })).toBe(17);
		expect(framesOf({ batchSize: 4, steps: 4 })).toBe(17);
		expect(framesOf({ batchSize: 4, steps: 4, streamBatch: true })).toBe(29);
		expect(framesOf({ batchSize: 4, steps: 1, streamBatch: true })).toBe(17);
		expect(framesOf({ batchSize: 16, steps: 4, streamBatch: true })).toBe(63);
	});
});
