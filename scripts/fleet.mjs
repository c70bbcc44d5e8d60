// A fleet of 10, 100 and 1000 streams in virtual time: placement, a failure, a drain. Figures of docs/fleet.md.
import { FleetSimulation, serverBitsPerSecond } from '../dist/fleet/simulated-fleet.js';

/** Measured: docs/fleet.md says how. */
const [bidsMs = 35, openMs = 60] = process.argv.slice(2).map(Number);

/** Mulberry32. */
const dice = (seed) => () => {
	seed = (seed + 0x6d2b79f5) | 0;
	let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
	t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
	return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

/** One in two is small, one in three has twice as much, one in six four times. */
const UNEQUAL = [4, 8, 4, 16, 4, 8];
const SPARE = 1.3;

const row = (...cells) => console.log(`| ${cells.join(' | ')} |`);
row(
	'streams',
	'workers',
	'event',
	'moved',
	'back p50 ms',
	'p95',
	'worst',
	'without',
	'fullest',
	'slowest',
	'server Gbit/s',
);
row(...Array(11).fill('---'));
for (const streams of [10, 100, 1000]) {
	const capacities = [];
	for (let sum = 0; sum < SPARE * streams || capacities.length < 3; sum += capacities.at(-1))
		capacities.push(UNEQUAL[capacities.length % UNEQUAL.length]);
	const fleet = { streams, streamsPerSidecar: 4, fps: 30, capacities, linesMax: 64, bidsMs, openMs, noticeMs: 33 };
	const gbits = (serverBitsPerSecond(fleet) / 1e9).toFixed(1);
	const largest = capacities.indexOf(Math.max(...capacities));
	const third = [...capacities.keys()].slice(0, Math.ceil(capacities.length / 3));
	const events = [
		['placed', (of) => ({ moved: 0, backMs: { p50: 0, p95: 0, max: 0 }, ...of.outcome })],
		['the largest dies', (of) => of.kill([largest])],
		['a third die at once', (of) => of.kill(third)],
		['the largest is drained', (of) => of.drain(largest)],
	];
	for (const [event, happen] of events) {
		const { moved, backMs, homeless, fullest, slowestShare } = happen(
			new FleetSimulation({ ...fleet, random: dice(1) }),
		);
		const ms = [backMs.p50, backMs.p95, backMs.max].map((value) => (moved ? Math.round(value) : ''));
		const percent = (share) => `${Math.round(100 * share)} %`;
		row(streams, capacities.length, event, moved, ...ms, homeless, percent(fullest), percent(slowestShare), gbits);
	}
}
