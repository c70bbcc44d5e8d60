import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** What it paints at. */
export const TINY = { width: 96, height: 64 };

/** A causal transformer of random weights as a model folder: a window of three frames, one of them a sink. */
export const exportTinyDit = async (): Promise<{ folder: string } & AsyncDisposable> => {
	const parent = await mkdtemp(join(tmpdir(), 'allaprima-causal-dit-'));
	const folder = join(parent, 'tiny-dit');
	const flags = ['--tiny', '--frames', '3', '--sinks', '1', '--stream', '12', '--out', folder];
	await promisify(execFile)('/usr/bin/python3', ['-m', 'training.causal_dit.export', ...flags], {
		cwd: fileURLToPath(new URL('../..', import.meta.url)),
		env: { ...process.env, OMP_NUM_THREADS: '1' },
	});
	return { folder, [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }) };
};
