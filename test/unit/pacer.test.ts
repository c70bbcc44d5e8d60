import { describe, expect, it } from 'vitest';
import { arrive, decide, PACER_START, shown, type PacerState } from '../../sidecar/egress/pacer.ts';

interface Show {
	atUs: number;
	/** Source time of the frame; the same again for a repeat. */
	timestampUs: number;
	how: 'new' | 'again';
}

/** Frames by source time and arrival, shown as the pacer says, on a clock that jumps from event to event. */
const play = (frames: readonly { timestampUs: number; atUs: number }[], repeatEveryUs: number, endUs: number) => {
	let state: PacerState = PACER_START;
	let dropped = 0;
	const coming = [...frames];
	const waiting: number[] = [];
	const shows: Show[] = [];
	for (let nowUs = 0; nowUs <= endUs;) {
		while (coming[0] && coming[0].atUs <= nowUs) {
			const { timestampUs } = coming.shift()!;
			state = arrive(state, timestampUs, nowUs);
			waiting.push(timestampUs);
		}
		const decision = decide(state, waiting, nowUs, repeatEveryUs);
		if (decision.action === 'wait') {
			nowUs = Math.min(decision.dueUs, coming[0]?.atUs ?? Infinity, endUs + 1);
		} else if (decision.action === 'drop') {
			waiting.shift();
			dropped++;
		} else {
			const how = decision.action === 'present' ? 'new' : 'again';
			const timestampUs = how === 'new' ? waiting.shift()! : shows.at(-1)!.timestampUs;
			shows.push({ atUs: nowUs, timestampUs, how });
			state = shown(state, how, nowUs, repeatEveryUs);
		}
	}
	return { shows, dropped, state };
};

const FRAME_US = 40_000;
const steady = (count: number, latencyOf: (i: number) => number, firstUs = 0) =>
	Array.from({ length: count }, (_, i) => ({
		timestampUs: i * FRAME_US,
		atUs: firstUs + i * FRAME_US + latencyOf(i),
	}));
const gapsUs = (shows: readonly Show[]) => shows.slice(1).map(({ atUs }, i) => atUs - shows[i]!.atUs);

