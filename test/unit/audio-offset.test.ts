import { expect, it } from 'vitest';
import { AUDIO_OFFSET_START, measured, type AudioOffset } from '../../sidecar/control/audio-offset.ts';

/** One measurement a second; what was applied after each. */
const follow = (delaysMs: number[], start: AudioOffset = AUDIO_OFFSET_START) => {
	let state = start;
	return delaysMs.map((delayMs, index) => {
		state = measured(state, delayMs, (index + 1) * 1_000_000);
		return state.appliedMs;
	});
};

it('takes the first delay that can be heard at once', () => {
	expect(follow([120])).toEqual([120]);
});

it('leaves what nobody hears', () => {
	expect(follow([30, 38, 25])).toEqual([0, 0, 0]);
});

it('does not follow a delay that wanders by a frame', () => {
	expect(new Set(follow([120, 160, 90, 150, 110, 155, 95]))).toEqual(new Set([120]));
});

it('does not follow a single hiccup, and follows a new delay within seconds, in few steps', () => {
	expect(follow([120, 120, 220, 120, 120])).toEqual([120, 120, 120, 120, 120]);
	const steps = follow([120, ...Array.from({ length: 20 }, () => 400)]);
	expect(Math.abs(steps.at(-1)! - 400)).toBeLessThanOrEqual(40);
	expect(new Set(steps).size).toBeLessThanOrEqual(6);
	expect(Math.abs(steps[10]! - 400)).toBeLessThanOrEqual(40);
});

it('stays within what OBS takes', () => {
	expect(follow([90_000])).toEqual([20_000]);
	expect(follow([-500])).toEqual([0]);
});
