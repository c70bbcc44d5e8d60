import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfiguration } from '../config/load-config.ts';

const CLI = join(fileURLToPath(new URL('../../', import.meta.url)), 'dist', 'cli.js');

/**
 * What the plugin reads to start the sidecar with OBS (obs-bridge/plugin/launch-settings.c): an absolute path, and
 * arguments as objects, for libobs knows no lists of strings.
 */
interface Autostart {
	enabled: boolean;
	program: string;
	arguments: { value: string }[];
}

/** Where OBS keeps the configuration of plugins. */
export const autostartPath = (obsFolder: string): string =>
	join(obsFolder, 'plugin_config', 'allaprima', 'autostart.json');

/** Whether the sidecar starts with OBS, and how; a file that is none is as no file: it does not. */
export const readAutostart = async (obsFolder: string): Promise<{ enabled: boolean; command: string[] }> => {
	try {
		const { enabled, program, ...rest } = JSON.parse(await readFile(autostartPath(obsFolder), 'utf8')) as Autostart;
		return { enabled: enabled === true, command: [program, ...rest.arguments.map(({ value }) => value)] };
	} catch {
		return { enabled: false, command: [] };
	}
};

/**
 * Writes how this very sidecar is started, and whether: as it was where `enabled` is undefined. Gives whether. The
 * source is that of the user's configuration where that is in OBS, else `obs`.
 */
export const writeAutostart = async (
	obsFolder: string,
	environment: Record<string, string | undefined>,
	enabled: boolean | undefined,
): Promise<boolean> => {
	const { source } = await loadConfiguration({ flags: {}, environment });
	const words = [CLI, 'run', ...(source.startsWith('obs') ? [] : ['--source', 'obs'])];
	const autostart: Autostart = {
		enabled: enabled ?? (await readAutostart(obsFolder)).enabled,
		program: process.execPath,
		arguments: words.map((value) => ({ value })),
	};
	const path = autostartPath(obsFolder);
	await mkdir(dirname(path), { recursive: true });
	// The plugin does not believe a file that others can write.
	await writeFile(`${path}.new`, `${JSON.stringify(autostart, null, '\t')}\n`, { mode: 0o600 });
	await rename(`${path}.new`, path);
	return autostart.enabled;
};
