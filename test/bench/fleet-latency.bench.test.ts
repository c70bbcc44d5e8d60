// What it adds to the latency of a frame that its engine is behind a NATS server on loopback. The engine is an echo, which
// takes a millisecond or two; here it is called as it is, with nothing between.
//
//   scripts/fleet latency [FRAMES]      says it for more frames
import { expect, it } from 'vitest';
import { until } from '../support/engines.ts';
import { EchoEngines } from '../support/echo-engine.mjs';
import { EchoWorker, openFleet, openStream } from '../support/fleet.ts';
import { NatsServer } from '../support/nats.ts';

const FRAMES = Number(process.env['FLEET_LATENCY_FRAMES'] ?? 150);
const FPS = 30;
/** While graphs of the just-in-time compiler are made, and ways chosen. */
const WARM_UP = 60;
const PAINTED = { width: 512, height: 288 };
/** By turns. */
const ROUNDS = Number(process.env['FLEET_LATENCY_ROUNDS'] ?? 1);

const percentile = (sorted: readonly number[], share: number) => sorted[Math.floor(share * (sorted.length - 1))]!;

/** From the source to the painting, in ms. */
const latencyWith = async (engines: Parameters<typeof openStream>[0]) => {
	await using stream = openStream(engines, { fps: FPS, painted: PAINTED });
	await until(() => stream.paintings().length >= WARM_UP + FRAMES, 600_000);
	const ages = stream.paintings().slice(WARM_UP);
	const sorted = ages.map(({ ageUs }) => ageUs / 1000).sort((a, b) => a - b);
	return { p50: percentile(sorted, 0.5), p95: percentile(sorted, 0.95) };
};

it('measures what a fleet on loopback adds to a frame of 512x288', { timeout: 2_000_000 }, async () => {
	await using nats = await NatsServer.start({ configuration: 'max_payload: 8MB' });
	await using worker = await EchoWorker.start(nats.url, 'one', 7);
	void worker;
	await using fleet = await openFleet(nats.url);
	const rows: string[] = [];
	const row = (what: string, { p50, p95 }: { p50: number; p95: number }) =>
		rows.push(`${what.padEnd(20)} p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms`);
	for (let round = 0; round < ROUNDS; round++) {
		const here = await latencyWith({ engines: new EchoEngines({ mark: 7 }) });
		const there = await latencyWith(fleet);
		row('echo here', here);
		row('echo by NATS', there);
		row('added, aim under 6', { p50: there.p50 - here.p50, p95: there.p95 - here.p95 });
		expect(there.p50).toBeGreaterThan(here.p50);
	}
	console.log([`${FRAMES} frames of 512x288 at ${FPS} frames/s, from the source to the painting`, ...rows].join('\n'));
});
