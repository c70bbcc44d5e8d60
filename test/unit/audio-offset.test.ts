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
const steady = (delayMs: number, seconds = 10) => Array.from({ length: seconds }, () => delayMs);

it('takes a delay that can be heard, once it has stood still for some seconds', () => {
	expect(follow(steady(120, 5))).toEqual([0, 0, 0, 120, 120]);
});

it('leaves what nobody hears', () => {
	expect(follow([30, 38, 25, 30, 40, 35])).toEqual([0, 0, 0, 0, 0, 0]);
});

it('does not follow a delay that wanders by a frame', () => {
	const steps = follow([...steady(120), 160, 90, 150, 110, 155, 95]);
	expect(new Set(steps)).toEqual(new Set([0, 120]));
});

it('does not follow a hiccup', () => {
	expect(follow([...steady(120), 420, 120, 120, 120]).slice(10)).toEqual([120, 120, 120, 120]);
});

it('follows a new delay within seconds and in one step, to where it stands', () => {
	const steps = follow([...steady(120), ...steady(400, 5)]);
	expect(steps.at(-1)).toBe(400);
	expect(new Set(steps)).toEqual(new Set([0, 120, 400]));
});

it('waits for a delay that is still shrinking, and then takes all of it', () => {
	const shrinking = Array.from({ length: 8 }, (_, i) => 330 - 20 * i);
	const applied = follow([...shrinking, ...steady(180)]).filter((ms, i, all) => ms !== all[i - 1]);
	expect(applied).toHaveLength(2);
	expect(Math.abs(applied[1]! - 180)).toBeLessThanOrEqual(10);
});

it('does not wait for ever for one that never stands still', () => {
	const restless = Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? 250 : 350));
	expect(follow(restless).filter((ms, i, all) => ms !== all[i - 1])).toEqual([0, 300]);
});

it('stays within what OBS takes', () => {
	expect(follow(steady(90_000)).at(-1)).toBe(20_000);
	expect(follow(steady(-500)).at(-1)).toBe(0);
});
