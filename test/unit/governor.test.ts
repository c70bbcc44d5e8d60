import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { govern, governorAt, reliefsOf, type GovernorState, type Relief } from '../../sidecar/engine/governor.ts';
import { tuningOf } from '../support/frames.ts';

const LOOK_US = 500_000;
const SECOND = 1_000_000;
const reliefs = reliefsOf(tuningOf(), { canResize: true });

/** A machine that paints so many pictures of the full size in a second. */
const paintingOn = (capacity: number, { arriving, relief }: { arriving: number; relief: Relief }) => {
	const wanted = arriving / relief.oneIn;
	const possible = capacity / relief.pixels;
	return { arriving, painted: Math.min(wanted, possible), load: Math.min(wanted / possible, 1) };
};

/** Runs the governor for so long, and gives each step that it took. */
const run = (
	capacityAt: (second: number) => number,
	{ seconds, arriving = 30, list = reliefs }: { seconds: number; arriving?: number; list?: readonly Relief[] },
) => {
	let state: GovernorState = governorAt(0);
	const steps: { second: number; level: number }[] = [];
	for (let nowUs = LOOK_US; nowUs <= seconds * SECOND; nowUs += LOOK_US) {
		const look = paintingOn(capacityAt(nowUs / SECOND), { arriving, relief: list[state.level]! });
		const { level } = state;
		state = govern(state, { nowUs, ...look }, list);
		if (state.level !== level) steps.push({ second: nowUs / SECOND, level: state.level });
	}
	return { state, steps, levels: steps.map(({ level }) => level) };
};

describe('what is given up', () => {
	test('goes from what is seen least to what is seen most, each on top of those before', () => {
		expect(reliefs.map(({ name }) => name)).toEqual([
			'as asked',
			'encoder more seldom',
			'64 % of the pixels',
			'41 % of the pixels',
			'every second frame',
		]);
		expect(reliefs.at(-1)).toEqual({
			name: 'every second frame',
			tuning: { teRefreshEvery: 32 },
			pixels: 0.41,
			oneIn: 2,
		});
	});

	test('is what there is to give up: the size is the user’s where it was given, one frame cannot stand for one', () => {
		const names = (...given: Parameters<typeof reliefsOf>) => reliefsOf(...given).map(({ name }) => name);
		expect(names(tuningOf({ teRefreshEvery: 64 }), { canResize: false })).toEqual(['as asked', 'every second frame']);
		expect(names(tuningOf({ batchSize: 4, teBatchOne: false }), { canResize: false })).toEqual([
			'as asked',
			'encoder more seldom',
			'encoder for one frame of a batch',
			'every second frame',
		]);
	});
});

describe('the governor', () => {
	test('leaves everything as it is while all is painted in time', () => {
		expect(run(() => 30, { seconds: 600 }).steps).toEqual([]);
		expect(run(() => 27.5, { seconds: 600 }).steps).toEqual([]);
	});

	test('gives up as much as is needed, and no more', () => {
		// 22 a second at full size are 34 at 64 %.
		expect(run(() => 22, { seconds: 30 }).levels).toEqual([1, 2]);
		expect(run(() => 15, { seconds: 60 }).levels).toEqual([1, 2, 3]);
		expect(run(() => 5, { seconds: 60 }).levels).toEqual([1, 2, 3, 4]);
	});

	test('is not in a hurry: a hiccup of two seconds costs nothing', () => {
		expect(run((second) => (second % 20 < 2 ? 3 : 40), { seconds: 600 }).steps).toEqual([]);
	});

	test('looks away after a step, for what was measured before it says nothing of it', () => {
		// Three seconds of looking away, and three of too few paintings.
		expect(run(() => 5, { seconds: 60 }).steps.map(({ second }) => second)).toEqual([6, 12, 18, 24]);
	});

	test('halves the frames only where not many more would be painted: 20 of 30 are left as they are', () => {
		const list = reliefsOf(tuningOf({ teRefreshEvery: 64 }), { canResize: false });
		expect(run(() => 20, { seconds: 120, list }).steps).toEqual([]);
		expect(run(() => 15, { seconds: 120, list }).levels).toEqual([1]);
	});

	test('gives back what it took when there is room again, one step after the other', () => {
		const { state, levels } = run((second) => (second < 60 ? 14 : 60), { seconds: 300 });
		expect(levels).toEqual([1, 2, 3, 2, 1, 0]);
		expect(state.level).toBe(0);
	});

	test('more than thirty a second are nobody’s need: nothing is given up for them', () => {
		expect(run(() => 32, { seconds: 120, arriving: 60 }).steps).toEqual([]);
		expect(run(() => 20, { seconds: 120, arriving: 60 }).levels).toEqual([1, 2]);
	});

	test('a source that stands still neither takes nor gives', () => {
		const low = run(() => 14, { seconds: 60 }).state;
		let state = low;
		for (let second = 61; second < 600; second++)
			state = govern(state, { nowUs: second * SECOND, arriving: 0, painted: 0, load: 0 }, reliefs);
		expect(state.level).toBe(low.level);
	});

	test('comes to rest on any machine that stays as it is, and tries again ever more seldom', () => {
		fc.assert(
			fc.property(
				fc.double({ min: 1, max: 80, noNaN: true }),
				fc.constantFrom(24, 25, 30, 60),
				(capacity, arriving) => {
					const hour = run(() => capacity, { seconds: 3600, arriving });
					// Down once, and then a try at most each time that its patience is over.
					expect(hour.steps.length).toBeLessThanOrEqual(reliefs.length);
					const late = hour.steps.filter(({ second }) => second > 300);
					expect(late.length).toBeLessThanOrEqual(1);
				},
			),
		);
	});

	test('a machine whose load comes and goes is not followed up and down each time', () => {
		const { steps } = run((second) => (second % 30 < 15 ? 12 : 45), { seconds: 3600 });
		const perMinute = steps.filter(({ second }) => second > 1200).length / 40;
		expect(perMinute).toBeLessThan(0.5);
	});
});
