// The sidecar starts with OBS where the streamer wants that, stays, and ends with it. `get_state` tells what the filter's
// dialog shows.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { enginePids, until } from '../support/engines.ts';
import { Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const cli = path('../../dist/cli.js');
const echo = [process.execPath, path('../support/obs-echo.process.mjs')];

interface Launch {
	state: 'off' | 'waiting' | 'running' | 'failed';
	problem: string;
	pid?: number;
}

const folders: string[] = [];
let obs: Obs | undefined;
afterEach(async () => {
	if (obs?.isRunning) await stopped();
	await obs?.[Symbol.asyncDispose]();
	obs = undefined;
	for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** An OBS whose plugin finds this in autostart.json. */
const start = async (autostart: object | string, mode = 0o600): Promise<Obs> => {
	const folder = mkdtempSync(join(tmpdir(), 'obs-'));
	folders.push(folder);
	const configuration = join(folder, 'config/obs-studio/plugin_config/allaprima');
	mkdirSync(configuration, { recursive: true });
	const text = typeof autostart === 'string' ? autostart : JSON.stringify(autostart);
	writeFileSync(join(configuration, 'autostart.json'), text, { mode });
	obs = await Obs.start({ folder });
	return obs;
};
const command = ([program = '', ...words]: string[]) => ({
	enabled: true,
	program,
	arguments: words.map((value) => ({ value })),
});
const launchOf = async ({ vendor }: { vendor: Obs['vendor'] }) =>
	(await vendor<{ launch: Launch }>('get_state')).launch;
const launch = (of = obs!) => launchOf({ vendor: of.vendor.bind(of) });

/** Resolves with the process that OBS started, other than `before`. */
const started = async (before?: number): Promise<number> => {
	let pid: number | undefined;
	await obs!.until(async () => {
		pid = (await launch()).pid;
		return pid !== undefined && pid !== before;
	}, 'a sidecar started by OBS');
	return pid!;
};
const connected = () =>
	obs!.until(async () => (await obs!.state()).sidecar === 'connected', 'the sidecar connected', 30_000);

/** OBS 29 itself may crash in the first paint of its window when it is ended before that. */
const stopped = async () => {
	await new Promise((resolve) => setTimeout(resolve, 1500));
	return await obs!.stop();
};

/** Of /proc: gone, or a zombie, or running. */
const stateOf = (pid: number): string => {
	try {
		return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]![0]!;
	} catch {
		return 'gone';
	}
};
const hasEnded = (pid: number, timeoutMs?: number) => until(() => stateOf(pid) === 'gone', timeoutMs);
const filesOf = (pid: number): string[] =>
	readdirSync(`/proc/${pid}/fd`).flatMap((file) => {
		try {
			return [readlinkSync(`/proc/${pid}/fd/${file}`)];
		} catch {
			return []; // closed meanwhile
		}
	});
const said = (what: RegExp) => obs!.pluginLog().filter((line) => what.test(line));

it('the real sidecar starts with OBS, paints, and ends with it', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'obs-'));
	folders.push(folder);
	mkdirSync(join(folder, 'config/allaprima'), { recursive: true });
	const size = { width: 256, height: 160 };
	writeFileSync(
		join(folder, 'config/allaprima/allaprima.json'),
		JSON.stringify({ source: 'obs', size, provider: 'cpu', http: 'off' }),
	);
	const environment = { ...process.env, HOME: folder, XDG_CONFIG_HOME: join(folder, 'config') };
	const allaprima = async (...words: string[]) =>
		(await promisify(execFile)(process.execPath, [cli, 'obs', ...words], { env: environment })).stdout;
	expect(await allaprima('install', '--autostart')).toMatch(/starts with OBS/);
	expect(await allaprima('status')).toMatch(/ok +start with OBS +.*cli\.js run\n/);

	obs = await Obs.start({ folder });
	await obs.addClip('Show', 'Camera');
	await obs.addFilter('Camera', { failure: 'passthrough', style: 'oil-painting' });
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Show' });
	const pid = await started();
	await obs.until(async () => (await obs!.stream()).framesShown >= 10, 'ten paintings', 45_000);
	const engines = enginePids(pid);
	expect(engines).toHaveLength(1);

	const { code, leaks } = await obs.stop();
	expect([code, leaks]).toEqual([0, 0]);
	expect(stateOf(pid)).toBe('gone');
	await hasEnded(engines[0]!, 5000);
	expect(said(/killed/)).toEqual([]);
	expect(await allaprima('install', '--no-autostart')).toMatch(/does not start/);
}, 90_000);

