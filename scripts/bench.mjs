// The benchmark: one run, its tables. `scripts/bench [--small] [--json FILE] [--only TEXT]`.
// Every row of the line runs in a process of its own, so that memory and CPU time are its own.
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

const dist = (/** @type {string} */ file) => new URL(`../dist/${file}`, import.meta.url).href;

const { values: flags } = parseArgs({
	options: {
		small: { type: 'boolean', default: false },
		json: { type: 'string' },
		only: { type: 'string' },
		row: { type: 'string' },
	},
});

/** @typedef {{ what: string, configuration: Record<string, unknown> }} Row */

/** CPU time of this process and of those it started that have ended (the engine, ffmpeg), in milliseconds. */
const cpuMs = () => {
	// After the name in brackets: user and system time, then those of the children, in hundredths of a second.
	const times = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ').slice(11, 15).map(Number);
	return 10 * times.reduce((sum, ticks) => sum + ticks, 0);
};

/** One row in this process: the report of the run and the CPU time it took. */
const runRow = async (/** @type {Row} */ { configuration }) => {
	const { runApp } = await import(dist('app.js'));
	const { Configuration, parse } = await import(dist('config/schema.js'));
	const { setLog } = await import(dist('telemetry/logger.js'));
	setLog({ level: 'error' });
	const beforeMs = cpuMs();
	const report = await runApp(parse(Configuration, configuration, 'bench row'), {
		signal: new AbortController().signal,
	});
	process.stdout.write(JSON.stringify({ report, cpuMsPerFrame: (cpuMs() - beforeMs) / report.framesOut }));
};

