// Live painting for a long time with a change of style every 5 s: memory, handles, threads, latency, losses.
//   SOAK_MINUTES=60 SOAK_SVG=docs/pictures/soak.svg node node_modules/.bin/vitest run test/bench/soak.bench.test.ts
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { enginePids, until } from '../support/engines.ts';
import { command } from '../support/faults.ts';
import { freePort } from '../support/free-port.ts';
import { endMarkedRun, startMarkedRun } from '../support/marked-run.ts';
import { type Plot, plotSvg } from '../support/plot.ts';
import { descriptorsOf, ownMiB, threadsOf } from '../support/process-numbers.ts';
import { numbersOf } from '../support/relay-command.ts';

const minutes = Number(process.env['SOAK_MINUTES'] ?? 0.4);
const FPS = 24;
const SWITCH_S = 5;

interface Sample {
	/** What the sidecar and its engine have taken for themselves. */
	sidecarMiB: number;
	engineMiB: number;
	descriptors: number;
	threads: number;
	/** Capture to shown, of the paintings since the sample before. */
	p50Ms: number;
	p99Ms: number;
	paintingsPerS: number;
	/** Since the start. */
	dropped: number;
}

const quantile = (sorted: readonly number[], share: number): number =>
	sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;

it(`paints for ${minutes} minutes`, { timeout: (120 + minutes * 66) * 1000 }, async () => {
	const http = await freePort();
	const {
		process: sidecar,
		shown,
		report,
	} = startMarkedRun(
		{ source: 'scene', fps: FPS, size: { width: 512, height: 288 }, http, provider: 'cpu' },
		{ looks: false },
	);
	const pid = sidecar.pid!;
	const samples: Sample[] = [];
	let switches = 0;
	/** The frames since it was last asked, each once though a late one is shown again; forgets them. */
	let lastSequence = -1;
	const take = () => {
		const fresh = shown.splice(0).filter(({ kind, sequence }) => kind === 'painting' && sequence > lastSequence);
		lastSequence = Math.max(lastSequence, ...fresh.map(({ sequence }) => sequence));
		return fresh.map(({ ageUs }) => ageUs / 1000).sort((a, b) => a - b);
	};
	try {
		await until(() => shown.some(({ kind }) => kind === 'painting'));
		await sleep(5000);
		take();
		const engines = enginePids(pid);
		const everyMs = Math.max(SWITCH_S * 1000, (minutes * 60_000) / 180);
		const startedMs = performance.now();
		let sampledMs = startedMs;
		while (sampledMs - startedMs < minutes * 60_000) {
			while (performance.now() - sampledMs < everyMs - 1) {
				expect(await command({ pid, port: http, folder: '' }, { type: 'next' })).toBe(200);
				switches++;
				const nextMs = startedMs + switches * SWITCH_S * 1000;
				await sleep(Math.max(0, Math.min(nextMs, sampledMs + everyMs) - performance.now()));
			}
			const agesMs = take();
			const nowMs = performance.now();
			const numbers = numbersOf(await (await fetch(`http://127.0.0.1:${http}/metrics`)).text());
			const processes = [pid, ...enginePids(pid)];
			samples.push({
				sidecarMiB: ownMiB(pid),
				engineMiB: enginePids(pid).reduce((sum, one) => sum + ownMiB(one), 0),
				descriptors: processes.reduce((sum, one) => sum + descriptorsOf(one), 0),
				threads: processes.reduce((sum, one) => sum + threadsOf(one), 0),
				p50Ms: quantile(agesMs, 0.5),
				p99Ms: quantile(agesMs, 0.99),
				paintingsPerS: (1000 * agesMs.length) / (nowMs - sampledMs),
				dropped: numbers.get('frames_total{result="dropped"}') ?? NaN,
			});
			sampledMs = nowMs;
		}
		expect(enginePids(pid)).toEqual(engines); // the same one all the time
	} finally {
		await endMarkedRun(sidecar);
	}

	const at = (share: number) => samples[Math.min(samples.length - 1, Math.floor(share * samples.length))]!;
	const told = ([key, decimals]: readonly [keyof Sample, number]) =>
		`  ${key}: ${[0, 0.1, 0.25, 0.5, 0.75, 1].map((share) => at(share)[key].toFixed(decimals)).join(', ')}`;
	const { engineRestarts, styleSwitches, framesOut } = report()!;
	const toPaintedMs = styleSwitches.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
	console.log(
		[
			`${minutes} minutes: ${framesOut} frames, ${switches} changes of style, ${engineRestarts} engines restarted`,
			`change to first frame: ${quantile(toPaintedMs, 0.5)} ms p50, ${toPaintedMs.at(-1)} worst of the last ${toPaintedMs.length}`,
			'at the start, after a tenth, a quarter, a half, three quarters, at the end:',
			...(
				[
					['sidecarMiB', 1],
					['engineMiB', 1],
					['descriptors', 0],
					['threads', 0],
					['p50Ms', 1],
					['p99Ms', 1],
					['paintingsPerS', 1],
					['dropped', 0],
				] as const
			).map(told),
		].join('\n'),
	);
	const svg = process.env['SOAK_SVG'];
	const plot = (title: string, key: keyof Sample): Plot => ({ title, values: samples.map((sample) => sample[key]) });
	const plots = [
		plot("sidecar's own memory, MiB", 'sidecarMiB'),
		plot("engine's own memory, MiB", 'engineMiB'),
		plot('descriptors of both', 'descriptors'),
		plot('threads of both', 'threads'),
		plot('latency p50, ms', 'p50Ms'),
		plot('latency p99, ms', 'p99Ms'),
		plot('paintings/s', 'paintingsPerS'),
		plot('frames dropped, all together', 'dropped'),
	];
	if (svg) writeFileSync(svg, plotSvg(plots, { unit: 'min', to: minutes }));

	expect(engineRestarts).toBe(0);
	expect(switches).toBeGreaterThanOrEqual(Math.floor((minutes * 60) / SWITCH_S));
	expect(at(1).descriptors).toBeLessThanOrEqual(at(0).descriptors + 4);
	expect(at(1).threads).toBeLessThanOrEqual(at(0).threads + 4);
	if (minutes >= 10) {
		// On a machine that does nothing else: the last quarter is as the second.
		const [second, last] = [
			[0.25, 0.5],
			[0.75, 1],
		].map(([from, to]) => samples.slice(Math.floor(from! * samples.length), Math.floor(to! * samples.length)));
		const p99 = (some: readonly Sample[]) =>
			quantile(
				some.map(({ p99Ms }) => p99Ms).sort((a, b) => a - b),
				0.5,
			);
		const drops = (some: readonly Sample[]) => some.at(-1)!.dropped - some[0]!.dropped;
		expect(p99(last!)).toBeLessThan(1.25 * p99(second!));
		expect(drops(last!)).toBeLessThan(2 * drops(second!) + (0.01 * minutes * 60 * FPS) / 4);
	}
	expect(at(1).sidecarMiB + at(1).engineMiB).toBeLessThan(1.25 * (at(0.5).sidecarMiB + at(0.5).engineMiB));
});
