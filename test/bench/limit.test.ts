// What the share of the convolution peak is made of: the chain that gives the peak, and the rounds.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import '../../sidecar/inference/no-telemetry.ts';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, expect, it } from 'vitest';

const { compareRounds } = (await import(new URL('../../scripts/benchmark/limit.mjs', import.meta.url).href)) as {
	compareRounds: (
		times: number[][],
		work: number,
	) => Record<'chainMs' | 'mainMs' | 'share' | 'fastest', number> & { half: number[] };
};
const script = fileURLToPath(new URL('../../scripts/benchmark/limit.py', import.meta.url));

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'allaprima-limit-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Event {
	cat: string;
	name: string;
	args?: { op_name?: string };
}

it.each([
	['fp32', 'Conv'],
	['int8', 'QLinearConv'],
])('the peak in %s is of convolutions in that alone', async (precision, operator) => {
	const path = join(folder, `${precision}.onnx`);
	execFileSync('/usr/bin/python3', [script, 'convolutions', path, precision]);
	const profileFilePrefix = join(folder, precision);
	const session = await ort.InferenceSession.create(path, {
		intraOpNumThreads: 1,
		logSeverityLevel: 4,
		enableProfiling: true,
		profileFilePrefix,
	});
	await session.run({ x: new ort.Tensor('float32', new Float32Array(64 * 72 * 128), [1, 64, 72, 128]) });
	session.endProfiling();
	await session.release();
	const file = (await readdir(folder)).find((one) => one.startsWith(precision) && one.endsWith('.json'))!;
	const events = JSON.parse(await readFile(join(folder, file), 'utf8')) as Event[];
	const ran = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'));
	const convolutions = ran.map(({ args }) => args?.op_name ?? '').filter((name) => name.endsWith('Conv'));
	expect(convolutions).toEqual(Array.from({ length: 8 }, () => operator));
});

it('a clock that slows down, a lucky run and disturbed ones leave the share as it is', () => {
	const rounds = Array.from({ length: 21 }, (_, i) => [10, 12, 8].map((ms) => (i < 7 ? ms : 2 * ms)));
	rounds[3] = [5, 12, 8];
	rounds[5] = [10, 60, 8];
	rounds[9] = [80, 24, 16];
	const { share, half, chainMs, mainMs } = compareRounds(rounds, 0.5);
	expect(share).toBe(0.25);
	expect(half).toEqual([0.25, 0.25]);
	expect([chainMs, mainMs]).toEqual([20, 40]);
});

it('the fastest runs of both sides need not be of one round', () => {
	const rounds = [
		[10, 30, 10],
		[20, 10, 10],
		[30, 30, 10],
	];
	expect(compareRounds(rounds, 1)).toMatchObject({ fastest: 0.5, share: 0.75 });
});
