// A relay that paints for a long time: its memory, its latency, its losses. For the long one:
//   RELAY_SOAK_MINUTES=30 RELAY_SOAK_SVG=docs/pictures/relay-soak.svg node node_modules/.bin/vitest run test/bench/relay-soak.bench.test.ts
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { enginePids } from '../support/engines.ts';
import { FIRST, openNdiNetwork, SECOND } from '../support/ndi.ts';
import { type Plot, plotSvg } from '../support/plot.ts';
import { ownMiB, rssMiB } from '../support/process-numbers.ts';
import { askRelay, numbersOf, startRelay } from '../support/relay-command.ts';

const minutes = Number(process.env['RELAY_SOAK_MINUTES'] ?? 0.25);
const EVERY_S = Math.max(1, (minutes * 60) / 180);

interface Sample {
	minute: number;
	memoryMiB: number;
	relayOwnMiB: number;
	engineOwnMiB: number;
	delayMs: number;
	paintingsPerS: number;
	lost: number;
}

it(`relays and paints for ${minutes} minutes`, { timeout: (120 + minutes * 66) * 1000 }, async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 30, sound: 1 });
	const relay = startRelay(network, '--in', FIRST, '--out', 'OUT', '--style', 'oil-painting', '--no-when-watched');
	const viewer = await network.viewer(SECOND);
	await viewer.untilLine('frame ', 30_000);
	await sleep(5000); // the model is loaded, the delay found
	const first = viewer.frames.at(-1)!.noted!;
	const firstIndex = viewer.frames.length - 1;
	const pid = relay.process.pid!;
	const startedMs = performance.now();
	const samples: Sample[] = [];
	let paintings = NaN;
	while (performance.now() - startedMs < minutes * 60_000) {
		await sleep(EVERY_S * 1000);
		const numbers = numbersOf((await askRelay(network, '/metrics')).text);
		const painted = numbers.get('frames_total{result="painted"}') ?? 0;
		const lost = (numbers.get('ndi_frames_dropped_total') ?? 0) + (numbers.get('ndi_frames_late_total') ?? 0);
		samples.push({
			minute: (performance.now() - startedMs) / 60_000,
			memoryMiB: [pid, ...enginePids(pid)].reduce((sum, one) => sum + rssMiB(one), 0),
			relayOwnMiB: ownMiB(pid),
			engineOwnMiB: enginePids(pid).reduce((sum, one) => sum + ownMiB(one), 0),
			delayMs: 1000 * (numbers.get('ndi_delay_seconds') ?? NaN),
			paintingsPerS: numbers.get('frames_per_second') ?? NaN,
			lost,
		});
		paintings = painted;
	}
	const last = viewer.frames.at(-1)!.noted!;
	const seen = viewer.frames.length - firstIndex;
	const missing = last - first + 1 - seen;
	const at = (share: number) => samples[Math.min(samples.length - 1, Math.floor(share * samples.length))]!;
	console.log(
		[
			`${minutes} minutes: ${seen} frames seen, ${missing} missing, ${samples.at(-1)!.lost} late or dropped by the relay, ${paintings} paintings`,
			`memory ${at(0.1).memoryMiB.toFixed(0)} MiB after a tenth, ${at(0.5).memoryMiB.toFixed(0)} at half, ${at(1).memoryMiB.toFixed(0)} at the end`,
			...[0.1, 0.25, 0.5, 0.75, 1].map(
				(share) =>
					`  at ${share}: the relay's own ${at(share).relayOwnMiB.toFixed(1)}, the engine's own ${at(share).engineOwnMiB.toFixed(1)}`,
			),
			`delay ${at(0.1).delayMs.toFixed(0)} ms after a tenth, ${at(1).delayMs.toFixed(0)} at the end`,
		].join('\n'),
	);
	const svg = process.env['RELAY_SOAK_SVG'];
	const plots: Plot[] = [
		{ title: 'memory of relay and engine, MiB', values: samples.map(({ memoryMiB }) => memoryMiB) },
		{ title: 'delay, ms', values: samples.map(({ delayMs }) => delayMs) },
		{ title: 'paintings/s', values: samples.map(({ paintingsPerS }) => paintingsPerS) },
		{ title: 'frames late or dropped, all together', values: samples.map(({ lost }) => lost) },
	];
	if (svg) writeFileSync(svg, plotSvg(plots, { unit: 'min', to: minutes }));
	expect(seen).toBeGreaterThan(minutes * 60 * 20);
	expect(at(1).memoryMiB).toBeLessThan(1.25 * at(0.5).memoryMiB);
});