describe('a sidecar that was started', () => {
	it('has nothing of OBS, and its words are kept in a file of two MiB at most', async () => {
		const shouting = `setInterval(() => process.stderr.write('x'.repeat(65535) + '\\n'), 5)`;
		await start(command([process.execPath, '-e', shouting]));
		const pid = await started();
		const ofObs = new Set(filesOf(obs!.pid).filter((file) => !/^\/dev\/null|^anon_inode/.test(file)));
		const pipes = filesOf(pid).filter((file) => ofObs.has(file));
		expect(new Set(pipes).size).toBe(1); // its words
		const log = join(obs!.folder, 'config/obs-studio/plugin_config/allaprima');
		const sizes = () =>
			readdirSync(log, { withFileTypes: true })
				.filter(({ name }) => name.startsWith('sidecar.log'))
				.map(({ name }) => readFileSync(join(log, name)).length);
		await until(() => sizes().length === 2);
		await new Promise((resolve) => setTimeout(resolve, 1000));
		expect(sizes().length).toBe(2);
		expect(Math.max(...sizes())).toBeLessThanOrEqual(1024 * 1024);
	});

	it('ends when OBS is killed', async () => {
		await start(command(echo));
		const pid = await started();
		await connected();
		process.kill(obs!.pid, 'SIGKILL');
		await hasEnded(pid, 5000);
		expect(stateOf(pid)).toBe('gone');
	});

	it('is back when it was killed', async () => {
		await start(command(echo));
		const pid = await started();
		await connected();
		process.kill(pid, 'SIGKILL');
		await started(pid);
		await connected();
		expect(stateOf(pid)).toBe('gone');
		expect(said(/the sidecar has gone: it was ended by signal 9; starting it again/)).toHaveLength(1);
		expect(await stopped()).toMatchObject({ leaks: 0 });
	});

	it('is killed where it does not want to end', async () => {
		const stubborn = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)`;
		await start(command([process.execPath, '-e', stubborn]));
		const pid = await started();
		expect(await stopped()).toMatchObject({ leaks: 0 });
		expect(stateOf(pid)).toBe('gone');
		expect(said(/is killed/)).toHaveLength(1);
	});

	it('is given up when it always ends at once, and its last words are told', async () => {
		await start(command(['/bin/sh', '-c', 'echo "no model"; exit 3']));
		await obs!.until(async () => (await launch()).problem !== '', 'a problem');
		expect(await launch()).toMatchObject({ problem: 'it ended with code 3: no model' });
		await obs!.until(async () => (await launch()).state === 'failed', 'giving up', 60_000);
		expect(said(/starting it again/)).toHaveLength(5);
	}, 90_000);
});

describe('none is started', () => {
	it.each([
		['without the file of choice', undefined],
		['where it is off', { ...command(echo), enabled: false }],
	])('%s', async (_, autostart) => {
		if (autostart) await start(autostart);
		else obs = await Obs.start();
		await obs!.until(async () => (await launch()).state === 'off');
		expect(await launch()).toEqual({ state: 'off', problem: '' });
	});

	it('where one already serves this OBS; when that has gone, there is one', async () => {
		const folder = mkdtempSync(join(tmpdir(), 'obs-'));
		folders.push(folder);
		mkdirSync(join(folder, 'run'), { mode: 0o700 });
		const configuration = join(folder, 'config/obs-studio/plugin_config/allaprima');
		mkdirSync(configuration, { recursive: true });
		writeFileSync(join(configuration, 'autostart.json'), JSON.stringify(command(echo)), { mode: 0o600 });
		const other = await ObsEcho.start(join(folder, 'run'));
		obs = await Obs.start({ folder });
		await connected();
		await new Promise((resolve) => setTimeout(resolve, 3000));
		expect(await launch()).toEqual({ state: 'waiting', problem: '' });
		await other.kill();
		await started();
		await connected();
	});

	it.each([
		['no JSON', '{"enabled": tru', /is no JSON object/],
		['an array', '[1]', /is no JSON object/],
		['much too much', `{"enabled": true, "x": "${'x'.repeat(70_000)}"}`, /is too large/],
		['nothing to start', { enabled: true }, /says nothing to start/],
		['a program that is searched for', command(['node', '-e', '0']), /no absolute path/],
		['arguments that are no objects', { ...command(echo), arguments: ['-e', '0'] }, /arguments that are none/],
		['arguments that are numbers', { ...command(echo), arguments: [{ value: 7 }] }, /arguments that are none/],
		['too many arguments', command([...echo, ...Array<string>(40).fill('x')]), /arguments that are none/],
		['a program that is not there', command(['/nowhere/node', 'x']), /\/nowhere\/node: No such file/],
		['a program that is none', command([path('autostart.test.ts'), 'x']), /Permission denied|Exec format/],
	])('with %s, and the filter says so', async (_, autostart, problem) => {
		await start(autostart);
		await obs!.until(async () => (await launch()).state === 'failed', 'giving up');
		expect((await launch()).problem).toMatch(problem);
		expect(said(/the sidecar could not be started/)).toHaveLength(1);
		expect(await stopped()).toMatchObject({ leaks: 0 });
	});

	it('from a file that others can write', async () => {
		const before = process.umask(0);
		try {
			await start(command(echo), 0o666);
		} finally {
			process.umask(before);
		}
		await obs!.until(async () => (await launch()).state === 'failed', 'giving up');
		expect((await launch()).problem).toMatch(/can be written by others/);
	});
});
