// How soon panic is seen, by each way that there is to ask for it: a real run of the built-in scene at 24 frames/s and 512x288,
// looked at through the preview. For figures:
//   PANIC_BENCH_TIMES=20 node node_modules/.bin/vitest run test/bench/panic.bench.test.ts
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OscClient } from '../support/osc.ts';
import { CLI, WatchedRun } from '../support/watched-run.ts';

const times = Number(process.env['PANIC_BENCH_TIMES'] ?? 3);
const FPS = 24;

let run: WatchedRun;
beforeAll(async () => {
	run = await WatchedRun.start(['--fps', String(FPS), '--size', '512x288', '--osc', '0']);
	await run.more(5 * FPS);
});
afterAll(() => run[Symbol.asyncDispose]());

const row = (what: string, delaysMs: readonly number[]) => {
	const sorted = delaysMs.toSorted((a, b) => a - b);
	const [p50, worst] = [sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!];
	const said = (ms: number) => `${ms.toFixed(0)} ms (${((ms * FPS) / 1000).toFixed(1)} frames)`;
	console.log(`${what.padEnd(64)} ${said(p50)} p50, ${said(worst)} worst   must: 2 frames`);
};

/** From what `ask` gives to the first card in the preview, each time at another phase of the picture. */
const measure = async (ask: () => Promise<readonly number[]>): Promise<number[][]> => {
	const delays: number[][] = [];
	await run.ask({ type: 'panic', on: false }); // a first request costs whoever asks more than later ones
	for (let i = 0; i < times; i++) {
		await run.more(3);
		await sleep(Math.random() * (1000 / FPS));
		const from = run.seen.length;
		const asked = await ask();
		await run.until(() => run.seen.slice(from).some(({ isCard }) => isCard));
		const card = run.seen.slice(from).find(({ isCard }) => isCard)!;
		delays.push(asked.map((atMs) => card.atMs - atMs));
		await run.ask({ type: 'panic', on: false });
		await run.until(() => !run.seen.at(-1)!.isCard);
	}
	return delays;
};

it('measures panic by HTTP, as the page asks for it', { timeout: 60_000 + times * 5000 }, async () => {
	const delays = await measure(async () => {
		const askedMs = performance.now();
		await run.ask({ type: 'panic', on: true });
		return [askedMs];
	});
	expect(delays).toHaveLength(times);
	row('panic by HTTP → the card in the preview', delays.flat());
});

it('measures panic by OSC', { timeout: 60_000 + times * 5000 }, async () => {
	await using controller = await OscClient.open(Number(/"port":(\d+),"msg":"osc"/.exec(run.log)![1]));
	const delays = await measure(async () => {
		const askedMs = performance.now();
		await controller.send('/allaprima/panic', true);
		return [askedMs];
	});
	expect(delays).toHaveLength(times);
	row('panic by OSC → the card in the preview', delays.flat());
});

/** Passes a request on to the run, and knows when it came. */
const openRelay = async () => {
	let cameMs = 0;
	const server = createServer((client) => {
		const sidecar = connect(run.port, '127.0.0.1');
		for (const socket of [client, sidecar]) socket.on('error', () => {});
		client.once('data', () => (cameMs = performance.now()));
		client.pipe(sidecar).pipe(client);
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	return { server, port: (server.address() as AddressInfo).port, cameMs: () => cameMs };
};

it('measures panic by the command line', { timeout: 60_000 + times * 8000 }, async () => {
	const relay = await openRelay();
	const delays = await measure(async () => {
		const startedMs = performance.now();
		const cli = spawn(process.execPath, [CLI, 'panic', 'on', '--port', String(relay.port)], { stdio: 'ignore' });
		const [code] = (await once(cli, 'exit')) as [number];
		expect(code).toBe(0);
		return [startedMs, relay.cameMs()];
	});
	relay.server.close();
	expect(delays).toHaveLength(times);
	row(
		'allaprima panic on, from the start of its process',
		delays.map(([started]) => started!),
	);
	row(
		'the same, from the moment its request comes',
		delays.map(([, came]) => came!),
	);
});
