// The benchmark in its small form, so that it runs when it is wanted. Its figures are for scripts/bench.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../scripts/bench.mjs', import.meta.url));

it('fills every row of the table', { timeout: 300_000 }, async () => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-bench-'));
	try {
		const json = join(folder, 'bench.json');
		const { stdout } = await promisify(execFile)(process.execPath, [script, '--small', '--json', json]);
		const { line, live, simulated } = JSON.parse(await readFile(json, 'utf8'));
		expect(line.length).toBeGreaterThanOrEqual(9);
		for (const { report, cpuMsPerFrame } of line) {
			expect(report.framesOut).toBe(12);
			expect(report.fps).toBeGreaterThan(0);
			expect(cpuMsPerFrame).toBeGreaterThan(0);
		}
		expect(live.latency.fps).toBeGreaterThan(0);
		const { styleSwitch, coldStart, kill } = live;
		for (const { p50, max, count } of [styleSwitch, coldStart, kill.policy, kill.gap, kill.painting]) {
			expect(count).toBeGreaterThan(0);
			expect(p50).toBeGreaterThan(0);
			expect(max).toBeGreaterThanOrEqual(p50);
		}
		expect(simulated).toHaveLength(4);
		for (const { periodMs, sideMs, mainMs } of simulated)
			expect(periodMs).toBeGreaterThanOrEqual(0.99 * Math.max(sideMs, mainMs));
		expect(stdout.split('\n').filter((row) => row.startsWith('|'))).toHaveLength(
			line.length + 6 + simulated.length + 6,
		);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
});
