// One run of the line in a process of its own, so that memory and CPU time are its own.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @typedef {import('../../sidecar/telemetry/report.ts').Report} Report */
/**
 * @typedef {{
 *   report: Report,
 *   betweenMs: { p50: number, p95: number },
 *   cpuMs: number,
 *   cpuMsPerFrame: number,
 * }} Row `betweenMs`: from one frame shown to the next
 */

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;

/** CPU time of this process and of those it started that have ended (the engine, ffmpeg), in milliseconds. */
const cpuMs = () => {
	// After the name in brackets: user and system time, then those of the children, in hundredths of a second.
	const times = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ').slice(11, 15).map(Number);
	return 10 * times.reduce((sum, ticks) => sum + ticks, 0);
};

/** @returns {Promise<Row>} `configuration` as in a configuration file. Loading the model is part of the CPU time. */
export const measureRow = (/** @type {Record<string, unknown>} */ configuration) =>
	new Promise((resolve, reject) => {
		const child = spawn(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify(configuration)], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		let output = '';
		child.stdout.on('data', (data) => (output += data));
		child.on('close', (code) => {
			if (code === 0) resolve(JSON.parse(output));
			else reject(new Error(`the run of ${JSON.stringify(configuration)} ended with ${code}`));
		});
	});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const { runApp } = await import(dist('app.js'));
	const { Configuration } = await import(dist('config/schema/configuration.js'));
	const { parse } = await import(dist('config/schema/parse.js'));
	const { nowUs } = await import(dist('frame/clock.js'));
	const { setLog } = await import(dist('telemetry/logger.js'));
	setLog({ level: 'error' });
	/** @type {number[]} */
	const shownUs = [];
	const stamps = {
		name: 'stamps',
		present: async () => void shownUs.push(nowUs()),
		finish: async () => {},
		[Symbol.asyncDispose]: async () => {},
	};
	const beforeMs = cpuMs();
	const report = await runApp(parse(Configuration, JSON.parse(process.argv[2]), 'bench row'), {
		signal: new AbortController().signal,
		sinks: [stamps],
	});
	const spentMs = cpuMs() - beforeMs;
	const between = shownUs
		.slice(1)
		.map((atUs, i) => (atUs - shownUs[i]) / 1000)
		.toSorted((a, b) => a - b);
	const percentile = (/** @type {number} */ share) => between[Math.max(0, Math.ceil(share * between.length) - 1)] ?? 0;
	const betweenMs = { p50: percentile(0.5), p95: percentile(0.95) };
	const row = { report, betweenMs, cpuMs: spentMs, cpuMsPerFrame: spentMs / report.framesOut };
	process.stdout.write(JSON.stringify(row));
}
