import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readAutostart, writeAutostart } from './obs-autostart.ts';
import { isSidecarError, SidecarError } from '../errors.ts';
import { printTable, printValue } from './print.ts';

const PLUGIN = fileURLToPath(new URL('../../obs-bridge/plugin/', import.meta.url));
const BUILT = join(PLUGIN, 'build', 'allaprima.so');

/** Where OBS of this user looks for plugins. Errors: ERR_CONFIG where that is not known. */
export const pluginFolder = (
	environment: Record<string, string | undefined>,
	platform: NodeJS.Platform = process.platform,
): string => {
	if (platform !== 'linux')
		throw new SidecarError(
			'ERR_CONFIG',
			`The plugin is built on Linux so far, and this is ${platform}; docs/obs.md says where it belongs there.`,
		);
	return join(obsFolder(environment), 'plugins', 'allaprima');
};

/** OBS's own folder in this user's configuration. */
const obsFolder = (environment: Record<string, string | undefined>): string =>
	join(environment['XDG_CONFIG_HOME'] || join(environment['HOME'] || homedir(), '.config'), 'obs-studio');

const installedLibrary = (folder: string): string => join(folder, 'bin', '64bit', 'allaprima.so');

/**
 * `allaprima obs install`: puts the plugin that was built into this user's OBS, and tells it how the sidecar is started;
 * whether it is, changes only with `autostart`. Errors: ERR_RUNTIME, ERR_CONFIG.
 */
export const installPlugin = async ({
	environment,
	json,
	autostart,
}: ObsOptions & { autostart?: boolean }): Promise<void> => {
	const folder = pluginFolder(environment);
	if (!(await exists(BUILT)))
		throw new SidecarError(
			'ERR_RUNTIME',
			'The plugin is not built. Install what it needs (on Debian: apt-get install obs-studio libobs-dev) and run ./scripts/setup.',
		);
	const library = installedLibrary(folder);
	let enabled: boolean;
	try {
		await mkdir(dirname(library), { recursive: true });
		await rm(join(folder, 'data'), { recursive: true, force: true });
		await cp(join(PLUGIN, 'data'), join(folder, 'data'), { recursive: true });
		// A running OBS has the old library mapped: it keeps that one until it is started again.
		await cp(BUILT, `${library}.new`);
		await rename(`${library}.new`, library);
		enabled = await writeAutostart(obsFolder(environment), environment, autostart);
	} catch (cause) {
		if (isSidecarError(cause)) throw cause;
		const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
		throw new SidecarError('ERR_CONFIG', `${folder} cannot be written (${code}). Check its permissions.`, { cause });
	}
	if (json) return printValue({ installed: library, autostart: enabled });
	process.stdout.write(
		`installed ${library}\n` +
			'Start OBS (again), and add the filter "Alla Prima" to a source.\n' +
			`The painter ${enabled ? 'starts with OBS' : 'does not start with OBS by itself; --autostart, or OBS: Tools, Alla Prima'}.\n`,
	);
};

interface ObsOptions {
	environment: Record<string, string | undefined>;
	json: boolean;
}

interface Finding {
	what: string;
	ok: boolean;
	detail: string;
}

/** `allaprima obs status`: gives the exit code, 4 where something is missing. */
export const obsStatus = async ({ environment, json }: ObsOptions): Promise<number> => {
	const folder = pluginFolder(environment);
	const findings = [await findObs(), await findPlugin(folder), await findAutostart(obsFolder(environment))];
	if (json) printValue(findings);
	else printTable(findings.map(({ what, ok, detail }) => [ok ? 'ok' : 'missing', what, detail]));
	return findings.every(({ ok }) => ok) ? 0 : 4;
};

const findObs = async (): Promise<Finding> => {
	const what = 'OBS Studio';
	try {
		const { stdout } = await promisify(execFile)('obs', ['--version'], { timeout: 10_000 });
		const version = /(\d+)\.\d+\.\d+/.exec(stdout);
		if (!version) return { what, ok: false, detail: `obs --version says nothing known: ${stdout.trim()}` };
		const ok = Number(version[1]) >= 29;
		return { what, ok, detail: ok ? version[0] : `${version[0]} is too old; 29 or newer is needed` };
	} catch {
		return { what, ok: false, detail: 'not found; on Debian: apt-get install obs-studio' };
	}
};

const findPlugin = async (folder: string): Promise<Finding> => {
	const what = 'plugin';
	const library = installedLibrary(folder);
	if (!(await exists(library))) return { what, ok: false, detail: 'not installed; run: allaprima obs install' };
	if ((await exists(BUILT)) && (await digest(BUILT)) !== (await digest(library)))
		return { what, ok: false, detail: `${library} is not the one that was built; run: allaprima obs install` };
	return { what, ok: true, detail: library };
};

const findAutostart = async (folder: string): Promise<Finding> => {
	const what = 'start with OBS';
	const { enabled, command } = await readAutostart(folder);
	if (!enabled) return { what, ok: true, detail: 'off' };
	const missing = command.slice(0, 2).find((path) => !existsSync(path));
	if (missing !== undefined) return { what, ok: false, detail: `${missing} is not there; run: allaprima obs install` };
	return { what, ok: true, detail: command.join(' ') };
};

const exists = (path: string): Promise<boolean> =>
	stat(path).then(
		() => true,
		() => false,
	);

const digest = async (path: string): Promise<string> =>
	createHash('sha256')
		.update(await readFile(path))
		.digest('hex');
