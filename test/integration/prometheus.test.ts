// What Prometheus makes of /metrics, and Grafana's dashboard of that: a real run, scraped by Debian's Prometheus, which
// scripts/setup --tests unpacks.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WorkerMetrics } from '../../sidecar/telemetry/metrics.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const binary = (name: string) => join(root, '.cache/prometheus/usr/bin', name);

let folder: string;
let page: string;
let prometheus: string;
const children: ChildProcess[] = [];

const said: string[] = [];
const start = (command: string, ...args: string[]): void => {
	const child = spawn(command, args, {
		stdio: ['ignore', 'ignore', 'pipe'],
		env: { PATH: process.env['PATH'], HOME: folder, XDG_RUNTIME_DIR: folder },
	});
	child.stderr.on('data', (text) => said.push(String(text)));
	children.push(child);
};
/** Resolves when Prometheus has an answer; what was started has to run. */
const fills = (expression: string, timeoutMs = 30_000) =>
	until(async () => {
		if (children.some(({ exitCode }) => exitCode !== null)) throw new Error(said.join(''));
		return await has(expression).catch(() => false);
	}, timeoutMs);

interface Answer {
	status: string;
	error?: string;
	data: { result: { metric: Record<string, string>; value: [number, string] }[] };
}

const ask = async (expression: string): Promise<Answer> =>
	(await (await fetch(`${prometheus}/api/v1/query?query=${encodeURIComponent(expression)}`)).json()) as Answer;
const has = async (expression: string) => (await ask(expression)).data.result.length > 0;

beforeAll(async () => {
	folder = mkdtempSync(join(tmpdir(), 'allaprima-prometheus-'));
	const [pagePort, port] = [await freePort(), await freePort()];
	[page, prometheus] = [`http://127.0.0.1:${pagePort}`, `http://127.0.0.1:${port}`];
	start(
		process.execPath,
		join(root, 'dist/cli.js'),
		...`run --source scene --sink null --provider cpu --size 128x64 --http ${pagePort}`.split(' '),
	);
	writeFileSync(
		join(folder, 'prometheus.yml'),
		`global: { scrape_interval: 1s }\nscrape_configs: [{ job_name: allaprima, static_configs: [{ targets: ['127.0.0.1:${pagePort}'] }] }]\n`,
	);
	start(
		binary('prometheus'),
		`--config.file=${join(folder, 'prometheus.yml')}`,
		`--storage.tsdb.path=${join(folder, 'data')}`,
		`--web.listen-address=127.0.0.1:${port}`,
	);
	await fills('allaprima_frames_per_second > 0', 60_000);
	// A change of style, and time for rates over it.
	await fetch(`${page}/api/commands`, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify({ type: 'style', name: 'pencil-sketch' }),
	});
	await fills('increase(allaprima_style_switch_seconds_count[1m]) > 0', 60_000);
}, 150_000);

afterAll(async () => {
	for (const child of children) {
		if (child.exitCode !== null) continue;
		child.kill();
		await once(child, 'exit');
	}
	rmSync(folder, { recursive: true, force: true });
});

it('is scraped without an error', async () => {
	const { data } = (await (await fetch(`${prometheus}/api/v1/targets`)).json()) as {
		data: { activeTargets: { health: string; lastError: string }[] };
	};
	expect(data.activeTargets).toMatchObject([{ health: 'up', lastError: '' }]);
});

it('is named and described as Prometheus wants it', async () => {
	const text = await (await fetch(`${page}/metrics`)).text();
	expect(execFileSync(binary('promtool'), ['check', 'metrics'], { input: text, encoding: 'utf8' })).toBe('');
});

it.each([
	'allaprima_build_info == 1',
	'allaprima_ready{channel="main"} == 1',
	'allaprima_governor_level{channel="main"} >= 0',
	'allaprima_frames_total{result="painted"} > 0',
	'allaprima_stage_seconds_count{stage="unet"} > 0',
	'allaprima_latency_seconds_bucket{le="+Inf"} > 0',
	'allaprima_queue_frames{where="engine"} >= 0',
	'allaprima_refreshes_total{of="encoder"} > 0',
	'allaprima_refreshes_total{of="adapter"} > 0',
	'allaprima_engine_restarts_total == 0',
	'allaprima_warping_error_levels > 0',
	'allaprima_sobel_levels{picture="painting"} > 0',
])('answers %s', async (expression) => {
	await expect(fills(expression)).resolves.toBeUndefined();
});

interface Dashboard {
	panels: { title: string; targets: { expr: string }[] }[];
}
const { panels } = JSON.parse(readFileSync(join(root, 'docs/grafana-dashboard.json'), 'utf8')) as Dashboard;
/** Not in a run without OBS, NDI and a fleet. */
const elsewhere = ({ title }: Dashboard['panels'][number]) => /NDI|OBS|Fleet/.test(title);
const idle = { worker: 'idle', isDraining: false, capacity: 1, load: 0, linesMax: 1, lines: [] };
const ofWorker = new WorkerMetrics({ version: '', commit: '' }, () => ({
	...idle,
	framesPainted: 0,
	framesDropped: 0,
	leasesLost: 0,
}));

it.each(panels.filter((panel) => !elsewhere(panel)))('fills $title of the dashboard', async ({ targets }) => {
	for (const { expr } of targets) await expect(fills(expr.replaceAll('$channel', '.+'))).resolves.toBeUndefined();
});

it.each(panels.filter(elsewhere))('understands $title of the dashboard', async ({ targets }) => {
	const described = (await (await fetch(`${page}/metrics`)).text()) + (await ofWorker.text());
	for (const { expr } of targets) {
		const { status, error } = await ask(expr.replaceAll('$channel', '.+'));
		expect(error ?? status).toBe('success');
		for (const [name] of expr.matchAll(/allaprima_[a-z_]+/g)) expect(described).toContain(`# TYPE ${name} `);
	}
});
