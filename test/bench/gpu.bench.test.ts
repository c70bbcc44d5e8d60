// scripts/bench-gpu in its small form: a tenth of the width, on the CPU. Its figures are for whoever has a GPU.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../scripts/bench-gpu.mjs', import.meta.url));
const bench = (flags: string[], env: NodeJS.ProcessEnv = {}) =>
	spawnSync(process.execPath, [script, ...flags], {
		encoding: 'utf8',
		env: { ...process.env, OMP_NUM_THREADS: '1', ...env },
		timeout: 240_000,
	});

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-bench-gpu-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('scripts/bench-gpu', () => {
	it('measures each stage and the whole, in onnxruntime and in PyTorch', { timeout: 240_000 }, async () => {
		const json = join(folder, 'gpu.json');
		const { status, stdout, stderr } = bench(['--small', '--json', json]);
		expect({ status, stderr }, stderr).toMatchObject({ status: 0 });
		const { measured } = JSON.parse(await readFile(json, 'utf8'));
		expect(measured.map(({ what }: { what: string }) => what)).toEqual(['onnxruntime, cpu', 'PyTorch']);
		for (const { what, facts, rows } of measured) {
			expect(facts, what).not.toContain('not measured');
			expect(rows.map(({ batch }: { batch: number }) => batch)).toEqual([1, 2]);
			for (const row of rows)
				for (const figure of ['teMs', 'vaeEncodeMs', 'condMs', 'unetMs', 'vaeDecodeMs', 'lawFps', 'fps', 'memoryMiB'])
					expect(row[figure], `${what} ${figure}`).toBeGreaterThan(0);
			expect(stdout).toContain(`### ${what}`);
		}
		expect(stdout).not.toMatch(/NaN|undefined|no room/);
	});

	it('says that there is no GPU, and ends well', { timeout: 120_000 }, () => {
		const hidden = { VK_DRIVER_FILES: '/dev/null', VK_ICD_FILENAMES: '/dev/null', CUDA_VISIBLE_DEVICES: '-1' };
		const { status, stdout } = bench([], hidden);
		expect(status).toBe(0);
		expect(stdout).toContain('There is no GPU that onnxruntime could use here, so nothing was measured');
		for (const provider of ['cuda', 'webgpu']) expect(stdout).toMatch(new RegExp(`- ${provider}: .+`));
	});

	it('refuses what it does not understand', () => {
		for (const flags of [
			['--batches', '1,x'],
			['--runs', '0'],
			['--size', 'large'],
		])
			expect(bench(flags)).toMatchObject({ status: 2, stderr: expect.stringContaining('expected') });
	});
});
