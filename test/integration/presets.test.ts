// Presets as an artist has them: files that are saved while `allaprima run` paints, and one that is given away.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ServerState } from '../../sidecar/control/http/served.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { presetOf } from '../support/frames.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const PATIENCE = { timeout: 30_000, interval: 50 };

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let sidecar: ChildProcess;
let url: string;
const said: string[] = [];

const environment = () => ({ PATH: process.env['PATH'], HOME: folder.at('home'), XDG_DATA_HOME: folder.at('data') });
const own = (name: string) => folder.at(`data/allaprima/presets/${name}`);

const allaprima = (...args: string[]) =>
	spawnSync(process.execPath, [cli, ...args], {
		encoding: 'utf8',
		env: environment(),
		cwd: folder.at('.'),
		timeout: 60_000,
	});

/** As editors do that never leave half a file. */
const save = (name: string, text: string): void => {
	mkdirSync(own('.'), { recursive: true });
	writeFileSync(own(`.${name}.swp`), text);
	renameSync(own(`.${name}.swp`), own(name));
};

const get = async <T>(path: string): Promise<T> => (await (await fetch(new URL(path, url))).json()) as T;
const names = async () => (await get<{ name: string }[]>('/api/presets')).map(({ name }) => name);
const control = async () => (await get<ServerState>('/api/state')).control;

beforeAll(async () => {
	folder = await openTemporaryFolder();
	const args = ['--size', '256x160', '--fps', '8', '--provider', 'cpu', '--http', '0', '--log-json'];
	sidecar = spawn(process.execPath, [cli, 'run', ...args], { env: environment(), stdio: ['ignore', 'ignore', 'pipe'] });
	const lines = createInterface({ input: sidecar.stderr! });
	lines.on('line', (line) => said.push(line));
	url = await new Promise((resolve, reject) => {
		lines.on('line', (line) => {
			const found = /"url":"(http:[^"]+)"/.exec(line)?.[1];
			if (found) resolve(found);
		});
		sidecar.on('exit', () => reject(new Error(`ended before its page was there: ${said.join('\n')}`)));
	});
	await vi.waitUntil(async () => (await fetch(new URL('/readyz', url))).ok, PATIENCE);
});
afterAll(async () => {
	const exited = once(sidecar, 'exit');
	sidecar.kill('SIGTERM');
	await exited;
	await folder[Symbol.asyncDispose]();
});

describe('a preset file that is saved while it paints', () => {
	const preset = presetOf('mine', { title: 'Mine', prompt: 'transfer this to woodcut style' });

	test('is there to choose, and follows its file while it is in force', async () => {
		expect(await names()).not.toContain('mine');
		save('mine.style.json', JSON.stringify(preset));
		await expect.poll(names, PATIENCE).toContain('mine');
		const { presetsRevision } = await control();
		expect(presetsRevision).toBeGreaterThan(0);
		const port = String(Number(new URL(url).port));
		expect(allaprima('style', 'mine', '--port', port)).toMatchObject({ status: 0, stdout: 'mine\n' });
		const { epoch } = await control();
		save('mine.style.json', JSON.stringify({ ...preset, prompt: 'transfer this to linocut style' }));
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe('transfer this to linocut style');
		expect(await control()).toMatchObject({ style: 'mine', epoch: epoch + 1, presetsRevision: presetsRevision + 1 });
	});

	test('stays as it was while it is broken, and the log says where', async () => {
		save('mine.style.json', JSON.stringify({ ...preset, strength: 3 }, null, '\t'));
		await expect
			.poll(() => said.find((line) => line.includes('preset stays as it was')), PATIENCE)
			.toContain(`${own('mine.style.json')}:8:14 strength: expected a number from 0 to 1, found 3`);
		expect(await names()).toContain('mine');
		expect(await control()).toMatchObject({ style: 'mine', prompt: 'transfer this to linocut style', strength: 1 });
	});
});

describe('what is painted now', () => {
	test('is kept, given away, removed and taken back', async () => {
		const port = String(Number(new URL(url).port));
		const kept = allaprima('presets', 'save', 'kept', '--title', 'As seen', '--port', port);
		expect(kept, kept.stderr).toMatchObject({ status: 0, stderr: '', stdout: `kept  ${own('kept.style.json')}\n` });
		await expect.poll(names, PATIENCE).toContain('kept');
		expect(allaprima('presets', 'save', 'kept', '--port', port)).toMatchObject({
			status: 2,
			stderr: 'allaprima: There is a preset kept of yours already. Choose another name.\n',
		});
		const files = () => readdirSync(own('.')).filter((name) => name.startsWith('kept'));
		const contents = () => files().map((name) => readFileSync(own(name), 'base64'));
		expect(files()).toEqual(['kept.style.json', 'kept.thumbnail.png']);
		const before = contents();

		expect(allaprima('presets', 'export', 'kept')).toMatchObject({ status: 0, stdout: 'kept  kept.allaprima-style\n' });
		expect(allaprima('presets', 'export', 'kept')).toMatchObject({
			status: 2,
			stderr: 'allaprima: kept.allaprima-style is there already. --force replaces it.\n',
		});
		expect(allaprima('presets', 'check', 'kept.allaprima-style', own('kept.style.json')).status).toBe(0);
		expect(allaprima('presets', 'remove', 'kept').status).toBe(0);
		expect(files()).toEqual([]);
		await expect.poll(names, PATIENCE).not.toContain('kept');

		expect(allaprima('presets', 'import', 'kept.allaprima-style').status).toBe(0);
		expect(files()).toEqual(['kept.style.json', 'kept.thumbnail.png']);
		expect(contents()).toEqual(before);
		expect(allaprima('presets', 'import', 'kept.allaprima-style')).toMatchObject({ status: 2 });
		expect(allaprima('presets', 'import', 'kept.allaprima-style', '--force')).toMatchObject({ status: 0 });
		await expect.poll(names, PATIENCE).toContain('kept');
	});

	test('needs a sidecar', () => {
		const { status, stderr } = allaprima('presets', 'save', 'other', '--port', '1');
		expect([status, stderr]).toEqual([1, expect.stringContaining('No allaprima answers')]);
	});
});

describe('one that stands for ours', () => {
	test('is said to, and ours is back when it is removed', () => {
		writeFileSync(folder.at('oil.allaprima-style'), '');
		expect(allaprima('presets', 'export', 'oil-painting', 'oil.allaprima-style', '--force').status).toBe(0);
		const imported = allaprima('presets', 'import', 'oil.allaprima-style');
		expect(imported).toMatchObject({
			status: 0,
			stderr: 'oil-painting now stands for the one that comes with Alla Prima, until: presets remove oil-painting\n',
		});
		expect(allaprima('presets', 'remove', 'oil-painting').stderr).toBe(
			'oil-painting is the one that comes with Alla Prima again\n',
		);
		const again = allaprima('presets', 'remove', 'oil-painting');
		expect([again.status, again.stderr]).toEqual([2, expect.stringContaining('Only your own can be removed')]);
		expect(allaprima('presets', 'show', 'oil-painting').status).toBe(0);
	});
});
