// What the NDI relay costs and how soon it fails over, over the real libndi on this machine. For figures:
//   RELAY_BENCH_SECONDS=20 node node_modules/.bin/vitest run test/bench/relay.bench.test.ts
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { enginePids, until } from '../support/engines.ts';
import { FIRST, openNdiNetwork, SECOND, type SeenFrame } from '../support/ndi.ts';
import { askRelay, numbersOf, startRelayThatCanHang } from '../support/relay-command.ts';

const seconds = Number(process.env['RELAY_BENCH_SECONDS'] ?? 2);
const SOURCE = 180;
const isSource = ({ luma }: SeenFrame) => Math.abs(luma - SOURCE) <= 6;

const quantile = (values: number[], q: number) =>
	values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? NaN;
const row = (what: string, figures: string, must: string) => `${what.padEnd(66)} ${figures.padStart(30)}   ${must}`;

/** Longest time between two frames, in milliseconds. */
const longestGapMs = (frames: readonly SeenFrame[]) =>
	Math.max(...frames.slice(1).map(({ arrivedUs }, i) => (arrivedUs - frames[i]!.arrivedUs) / 1000));

it('measures passing through: 1280x720 at 60 frames/s', { timeout: (60 + 2 * seconds) * 1000 }, async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 60 });
	const relay = await network.relay();
	await relay.call({ call: 'setDirect', args: [true] });
	const onSource = await network.viewer(FIRST);
	const viewer = await network.viewer(SECOND);
	await viewer.more(60);
	const frames = await viewer.more(60 * seconds);
	const seenAt = new Map(onSource.frames.map(({ n, arrivedUs }) => [n, arrivedUs]));
	const addedMs = frames.flatMap(({ n, arrivedUs }) => (seenAt.has(n) ? [(arrivedUs - seenAt.get(n)!) / 1000] : []));
	const missing = frames.at(-1)!.n - frames[0]!.n + 1 - frames.length;
	const added = `${quantile(addedMs, 0.5).toFixed(1)} ms p50, ${quantile(addedMs, 0.95).toFixed(1)} p95`;
	console.log(row('720p60 passed through: later than the source itself', added, 'must: 8 p50'));
	console.log(row(`  frames of ${frames.length} that never came`, String(missing), 'must: 0'));
	expect(addedMs.length).toBeGreaterThan(0);
});

it(
	'measures painting at 512x288 into 1280x720, and what happens when things die',
	{ timeout: (200 + 2 * seconds) * 1000 },
	async () => {
		await using network = await openNdiNetwork();
		await network.source('CAM', { num: 30 });
		const flags = ['--in', FIRST, '--out', 'OUT', '--style', 'pencil-sketch', '--no-when-watched'];
		const relay = startRelayThatCanHang(network, ...flags, '--stale-after-ms', '200');
		const viewer = await network.viewer(SECOND);
		const isPainting = (frame: SeenFrame) => !isSource(frame);
		await viewer.one(isPainting, 'a painting', 60_000);
		await sleep(3000); // until the delay has followed the painter
		const numbers = async () => numbersOf((await askRelay(network, '/metrics')).text);
		const before = await numbers();
		const startedMs = performance.now();
		const frames = await viewer.more(30 * seconds);
		const later = await numbers();
		const elapsedS = (performance.now() - startedMs) / 1000;
		const grown = (name: string) => (later.get(name) ?? 0) - (before.get(name) ?? 0);
		const painted = grown('frames_total{result="painted"}') / elapsedS;
		const missing = frames.at(-1)!.noted! - frames[0]!.noted! + 1 - frames.length;
		console.log(
			row('painted at 512x288, sent at 1280x720, 30 frames/s', `${painted.toFixed(1)} paintings/s`, 'must: 24'),
		);
		console.log(row(`  frames of ${frames.length} that never came`, String(missing), ''));
		console.log(row('  delay', `${(1000 * later.get('ndi_delay_seconds')!).toFixed(0)} ms`, ''));

		const failures: [string, () => void][] = [
			['engine killed', () => process.kill(enginePids(relay.process.pid!)[0]!, 'SIGKILL')],
			['engine stopped (SIGSTOP)', () => process.kill(enginePids(relay.process.pid!)[0]!, 'SIGSTOP')],
			["the relay's event loop stands still", () => relay.process.kill('SIGUSR2')],
		];
		for (const [what, fail] of failures) {
			const paintedUntil = viewer.frames.length;
			const failedUs = Number(process.hrtime.bigint() / 1000n);
			fail();
			const first = await viewer.one(isSource, 'the source', 30_000);
			const afterMs = (first.arrivedUs - failedUs) / 1000;
			await viewer.one(isPainting, 'a painting again', 60_000);
			const gap = longestGapMs(viewer.frames.slice(paintedUntil - 1)).toFixed(0);
			console.log(row(`${what} → the source shown (--stale-after-ms 200)`, `${afterMs.toFixed(0)} ms`, 'must: 300'));
			console.log(row('  longest time between two frames until it paints again', `${gap} ms`, ''));
			await sleep(3000);
		}

		await until(async () => (await askRelay(network, '/readyz')).status === 200, 60_000);
		const last = viewer.frames.length - 1;
		relay.kill();
		await viewer.more(30);
		const failover = longestGapMs(viewer.frames.slice(last)).toFixed(0);
		console.log(row('relay killed → frames of the source', `${failover} ms without a frame`, 'must: 200'));
		expect(painted).toBeGreaterThan(0);
	},
);
