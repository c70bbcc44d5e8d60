import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Two threads of torch wait for each other whenever somebody else has a core. */
const options = { cwd: root, env: { ...process.env, OMP_NUM_THREADS: '1' } };

/** Writes a checkpoint of a tenth of every width into `folder`/checkpoint. */
export const writeTenthCheckpoint = async (folder: string): Promise<string> => {
	const checkpoint = join(folder, 'checkpoint');
	await promisify(execFile)('/usr/bin/python3', ['-m', 'training.dreamlite.tenth', checkpoint], options);
	return checkpoint;
};

/** Runs training/export-dreamlite on it. */
export const exportTenth = async (checkpoint: string, out: string, flags: readonly string[]): Promise<void> => {
	await promisify(execFile)(
		join(root, 'training', 'export-dreamlite'),
		[checkpoint, '--any-size', '--adapter', join(checkpoint, 'temporal_lllite.safetensors'), '--out', out, ...flags],
		options,
	);
};
