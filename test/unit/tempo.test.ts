import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { apply, arm, initialState, parametersAt, release } from '../../sidecar/control/control-state.ts';
import { Controller } from '../../sidecar/control/controller.ts';
import { nextBoundary, NO_TAPS, tappedTempo, tempoOf, withTap } from '../../sidecar/control/tempo.ts';
import { presetOf, tuningOf } from '../support/frames.ts';

const [OIL, PENCIL, WATER] = [presetOf('oil-painting'), presetOf('pencil-sketch'), presetOf('watercolor')];
const PASS = presetOf('passthrough');
const OPTIONS = { presets: [OIL, PENCIL, WATER, PASS], preset: OIL, tuning: tuningOf(), fadeS: 0 };
const tap = (...timesUs: number[]) => timesUs.reduce(withTap, NO_TAPS);

describe('a tempo that is tapped', () => {
	test('is that of the taps, and the first is the first beat of a bar', () => {
		expect(tappedTempo(tap(1e6, 1.5e6, 2e6, 2.5e6))).toEqual({ bpm: 120, beatsPerBar: 4, downbeatUs: 1e6 });
	});

	test('keeps its bar however long it is tapped', () => {
		const beats = Array.from({ length: 50 }, (_, i) => 1e6 + i * 500_000);
		const { bpm, downbeatUs } = tappedTempo(tap(...beats))!;
		expect(bpm).toBeCloseTo(120, 6);
		expect(downbeatUs).toBeCloseTo(1e6, 0);
	});

	test('is little moved by a tap that is off', () => {
		const beats = [0, 500_000, 1_000_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_560_000];
		expect(tappedTempo(tap(...beats))!.bpm).toBeCloseTo(120, -1);
		expect(Math.abs(tappedTempo(tap(...beats))!.bpm - 120)).toBeLessThan(2);
	});

	test('begins again after a pause, and is none of one tap or of taps too fast for music', () => {
		expect(tappedTempo(tap(0, 500_000, 9e6))).toBeUndefined();
		expect(tappedTempo(tap(5e6))).toBeUndefined();
		expect(tappedTempo(tap(0, 50_000, 100_000))).toBeUndefined();
	});
});

describe('the next beat or bar', () => {
	const tempos = fc.record({
		bpm: fc.double({ min: 30, max: 300, noNaN: true }),
		beatsPerBar: fc.integer({ min: 1, max: 16 }),
		downbeatUs: fc.integer({ min: 0, max: 1e9 }),
	});

	test('is on the grid, not past, and less than a step away', () => {
		fc.assert(
			fc.property(tempos, fc.integer({ min: 0, max: 1e10 }), fc.constantFrom('beat', 'bar'), (tempo, us, unit) => {
				const stepUs = (60e6 / tempo.bpm) * (unit === 'bar' ? tempo.beatsPerBar : 1);
				const at = nextBoundary(tempo, us, unit);
				const steps = (at - tempo.downbeatUs) / stepUs;
				expect(Math.abs(steps - Math.round(steps))).toBeLessThan(1e-6);
				expect(at).toBeGreaterThanOrEqual(us - 1);
				expect(at - us).toBeLessThan(stepUs + 1);
			}),
		);
	});

	test('goes on where it was when the tempo is told anew', () => {
		const before = tempoOf({ bpm: 120, beatsPerBar: 3 }, undefined, 1e6);
		const after = tempoOf({ bpm: 60 }, before, 3e6); // 4 beats later: a beat after the second bar began
		expect(after).toEqual({ bpm: 60, beatsPerBar: 3, downbeatUs: 2.5e6 });
	});
});

const inTime = (to: 'beat' | 'bar') =>
	apply(apply(initialState(OPTIONS, 0), { type: 'tempo', bpm: 120 }, 0), { type: 'quantise', to }, 0);

