// The step that fetches CUDA's libraries, where there is no GPU: a stand-in for nvidia-smi, and onnxruntime's own script behind a proxy
// that is not there. What it fetches was never run.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const BIN = 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64';
const LIBRARIES = ['libonnxruntime_providers_cuda.so', 'libonnxruntime_providers_shared.so'];

let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-cuda-'));
	await mkdir(join(folder, 'scripts'));
	await copyFile(join(root, 'scripts/setup-cuda'), join(folder, 'scripts/setup-cuda'));
	await mkdir(join(folder, BIN), { recursive: true });
	await mkdir(join(folder, 'bin'));
	for (const program of [
		'bash',
		'awk',
		'ldd',
		'grep',
		'head',
		'tail',
		'sort',
		'paste',
		'rm',
		'mkdir',
		'uname',
		'env',
		'dirname',
		'readlink',
	])
		await symlink(spawnSync('which', [program], { encoding: 'utf8' }).stdout.trim(), join(folder, 'bin', program));
	await symlink(process.execPath, join(folder, 'bin/node'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const setUp = (env: NodeJS.ProcessEnv = {}) => {
	const path = join(folder, 'bin');
	const { status, stderr } = spawnSync(join(folder, 'scripts/setup-cuda'), {
		encoding: 'utf8',
		env: { PATH: path, HOME: folder, ...env },
		timeout: 60_000,
	});
	return { status, stderr };
};

const nvidiaSays = async (script: string) => {
	await writeFile(join(folder, 'bin/nvidia-smi'), `#!/bin/bash\n${script}\n`);
	await chmod(join(folder, 'bin/nvidia-smi'), 0o755);
};

/** Instead of onnxruntime's script, which asks NuGet. */
const fetching = async (script: string) => {
	await mkdir(join(folder, 'node_modules/onnxruntime-node/script'));
	await writeFile(
		join(folder, 'node_modules/onnxruntime-node/script/install.js'),
		`const { copyFileSync, writeFileSync } = require('node:fs');
process.chdir(${JSON.stringify(join(folder, BIN))});
if (process.argv[2] !== '--onnxruntime-node-install=cuda12') throw new Error('asked for ' + process.argv[2]);
${script}`,
	);
};
const left = async () => (await readdir(join(folder, BIN))).sort();

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('scripts/setup-cuda', () => {
	it('says that there is no driver of NVIDIA', () => {
		expect(setUp()).toMatchObject({
			status: 4,
			stderr: expect.stringMatching(/nvidia-smi is missing.*--provider webgpu/),
		});
	});

	it.each([
		['echo "NVIDIA-SMI has failed"; echo more; exit 9', /driver does not work: NVIDIA-SMI has failed$/m],
		['echo "No devices were found"', /names no GPU: No devices were found$/m],
		['echo "470.256.02, NVIDIA GeForce GTX 970"', /the driver is 470\.256\.02, expected 525\.60\.13 or newer/],
		['echo "525.60.12, NVIDIA T4"', /the driver is 525\.60\.12, expected/],
	])('refuses a driver that says %s', async (script, message) => {
		await nvidiaSays(script);
		expect(setUp()).toMatchObject({ status: 4, stderr: expect.stringMatching(message) });
	});

	it('says that there is no network, with the reason, and leaves nothing', async () => {
		await nvidiaSays('echo "550.54.15, NVIDIA H100"');
		await cp(join(root, 'node_modules/onnxruntime-node/script'), join(folder, 'node_modules/onnxruntime-node/script'), {
			recursive: true,
		});
		for (const name of await readdir(join(root, 'node_modules')))
			if (!name.startsWith('onnxruntime-node') && !name.startsWith('.'))
				await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
		expect(setUp({ https_proxy: 'http://127.0.0.1:9' })).toMatchObject({
			status: 4,
			stderr: expect.stringMatching(/could not be fetched from NuGet \(Error: connect ECONNREFUSED 127\.0\.0\.1:9\)/),
		});
		expect(await left()).toEqual([]);
	});

	it('leaves no library that was cut short', async () => {
		await nvidiaSays('echo "550.54.15, NVIDIA H100"');
		await fetching(`writeFileSync('${LIBRARIES[0]}', 'half'); throw new Error('no space left on device');`);
		expect(setUp()).toMatchObject({ status: 4, stderr: expect.stringContaining('(Error: no space left on device)') });
		expect(await left()).toEqual([]);
	});

	it('names the libraries of CUDA that are missing, and is content where none is', async () => {
		await nvidiaSays('echo "550.54.15, NVIDIA H100"');
		await writeFile(join(folder, 'f.c'), 'void f(void) {}');
		const compile = (out: string, ...flags: string[]) =>
			expect(spawnSync('g++', ['-shared', '-fPIC', '-x', 'c', join(folder, 'f.c'), '-o', out, ...flags]).status).toBe(
				0,
			);
		await mkdir(join(folder, 'cuda'));
		compile(join(folder, 'cuda/libcudnn_of_a_test.so.9'));
		const linked = ['-Wl,--no-as-needed', `-L${join(folder, 'cuda')}`, '-l:libcudnn_of_a_test.so.9'];
		compile(join(folder, 'made.so'), ...linked);
		await fetching(
			`for (const name of ${JSON.stringify(LIBRARIES)}) copyFileSync(${JSON.stringify(join(folder, 'made.so'))}, name);`,
		);
		expect(setUp()).toMatchObject({
			status: 4,
			stderr: expect.stringMatching(/not those of CUDA 12 and cuDNN 9: libcudnn_of_a_test\.so\.9\. /),
		});
		// Fetched once is enough.
		await rm(join(folder, 'node_modules/onnxruntime-node/script'), { recursive: true });
		const { status, stderr } = setUp({ LD_LIBRARY_PATH: join(folder, 'cuda') });
		expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
		expect(await left()).toEqual(LIBRARIES);
	});
});

it.skipIf(existsSync(join(root, BIN, LIBRARIES[0]!)))(
	'allaprima run --provider cuda says how to get the libraries',
	() => {
		const args = ['run', '--provider', 'cuda', '--source', 'scene', '--frames', '1', '--pace', 'max', '--sink', 'null'];
		const { status, stderr } = spawnSync(process.execPath, [join(root, 'dist/cli.js'), ...args], { encoding: 'utf8' });
		expect(status).toBeGreaterThan(0);
		expect(stderr).toMatch(/The provider cuda cannot run .*\.\/scripts\/setup --cuda fetches its libraries/);
	},
);
