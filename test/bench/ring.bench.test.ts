// The benchmark of the ring in its small form, so that it runs when it is wanted.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('./ring.bench.mjs', import.meta.url));

it('measures the ring and its peer', async () => {
	const { stdout } = await promisify(execFile)(process.execPath, [script, '--small']);
	const rows = stdout.trim().split('\n').slice(2, -1);
	expect(rows).toHaveLength(3);
	for (const row of rows) {
		const [p50, p95, p99] = row.trim().split(/ +/).slice(-3).map(Number);
		expect(p50).toBeGreaterThan(0);
		expect(p95).toBeGreaterThanOrEqual(p50!);
		expect(p99).toBeGreaterThanOrEqual(p95!);
	}
});