describe('a switch that waits for the beat', () => {
	test('is made so early that it is seen on the beat, and its prompt is encoded meanwhile', () => {
		const waiting = apply(inTime('beat'), { type: 'style', name: 'watercolor' }, 1_300_000, 80_000);
		expect(waiting.pending).toEqual({ target: WATER, atUs: 1_420_000 });
		expect(parametersAt(waiting, 1_400_000)).toMatchObject({
			style: 'oil-painting',
			epoch: 0,
			conditioning: [{ weight: 1 }, { prompt: WATER.prompt, weight: 0 }],
		});
		expect(release(waiting, 1_419_999)).toBe(waiting);
		const made = release(waiting, 1_420_000);
		expect(made).toMatchObject({ target: WATER, epoch: 1, pending: undefined, changedUs: 1_420_000 });
		expect(parametersAt(made, 1_420_000).conditioning).toEqual([{ prompt: WATER.prompt, weight: 1 }]);
	});

	test('takes the beat after where the next can no longer be met', () => {
		const waiting = apply(inTime('beat'), { type: 'style', name: 'watercolor' }, 1_450_000, 80_000);
		expect(waiting.pending!.atUs).toBe(1_920_000);
	});

	test('waits for the bar where that is wanted', () => {
		const waiting = apply(inTime('bar'), { type: 'style', name: 'watercolor' }, 1_300_000, 80_000);
		expect(waiting.pending!.atUs).toBe(1_920_000);
	});

	test('is replaced by another, and given up for the style that there is', () => {
		const next = apply(inTime('bar'), { type: 'next' }, 100_000);
		expect(next.pending!.target).toBe(PENCIL);
		const afterNext = apply(next, { type: 'next' }, 200_000);
		expect(afterNext.pending!.target).toBe(WATER);
		const back = apply(afterNext, { type: 'style', name: 'oil-painting' }, 300_000);
		expect(back).toMatchObject({ target: OIL, epoch: 0, pending: undefined });
		expect(back.settled.conditioning).toHaveLength(1);
	});

	test('passes the source through in time too, and comes back', () => {
		const off = apply(inTime('bar'), { type: 'toggle' }, 100_000);
		expect(off.pending!.target).toBe(PASS);
		expect(off.settled.conditioning).toHaveLength(1); // nothing to encode
		expect(apply(off, { type: 'toggle' }, 200_000)).toMatchObject({ target: OIL, pending: undefined });
	});

	test('is made at once when switches no longer wait', () => {
		const waiting = apply(inTime('bar'), { type: 'style', name: 'watercolor' }, 100_000);
		expect(apply(waiting, { type: 'quantise', to: 'off' }, 200_000)).toMatchObject({ target: WATER, epoch: 1 });
	});

	test('does not hold up panic, strength, or a change that has a fade of its own', () => {
		expect(apply(inTime('bar'), { type: 'panic', on: true }, 100_000).panic).toBe(true);
		expect(apply(inTime('bar'), { type: 'strength', value: 0.5 }, 100_000).target.strength).toBe(0.5);
		const scene = apply(inTime('bar'), { type: 'style', name: 'watercolor', fadeS: 0.3 }, 100_000);
		expect(scene).toMatchObject({ target: WATER, pending: undefined });
	});

	test('is made at once while there is no tempo', () => {
		const state = apply(initialState(OPTIONS, 0), { type: 'quantise', to: 'beat' }, 0);
		expect(apply(state, { type: 'next' }, 100_000)).toMatchObject({ target: PENCIL, pending: undefined });
	});

	test('keeps what a scene armed', () => {
		const waiting = apply(arm(inTime('bar'), 'pencil-sketch'), { type: 'style', name: 'watercolor' }, 100_000);
		expect(waiting.settled.conditioning.map(({ prompt }) => prompt)).toEqual([OIL, WATER, PENCIL].map((p) => p.prompt));
	});
});

describe('the controller', () => {
	test('makes it when the painter looks, and tells who listens', () => {
		let us = 0;
		const controller = new Controller({ ...OPTIONS, nowUs: () => us, leadUs: () => 50_000 });
		for (const command of [
			{ type: 'tempo', bpm: 60 },
			{ type: 'quantise', to: 'beat' },
		] as const)
			controller.apply(command);
		us = 200_000;
		controller.apply({ type: 'style', name: 'watercolor' });
		expect(controller.view()).toMatchObject({ style: 'oil-painting', pending: 'watercolor', tempo: { bpm: 60 } });
		let told = 0;
		controller.subscribe(() => told++);
		expect(controller.parametersAt(949_999).style).toBe('oil-painting');
		expect(told).toBe(0);
		expect(controller.parametersAt(950_000).style).toBe('watercolor');
		expect(told).toBe(1);
		expect(controller.view()).not.toHaveProperty('pending');
	});

	test('makes it though nobody paints', async () => {
		let us = 0;
		const controller = new Controller({ ...OPTIONS, nowUs: () => us });
		controller.apply({ type: 'tempo', bpm: 300 });
		controller.apply({ type: 'quantise', to: 'beat' });
		us = 199_999;
		const made = new Promise<void>((resolve) => {
			controller.apply({ type: 'next' });
			controller.subscribe(resolve);
		});
		us = 200_000;
		await made;
		expect(controller.view()).toMatchObject({ style: 'pencil-sketch' });
	});
});