describe('pacer', () => {
	it.each([
		['a minute', 60_000_000, 7],
		['a tenth of a second', 100_000, 2],
	])(
		'a process that was suspended for %s shows the last frame again as often as it missed of a quarter second',
		(_, pauseUs, most) => {
			let state = shown(arrive(PACER_START, 0, 0), 'new', 0, FRAME_US);
			let repeats = 0;
			while (decide(state, [], pauseUs, FRAME_US).action === 'repeat') {
				state = shown(state, 'again', pauseUs, FRAME_US);
				repeats++;
			}
			expect(repeats).toBeGreaterThan(0);
			expect(repeats).toBeLessThanOrEqual(most);
		},
	);

	it('shows every frame of an even painter at once', () => {
		const { shows, dropped } = play(
			steady(50, () => 60_000),
			FRAME_US,
			2_500_000,
		);
		expect(dropped).toBe(0);
		for (const { atUs, timestampUs } of shows.filter(({ how }) => how === 'new'))
			expect(atUs - timestampUs).toBe(60_000);
	});

	it('evens out a painter that takes 40 to 70 ms by turns', () => {
		const { shows, dropped } = play(
			steady(100, (i) => 40_000 + (i % 4) * 10_000),
			FRAME_US,
			4_000_000,
		);
		const settled = shows.filter(({ how }) => how === 'new').slice(10);
		expect(dropped).toBe(0);
		for (const gap of gapsUs(settled)) expect(Math.abs(gap - FRAME_US)).toBeLessThan(4_000);
		for (const { atUs, timestampUs } of settled) expect(atUs - timestampUs).toBeLessThanOrEqual(70_000);
	});

	it('comes back to a short delay after one slow frame', () => {
		const { shows } = play(
			steady(300, (i) => (i === 20 ? 160_000 : 50_000)),
			FRAME_US,
			12_000_000,
		);
		const delays = shows.filter(({ how }) => how === 'new').map(({ atUs, timestampUs }) => atUs - timestampUs);
		expect(Math.max(...delays)).toBeLessThanOrEqual(160_000);
		expect(delays.at(-1)).toBeLessThan(52_000);
		// Held for a second or two, in case that there are more of them, and then given back.
		const after = (s: number) => delays[20 + (1e6 * s) / FRAME_US]!;
		expect(after(0.8)).toBeGreaterThan(120_000);
		expect(after(4)).toBeLessThan(65_000);
	});

	it('is held for a slow frame every second, and goes no faster than it must', () => {
		const { shows } = play(
			steady(300, (i) => (i % 25 === 20 ? 100_000 : 50_000)),
			FRAME_US,
			12_000_000,
		);
		const settled = shows.filter(({ how }) => how === 'new').slice(25);
		for (const gap of gapsUs(settled)) expect(Math.abs(gap - FRAME_US)).toBeLessThan(21_000);
		for (const { atUs, timestampUs } of settled) expect(atUs - timestampUs).toBeGreaterThanOrEqual(79_000);
	});

	it('shows every other frame of 59.94 in over a painter of 30, evenly, and repeats at the rate of the source', () => {
		const frameUs = 16_683;
		const painted = Array.from({ length: 60 }, (_, i) => ({
			timestampUs: 2 * i * frameUs,
			atUs: 2 * i * frameUs + 50_000,
		}));
		const { shows } = play(painted, frameUs, 2_100_000);
		const fresh = shows.filter(({ how }) => how === 'new');
		const again = shows.filter(({ how, atUs }) => how === 'again' && atUs < fresh.at(-1)!.atUs);
		expect(fresh).toHaveLength(60);
		for (const gap of gapsUs(fresh)) expect(gap).toBe(2 * frameUs);
		expect(again.length).toBeGreaterThan(55);
	});

	it('shows the last frame again, at the rate of the source, when no more come', () => {
		const { shows } = play(
			steady(5, () => 50_000),
			FRAME_US,
			1_200_000,
		);
		const again = shows.filter(({ how }) => how === 'again');
		expect(again.length).toBeGreaterThan(20);
		for (const gap of gapsUs(again)) expect(gap).toBe(FRAME_US);
	});

	it('shows the newest of frames that come all at once', () => {
		const burst = [0, 1, 2, 3].map((i) => ({ timestampUs: i * FRAME_US, atUs: 300_000 }));
		const { shows, dropped } = play(burst, FRAME_US, 320_000);
		expect(shows.map(({ timestampUs }) => timestampUs)).toEqual([0]);
		expect(dropped).toBe(0); // the others have their turn, a frame's time apart
	});

	it.each([
		['forwards', 3_600_000_000],
		['backwards', -1_000_000],
	])('goes on when the clock of the source jumps %s', (_, jumpUs) => {
		const frames = steady(100, () => 50_000).map(({ timestampUs, atUs }, i) => ({
			timestampUs: timestampUs + (i >= 50 ? jumpUs : 0),
			atUs,
		}));
		const { shows } = play(frames, FRAME_US, 4_100_000);
		const fresh = shows.filter(({ how }) => how === 'new');
		expect(fresh).toHaveLength(100);
		for (const gap of gapsUs(fresh)) expect(gap).toBeLessThan(2 * FRAME_US);
	});

	it.each([
		['begins', 0],
		['stood still', 10_000_000],
	])('is as late as ever a second after the source %s, however late its first frames are', (_, pauseUs) => {
		const before = pauseUs > 0 ? steady(48, () => 50_000) : [];
		const fromUs = before.length * FRAME_US + pauseUs;
		const late = [210_000, 190_000, 150_000, 90_000];
		const after = steady(96, (i) => late[i] ?? 50_000).map(({ timestampUs, atUs }) => ({
			timestampUs: timestampUs + fromUs,
			atUs: atUs + fromUs,
		}));
		const { shows } = play([...before, ...after], FRAME_US, fromUs + 4_000_000);
		const isAfter = ({ how, timestampUs }: (typeof shows)[number]) =>
			how === 'new' && timestampUs - fromUs > 1_000_000 && timestampUs - fromUs < 2_000_000;
		const delays = shows.filter(isAfter).map(({ atUs, timestampUs }) => atUs - timestampUs);
		expect(delays.length).toBeGreaterThan(20);
		expect(Math.max(...delays)).toBeLessThan(60_000);
	});

	it('follows a change of rate', () => {
		const frames = steady(25, () => 50_000);
		for (let i = 0; i < 50; i++) {
			const timestampUs = 1_000_000 + i * 20_000;
			frames.push({ timestampUs, atUs: timestampUs + 50_000 });
		}
		const { shows, dropped } = play(frames, 20_000, 2_000_000);
		expect(dropped).toBe(0);
		const late = shows.filter(({ how, timestampUs }) => how === 'new' && timestampUs > 1_100_000);
		for (const gap of gapsUs(late)) expect(gap).toBe(20_000);
	});

	it('never lets the delay run away, whatever comes', () => {
		let seed = 7;
		const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
		let atUs = 0;
		const frames = Array.from({ length: 2000 }, (_, i) => {
			atUs = Math.max(atUs, i * FRAME_US + 30_000 + random() ** 4 * 400_000);
			return { timestampUs: i * FRAME_US, atUs };
		});
		const { shows } = play(frames, FRAME_US, 81_000_000);
		const delays = shows.filter(({ how }) => how === 'new').map(({ atUs: at, timestampUs }) => at - timestampUs);
		expect(Math.max(...delays)).toBeLessThanOrEqual(430_000 + 250_000);
	});
});