/** @returns {Promise<{ report: any, cpuMsPerFrame: number }>} */
const spawnRow = (/** @type {Row} */ row) =>
	new Promise((resolve, reject) => {
		const child = spawn(process.execPath, [fileURLToPath(import.meta.url), '--row', JSON.stringify(row)], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		let output = '';
		child.stdout.on('data', (data) => (output += data));
		child.on('close', (code) => {
			if (code === 0) resolve(JSON.parse(output));
			else reject(new Error(`bench row "${row.what}" ended with ${code}`));
		});
	});

/** What only a live run shows, in a process of its own. */
const measureLive = async () => {
	const script = fileURLToPath(new URL('./bench-live.mjs', import.meta.url));
	const { stdout } = await promisify(execFile)(process.execPath, [script, ...(flags.small ? ['--small'] : [])]);
	return JSON.parse(stdout);
};

/** The real scheduler over a device that only takes its time: milliseconds a batch, steady. */
const simulate = async (
	/** @type {{ batchSize: number, sideMs: number, mainMs: number, batches: number }} */ times,
) => {
	const { simulatePeriodMs } = await import(dist('engine/simulated-line.js'));
	const sleep = (/** @type {number} */ ms) => new Promise((wake) => setTimeout(wake, ms));
	return await simulatePeriodMs({ ...times, sleep, nowMs: () => performance.now() });
};

const table = (/** @type {string[]} */ head, /** @type {(string | number)[][]} */ rows) => {
	const cells = [head, head.map(() => '---'), ...rows.map((row) => row.map(String))];
	const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
	return cells.map((row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`).join('\n');
};

const main = async () => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-bench-'));
	const frames = flags.small ? 12 : 300;
	const clip = join(folder, 'scene.mp4');
	const base = { source: 'scene', sinks: ['null'], pace: 'max', style: 'oil-painting', frames };
	const size = { width: 512, height: 288 };
	const all = [
		{ what: 'scene → null', configuration: { ...base, size } },
		{ what: 'scene → null, fp32', configuration: { ...base, size, tuning: { precision: 'fp32' } } },
		{
			what: 'file → file (decoding and encoding included)',
			configuration: { ...base, size, source: `file:${clip}`, sinks: [`file:${join(folder, 'painted.mp4')}`] },
		},
		{ what: 'scene → null, no adapter', configuration: { ...base, size, tuning: { condRefreshEvery: 0 } } },
		{ what: 'scene → null, advected noise', configuration: { ...base, size, tuning: { noise: 'advected' } } },
		{ what: 'scene → null, encoder every batch', configuration: { ...base, size, tuning: { teRefreshEvery: 1 } } },
		{ what: 'scene → null, 2 steps', configuration: { ...base, size, tuning: { steps: 2 } } },
		{ what: 'scene → null, 4 steps', configuration: { ...base, size, tuning: { steps: 4 } } },
		{ what: 'scene → null, batches of 4', configuration: { ...base, size, tuning: { batchSize: 4 } } },
		{ what: 'scene → null, batches of 8', configuration: { ...base, size, tuning: { batchSize: 8 } } },
	];
	const rows = all.filter(({ what }) => what.includes(flags.only ?? ''));
	try {
		await spawnRow({ what: 'clip', configuration: { ...base, size, style: 'passthrough', sinks: [`file:${clip}`] } });
		const measured = [];
		for (const row of rows) {
			const { report, cpuMsPerFrame } = await spawnRow(row);
			measured.push({ what: row.what, cpuMsPerFrame, report });
			process.stderr.write(`${row.what}: ${report.fps.toFixed(1)} frames/s\n`);
		}
		const simulated = [];
		for (const times of [
			{ batchSize: 1, sideMs: 125, mainMs: 45 },
			{ batchSize: 4, sideMs: 153, mainMs: 152 },
			{ batchSize: 8, sideMs: 233, mainMs: 300 },
			{ batchSize: 16, sideMs: 628, mainMs: 493 },
		])
			simulated.push({ ...times, periodMs: await simulate({ ...times, batches: flags.small ? 5 : 12 }) });

		const live = flags.only ? undefined : await measureLive();

		const first = measured[0];
		const fixed = (/** @type {number} */ value) => value.toFixed(1);
		if (first) {
			const { model, provider, int8Graphs, machine, commit, date } = first.report;
			const int8 = int8Graphs.length ? `${int8Graphs.join(', ')} in int8, ` : '';
			console.log(
				`${model} on ${provider}, ${int8}${size.width}x${size.height}, ${frames} frames · ${machine} · ${commit} · ${date}\n`,
			);
			console.log(
				table(
					['the line', 'frames/s', 'ratio', 'p50 ms', 'p95 ms', 'side ms', 'main ms', 'CPU ms/frame', 'RSS MiB'],
					measured.map(({ what, cpuMsPerFrame, report }) => [
						what,
						fixed(report.fps),
						(report.fps / first.report.fps).toFixed(2),
						fixed(report.latencyMs.p50),
						fixed(report.latencyMs.p95),
						fixed(report.sideStreamMs),
						fixed(report.mainStreamMs),
						fixed(cpuMsPerFrame),
						report.rssPeakMiB,
					]),
				),
			);
		}
		if (live) {
			const { fps, latency, styleSwitch, kill, coldStart } = live;
			const rowOf = (/** @type {string} */ what, /** @type {{ p50: number, max: number, count: number }} */ ms) => [
				what,
				fixed(ms.p50),
				fixed(ms.max),
				ms.count,
			];
			console.log(`\nLive, the scene at ${fps} frames/s (${fixed(latency.fps)} painted):\n`);
			console.log(
				table(
					['ms', 'p50', 'worst', 'times'],
					[
						['latency, capture to shown', fixed(latency.latencyMs.p50), `p95 ${fixed(latency.latencyMs.p95)}`, ''],
						rowOf('style changed → first frame of it shown', styleSwitch),
						rowOf('engine killed → next frame by the failure policy', kill.policy),
						rowOf('engine killed: the longest that the picture stood still', kill.gap),
						rowOf('engine killed → painting again', kill.painting),
						rowOf('start of the process → first painting shown', coldStart),
					],
				),
			);
		}
		console.log('\nThe scheduler over a simulated device (its stages take set times, the line is real):\n');
		console.log(
			table(
				['batch', 'side ms', 'main ms', 'ms a frame', 'over max(side, main)'],
				simulated.map(({ batchSize, sideMs, mainMs, periodMs }) => [
					batchSize,
					sideMs,
					mainMs,
					fixed(periodMs / batchSize),
					(periodMs / Math.max(sideMs, mainMs)).toFixed(3),
				]),
			),
		);
		if (flags.json) await writeFile(flags.json, `${JSON.stringify({ line: measured, live, simulated }, null, '\t')}\n`);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
};

await (flags.row ? runRow(JSON.parse(flags.row)) : main());
