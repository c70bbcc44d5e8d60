// The live figures, in one run: latency at 24 frames/s, a change of style, the engine killed, a cold start.
// `node scripts/benchmark/live.process.mjs [--small]` prints them as JSON; live.mjs makes a section of them.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
const { runApp } = await import(dist('app.js'));
const { Configuration } = await import(dist('config/schema/configuration.js'));
const { parse } = await import(dist('config/schema/parse.js'));
const { nowUs } = await import(dist('frame/clock.js'));
const { setLog } = await import(dist('telemetry/logger.js'));
setLog({ level: 'error' });

const isSmall = process.argv.includes('--small');
const FPS = 24;
const LIVE = { source: 'scene', fps: FPS, size: { width: 512, height: 288 }, http: 'off', style: 'oil-painting' };

const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (/** @type {number[]} */ values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const summary = (/** @type {number[]} */ values) => ({
	count: values.length,
	p50: median(values),
	max: Math.max(...values),
});

const freePort = async () => {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
	server.close();
	return port;
};

/** @typedef {{ kind: string, sequence: number, capturedUs: number, atUs: number }} Shown */

/** A live run with a sink of our own, which stamps what is shown; `during` gets the stamps as they come. */
const live = async (
	/** @type {Record<string, unknown>} */ configuration,
	/** @type {(shown: Shown[]) => Promise<void>} */ during,
) => {
	/** @type {Shown[]} */
	const shown = [];
	const stop = new AbortController();
	const run = runApp(parse(Configuration, { ...LIVE, ...configuration }, 'live bench'), {
		signal: stop.signal,
		sinks: [
			{
				name: 'bench',
				present: async (/** @type {Omit<Shown, 'atUs'>} */ { kind, sequence, capturedUs }) =>
					void shown.push({ kind, sequence, capturedUs, atUs: nowUs() }),
				finish: async () => {},
				[Symbol.asyncDispose]: async () => {},
			},
		],
	});
	while (!shown.some(({ kind }) => kind === 'painting')) await Promise.race([sleep(20), run]);
	await during(shown);
	stop.abort();
	return await run;
};

/** Of each frame when it is shown first. What the first seconds are late by, while graphs and caches warm up, is left out. */
const latency = async () => {
	/** @type {number[]} */
	let agesMs = [];
	const { fps, framesDropped, sideStreamMs, mainStreamMs } = await live({}, async (shown) => {
		await sleep(isSmall ? 0 : 5000);
		const from = shown.length;
		await sleep(isSmall ? 2000 : 30_000);
		const first = new Map(
			shown
				.slice(from)
				.map((frame) => [frame.sequence, frame])
				.reverse(),
		);
		agesMs = [...first.values()].map(({ atUs, capturedUs }) => (atUs - capturedUs) / 1000).sort((x, y) => x - y);
	});
	const quantile = (/** @type {number} */ share) => agesMs[Math.floor(share * agesMs.length)] ?? NaN;
	const latencyMs = { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99), max: agesMs.at(-1) };
	return { fps, latencyMs, framesDropped, sideStreamMs, mainStreamMs };
};

const styleSwitch = async () => {
	const http = await freePort();
	const report = await live({ http, fadeS: 0 }, async () => {
		for (let i = 0; i < (isSmall ? 2 : 20); i++) {
			await sleep(500 + 17 * i); // at every phase of a frame
			await fetch(`http://127.0.0.1:${http}/api/commands`, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body: JSON.stringify({ type: 'next' }),
			});
		}
		await sleep(1000);
	});
	return summary(report.styleSwitches.map((/** @type {{ latencyMs: number }} */ { latencyMs }) => latencyMs));
};

/** The engine is the one child of this process while nothing else runs in it. */
const enginePid = () => {
	const children = readdirSync('/proc/self/task').map((task) =>
		readFileSync(`/proc/self/task/${task}/children`, 'utf8'),
	);
	return Number(children.join('').split(' ')[0]);
};

const kill = async () => {
	/** @type {{ policyMs: number[], gapMs: number[], paintingMs: number[] }} */
	const after = { policyMs: [], gapMs: [], paintingMs: [] };
	await live({}, async (shown) => {
		for (let i = 0; i < (isSmall ? 1 : 8); i++) {
			await sleep(2000 + 17 * i);
			const pid = enginePid();
			const killedUs = nowUs();
			process.kill(pid, 'SIGKILL');
			const since = (/** @type {(kind: string) => boolean} */ is) =>
				shown.find(({ kind, atUs }) => atUs > killedUs && is(kind));
			// A painting that was on its way is no painting of the next engine.
			const next = () => {
				const policyUs = since((kind) => kind === 'unpainted')?.atUs ?? Infinity;
				return shown.find(({ kind, atUs }) => atUs > policyUs && kind === 'painting');
			};
			while (!next()) await sleep(5);
			const ms = (/** @type {{ atUs: number } | undefined} */ frame) => ((frame?.atUs ?? NaN) - killedUs) / 1000;
			// The longest that the picture stood still, from the last frame before the kill to the next painting.
			const from = Math.max(shown.findIndex(({ atUs }) => atUs > killedUs) - 1, 0);
			const times = shown.slice(from, shown.indexOf(next()) + 1).map(({ atUs }) => atUs);
			after.gapMs.push(Math.max(...times.map((atUs, at) => (atUs - (times[at - 1] ?? atUs)) / 1000)));
			after.policyMs.push(ms(since((kind) => kind === 'unpainted')));
			after.paintingMs.push(ms(next()));
		}
	});
	return { policy: summary(after.policyMs), gap: summary(after.gapMs), painting: summary(after.paintingMs) };
};

/** From the start of the process to the first painting shown; with an empty cache of graphs each time, or with the user's. */
const startTimes = async (/** @type {{ keepsGraphs: boolean, times: number }} */ { keepsGraphs, times }) => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-bench-'));
	const report = join(folder, 'report.json');
	const cli = fileURLToPath(dist('cli.js'));
	/** @type {number[]} */
	const ms = [];
	try {
		for (let i = 0; i < times; i++) {
			const flags = ['--http', 'off', '--frames', '3', '--size', '512x288', '--report', report];
			const env = keepsGraphs ? process.env : { ...process.env, XDG_CACHE_HOME: join(folder, `cache-${i}`) };
			await promisify(execFile)(process.execPath, [cli, 'run', ...flags], { env });
			ms.push(JSON.parse(await readFile(report, 'utf8')).firstPaintingMs);
		}
	} finally {
		await rm(folder, { recursive: true });
	}
	return summary(ms);
};

const figures = {
	fps: FPS,
	firstStart: await startTimes({ keepsGraphs: false, times: isSmall ? 1 : 3 }),
	coldStart: await startTimes({ keepsGraphs: true, times: isSmall ? 1 : 5 }),
	latency: await latency(),
	styleSwitch: await styleSwitch(),
	kill: await kill(),
};
console.log(JSON.stringify(figures));
