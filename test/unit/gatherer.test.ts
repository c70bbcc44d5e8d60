import { describe, expect, it } from 'vitest';
import { concatenate, split } from '../../sidecar/frame/tensor.ts';
import { Gatherer } from '../../sidecar/inference/gatherer.ts';

/** A device that is told when to finish, and remembers what it was given. */
const device = ({ most = 8, room = Infinity }: { most?: number; room?: number } = {}) => {
	const runs: string[][] = [];
	const finish: (() => void)[] = [];
	const gatherer = new Gatherer<string, string>({
		run: async (requests) => {
			runs.push([...requests]);
			await new Promise<void>((resolve) => finish.push(resolve));
			if (requests.includes('a broken')) throw new Error('device lost');
			if (requests.length > room) throw new Error('out of memory');
			return requests.map((request) => `painted ${request}`);
		},
		keyOf: (request) => request.slice(0, 1),
		most,
		isTooMuch: (error) => (error as Error).message === 'out of memory',
	});
	/** Ends the run under way, and lets the next one begin. */
	const next = async () => {
		finish.shift()!();
		await new Promise((resolve) => setImmediate(resolve));
	};
	return { gatherer, runs, next };
};

describe('a gatherer', () => {
	it('runs together what came while the device was busy, and gives each its own result', async () => {
		const { gatherer, runs, next } = device();
		const results = Promise.all(['a1', 'a2', 'a3'].map((request) => gatherer.call(request)));
		await next();
		await next();
		expect(runs).toEqual([['a1'], ['a2', 'a3']]);
		expect(await results).toEqual(['painted a1', 'painted a2', 'painted a3']);
	});

	it('waits for nobody: a request that finds the device idle is run at once', async () => {
		const { gatherer, runs, next } = device();
		const first = gatherer.call('a1');
		expect(runs).toEqual([['a1']]);
		await next();
		await first;
		void gatherer.call('a2');
		expect(runs).toEqual([['a1'], ['a2']]);
	});

	it('keeps apart what has another key, the longest waiting first', async () => {
		const { gatherer, runs, next } = device();
		for (const request of ['a1', 'b1', 'a2', 'b2', 'a3']) void gatherer.call(request);
		await next();
		await next();
		await next();
		expect(runs).toEqual([['a1'], ['b1', 'b2'], ['a2', 'a3']]);
	});

	it('runs no more together than it may', async () => {
		const { gatherer, runs, next } = device({ most: 2 });
		for (const request of ['a1', 'a2', 'a3', 'a4', 'a5']) void gatherer.call(request);
		await next();
		await next();
		await next();
		expect(runs).toEqual([['a1'], ['a2', 'a3'], ['a4', 'a5']]);
	});

	it('runs fewer together where there is no room for as many, from then on, and none of them fails', async () => {
		const { gatherer, runs, next } = device({ room: 1 });
		const results = Promise.all(['a1', 'a2', 'a3', 'a4', 'a5'].map((request) => gatherer.call(request)));
		for (let run = 0; run < 7; run++) await next();
		expect(await results).toEqual(['a1', 'a2', 'a3', 'a4', 'a5'].map((request) => `painted ${request}`));
		expect(runs).toEqual([['a1'], ['a2', 'a3', 'a4', 'a5'], ['a2', 'a3'], ['a2'], ['a3'], ['a4'], ['a5']]);
	});

	it('runs no two of one owner together, and none before an earlier one of its owner', async () => {
		const runs: string[][] = [];
		const finish: (() => void)[] = [];
		const gatherer = new Gatherer<string, string>({
			run: async (requests) => {
				runs.push([...requests]);
				await new Promise<void>((resolve) => finish.push(resolve));
				return requests;
			},
			keyOf: (request) => request[0]!,
			ownerOf: (request) => request[1]!,
			most: 8,
		});
		for (const request of ['a0', 'b1', 'a2', 'b2', 'a3', 'a3 again']) void gatherer.call(request);
		for (let run = 0; run < 5; run++) {
			finish.shift()!();
			await new Promise((resolve) => setImmediate(resolve));
		}
		expect(runs).toEqual([['a0'], ['b1'], ['a2', 'a3'], ['b2'], ['a3 again']]);
	});

	it('tells one that there is no room for it by itself', async () => {
		const { gatherer, next } = device({ room: 0 });
		const said = gatherer.call('a1').catch((error: Error) => error.message);
		await next();
		expect(await said).toBe('out of memory');
	});

	it('tells all of a run that it failed, and goes on with the next', async () => {
		const { gatherer, runs, next } = device();
		const first = gatherer.call('a1');
		const failed = [gatherer.call('a broken'), gatherer.call('a2')];
		const later = gatherer.call('b1');
		await next();
		await first;
		const seen = Promise.allSettled(failed);
		await next();
		expect((await seen).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
		await next();
		expect(await later).toBe('painted b1');
		expect(runs).toHaveLength(3);
	});
});

describe('tensors that were joined', () => {
	const tensor = (numbers: number[], count: number) => ({
		data: Float32Array.from(numbers),
		shape: [count, numbers.length / count],
	});

	it('come apart as they were, each in memory of its own', () => {
		const parts = [tensor([1, 2], 1), tensor([3, 4, 5, 6], 2)];
		const again = split(concatenate(parts), [1, 2]);
		expect(again).toEqual(parts);
		expect(new Set(again.map(({ data }) => data.buffer)).size).toBe(2);
	});

	it('are given as they are where there is one', () => {
		const whole = tensor([1, 2], 1);
		expect(split(whole, [1])[0]).toBe(whole);
	});
});
