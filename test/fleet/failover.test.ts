// A worker of three dies under sixteen streams. The engine is an echo; the server, its clients and the processes are real.
//
//   FLEET_SVG=FILE vitest run test/fleet/failover.test.ts      draws what is seen, and says how long it took
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EchoWorker, expectWhole, openFleet, openStream, painters, type Shown } from '../support/fleet.ts';
import { NatsServer } from '../support/nats.ts';
import { plotSvg } from '../support/plot.ts';

const STREAMS = 16;
const FPS = 15;
const BIN_US = 50_000;
const SVG = process.env['FLEET_SVG'];

let nats: NatsServer;
beforeAll(async () => {
	nats = await NatsServer.start();
});
afterAll(async () => {
	await nats[Symbol.asyncDispose]();
});

it('every stream is painted again, in order, and nothing of the dead worker is shown', async () => {
	const workers = await Promise.all([7, 101, 201].map((mark, i) => EchoWorker.start(nats.url, `w${i}`, mark)));
	await using fleet = await openFleet(nats.url);
	const streams = Array.from({ length: STREAMS }, () => openStream(fleet, { fps: FPS }));
	try {
		await Promise.all(streams.map((stream) => stream.paints(SVG ? 3 * FPS : 5)));
		const [dead, ...others] = workers;
		const lines = (await Promise.all(others.map((worker) => worker!.status()))).flatMap((status) => status.lines);
		expect(lines.length).toBeLessThan(STREAMS); // the dead one had some
		const killedUs = Number(process.hrtime.bigint() / 1000n);
		await dead!.kill();
		await Promise.all(streams.map((stream) => stream.paints(SVG ? 3 * FPS : 8)));
		for (const { shown } of streams) {
			expectWhole(shown);
			const by = painters(shown, workers);
			expect(by.length).toBeLessThanOrEqual(2);
			expect(by.slice(1)).not.toContain('w0');
		}
		if (SVG)
			draw(
				streams.map(({ shown }) => shown),
				killedUs,
			);
	} finally {
		for (const stream of streams) await stream[Symbol.asyncDispose]();
		for (const worker of workers) await worker[Symbol.asyncDispose]();
	}
});

const draw = (streams: readonly (readonly Shown[])[], killedUs: number): void => {
	const fromUs = killedUs - 2_000_000;
	const bins = (frames: readonly Shown[]) => {
		const counts = Array<number>(80).fill(0);
		for (const { atUs } of frames) {
			const bin = Math.floor((atUs - fromUs) / BIN_US);
			if (bin >= 0 && bin < counts.length) counts[bin]!++;
		}
		return counts.map((count) => (count * 1e6) / BIN_US);
	};
	const all = streams.flat();
	const kind = (wanted: Shown['kind']) => bins(all.filter((frame) => frame.kind === wanted));
	writeFileSync(
		SVG!,
		plotSvg(
			[
				{
					title: 'paintings a second, of 16 streams at 15; a worker of three is killed at 2 s',
					values: kind('painting'),
				},
				{ title: 'frames a second that passed unpainted', values: kind('unpainted') },
			],
			{ unit: 's', to: (80 * BIN_US) / 1e6 },
		),
	);
	const gapsMs = streams.flatMap((shown) => {
		const paintings = shown.filter((frame) => frame.kind === 'painting');
		const next = paintings.findIndex(({ atUs }) => atUs > killedUs);
		const gaps = paintings.slice(next).map(({ atUs }, i) => (atUs - paintings[next + i - 1]!.atUs) / 1000);
		return [Math.max(...gaps)];
	});
	gapsMs.sort((a, b) => a - b);
	process.stdout.write(`longest without a painting, by stream, ms: ${gapsMs.map(Math.round).join(' ')}\n`);
};
