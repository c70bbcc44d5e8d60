import { describe, expect, it } from 'vitest';
import {
	answered,
	check,
	deathsInARow,
	heartbeatAt,
	owing,
	restartDelayUs,
	type Heartbeat,
	type Pulse,
} from '../../sidecar/engine/heartbeat.ts';

const LIMITS = { staleAfterUs: 1_000_000, stuckAfterUs: 5_000_000 };

/** Checks every 10 ms from `fromMs` on, and says when the pulse changed to what. */
const watch = (start: Heartbeat, fromMs: number, toMs: number): [ms: number, pulse: Pulse][] => {
	const changes: [number, Pulse][] = [];
	let beat = start;
	for (let ms = fromMs; ms <= toMs; ms += 10) {
		const result = check(beat, ms * 1000, LIMITS);
		beat = result.beat;
		if (result.pulse !== (changes.at(-1)?.[1] ?? 'beating')) changes.push([ms, result.pulse]);
	}
	return changes;
};

/** An engine that answered three times, `waitMs` after each frame, and is idle. */
const seasoned = (waitMs: number): Heartbeat => {
	let beat = heartbeatAt(0);
	for (let i = 0; i < 3; i++) {
		beat = owing(beat, true, i * 1_000_000);
		beat = answered(beat, i * 1_000_000 + waitMs * 1000);
		beat = owing(beat, false, i * 1_000_000 + waitMs * 1000);
	}
	return { ...beat, checkedUs: 3_000_000 };
};

describe('the age of what an engine owes', () => {
	it('is nothing while it owes nothing, however long', () => {
		expect(watch(seasoned(50), 3000, 60_000)).toEqual([]);
	});

	it('makes it stale, then stuck', () => {
		expect(watch(owing(seasoned(50), true, 3_000_000), 3000, 9000)).toEqual([
			[4010, 'stale'],
			[8010, 'stuck'],
		]);
	});

	it('begins anew with each answer, as long as frames are left', () => {
		let beat = owing(seasoned(50), true, 3_000_000);
		beat = answered({ ...beat, checkedUs: 3_900_000 }, 3_900_000);
		expect(watch(beat, 3900, 4800)).toEqual([]);
		expect(watch(beat, 3900, 10_000)[0]![0]).toBeGreaterThan(4900);
	});

	it('is counted from the first of the frames it has, not from the last', () => {
		let beat = owing(seasoned(50), true, 3_000_000);
		beat = { ...owing(beat, true, 3_900_000), checkedUs: 3_900_000 };
		expect(watch(beat, 3900, 4500)).toEqual([[4010, 'stale']]);
	});

	it('may be four times the longest of the last waits, and ten times before it is ended', () => {
		expect(watch(owing(seasoned(900), true, 3_000_000), 3000, 13_000)).toEqual([
			[6610, 'stale'],
			[12_010, 'stuck'],
		]);
	});

	it('forgets a long wait after 32 shorter ones', () => {
		let beat = owing(seasoned(900), true, 3_000_000);
		for (let i = 1; i <= 32; i++) beat = answered(beat, 3_000_000 + i * 50_000);
		expect(watch({ ...beat, checkedUs: 4_600_000 }, 4600, 7000)).toEqual([[5610, 'stale']]);
	});

	it('ends no engine over its first frame for a minute', () => {
		expect(watch(owing(heartbeatAt(0), true, 0), 0, 61_000)).toEqual([
			[1010, 'stale'],
			[60_010, 'stuck'],
		]);
	});

	it('does not count while the sidecar itself stood still', () => {
		const beat = { ...owing(seasoned(50), true, 3_000_000), checkedUs: 3_100_000 };
		const resumed = check(beat, 20_000_000, LIMITS);
		expect(resumed.pulse).toBe('beating');
		expect(watch(resumed.beat, 20_000, 21_500)).toEqual([[20_910, 'stale']]);
	});
});

describe('starting again', () => {
	it('happens at once the first time, then ever later, to ten seconds', () => {
		expect([1, 2, 3, 4, 5, 6, 7, 50].map(restartDelayUs)).toEqual([
			0, 500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000, 10_000_000, 10_000_000,
		]);
	});

	it('forgives an engine that painted for half a minute', () => {
		expect(deathsInARow(4, 0, 29_000_000)).toBe(5);
		expect(deathsInARow(4, 0, 31_000_000)).toBe(1);
		expect(deathsInARow(4, undefined, 31_000_000)).toBe(5);
	});
});
