// The table of scenes from run to run: real sidecars one after the other, with an OBS that is not there.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ScenesAnswer } from '../../sidecar/control/http/schemas.ts';
import { openTemporaryFolder } from '../support/clips.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const ROWS = [{ scene: 'Interview', style: 'pencil-sketch' }];

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeEach(async () => {
	folder = await openTemporaryFolder();
	await mkdir(folder.at('home/.config/allaprima'), { recursive: true });
});
afterEach(async () => {
	await folder[Symbol.asyncDispose]();
});

/** One run, asked by `ask` through its API; it ends afterwards. */
const during = async <T>(ask: (url: URL) => Promise<T>): Promise<T> => {
	const args = ['--size', '256x160', '--fps', '8', '--provider', 'cpu', '--http', '0', '--log-json'];
	const child = spawn(process.execPath, [cli, 'run', ...args], {
		// With a password OBS is in use.
		env: { PATH: process.env['PATH'], HOME: folder.at('home'), ALLAPRIMA_OBS_PASSWORD: 'nobody asks' },
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	const exited = once(child, 'exit');
	try {
		for await (const line of createInterface({ input: child.stderr })) {
			const url = /"url":"(http:[^"]+)"/.exec(line)?.[1];
			if (!url) continue;
			child.stderr.resume();
			return await ask(new URL('/api/scenes', url));
		}
		throw new Error('the sidecar ended before its page was there');
	} finally {
		child.kill('SIGTERM');
		await exited;
	}
};

const put = async (url: URL): Promise<ScenesAnswer> => {
	const response = await fetch(url, {
		method: 'PUT',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify({ scenes: ROWS }),
	});
	return (await response.json()) as ScenesAnswer;
};

const rowsOf = async (url: URL) => ((await (await fetch(url)).json()) as ScenesAnswer).scenes;

test('is there again without a configuration file, until a configuration has one of its own', async () => {
	expect((await during(put)).keptIn).toBe(folder.at('home/.local/share/allaprima/scenes.json'));
	expect(await during(rowsOf)).toEqual(ROWS);
	await writeFile(folder.at('home/.config/allaprima/allaprima.json'), '{ "obs": { "scenes": {} } }');
	expect(await during(rowsOf)).toEqual([]);
});

test('is there again from the configuration file', async () => {
	const path = folder.at('home/.config/allaprima/allaprima.json');
	await writeFile(path, '{\n  "fadeS": 1\n}\n');
	await chmod(path, 0o600);
	expect(await during(put)).toMatchObject({ scenes: ROWS, keptIn: path });
	expect(await readFile(path, 'utf8')).toBe(
		'{\n  "fadeS": 1,\n  "obs": {\n    "scenes": {\n      "Interview": "pencil-sketch"\n    }\n  }\n}\n',
	);
	expect(await during(rowsOf)).toEqual(ROWS);
});
