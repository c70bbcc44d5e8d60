import { execFile, type ExecFileException } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isSidecarError } from '../errors.ts';
import { modelBytes, type ModelFolder } from './manifest.ts';
import { supportedProviders, type Provider } from './session.ts';

/** Process, driver and shaders, whatever the model. */
const PROBE_MS = 30_000;
/** The weights are read for the device and, the first time, for the CPU: at 100 MB/s from a disk, and half as long again to run them. */
const PROBE_MS_PER_GB = 30_000;
/** A device has room for two models of this size at a time, not for any two. */
const SIDE_BY_SIDE_BYTES_MAX = 256 * 2 ** 20;

export interface ProviderChoice {
	provider: Provider;
	/** What was tried before it, each with its reason. */
	refused: { provider: Provider; reason: string }[];
}

/** How long a probe may take with a model whose graphs and weights have so many bytes. */
export const probeTimeoutMs = (bytes: number): number => Math.round(PROBE_MS + (PROBE_MS_PER_GB * bytes) / 1e9);

/**
 * The fastest provider that runs the graphs of this model and gives what the CPU gives. Each is tried in a process of its own: a
 * driver that aborts takes only the probe with it, and what it prints stays out of our terminal. With a small model they are
 * tried side by side, for most of the time is the process's start. A device in software is passed over: it gives what the CPU gives,
 * for it is that, and later. Errors: ERR_MODEL.
 */
export const chooseProvider = async (folder: ModelFolder): Promise<ProviderChoice> => {
	const bytes = await modelBytes(folder);
	const devices = supportedProviders().filter((provider) => provider !== 'cpu');
	const together = bytes <= SIDE_BY_SIDE_BYTES_MAX ? devices : [];
	const ask = (provider: Provider) => refusalOf(folder, provider, { takesSoftware: false });
	const asked = new Map(together.map((provider) => [provider, ask(provider)]));
	const refused: ProviderChoice['refused'] = [];
	for (const provider of devices) {
		const reason = await (asked.get(provider) ?? ask(provider));
		if (reason === undefined) return { provider, refused };
		refused.push({ provider, reason });
	}
	return { provider: 'cpu', refused };
};

/** Why the provider cannot be used with a model, or undefined where it can. */
export const refusalOf = async (
	folder: ModelFolder,
	provider: Provider,
	{ takesSoftware = true }: { takesSoftware?: boolean } = {},
): Promise<string | undefined> => {
	const program = fileURLToPath(new URL('./provider-probe.process.js', import.meta.url));
	let timeoutMs = PROBE_MS;
	try {
		timeoutMs = probeTimeoutMs(await modelBytes(folder));
		const args = [program, folder.path, provider, ...(takesSoftware ? ['software'] : [])];
		await promisify(execFile)(process.execPath, args, { timeout: timeoutMs });
		return undefined;
	} catch (error) {
		if (isSidecarError(error)) return error.message;
		const { stdout, signal, code, killed } = error as ExecFileException & { stdout?: string };
		if (killed && signal) return `the probe took longer than ${Math.round(timeoutMs / 1000)} s`;
		return stdout?.trim() || `the probe ended with ${signal ?? `code ${code}`}`;
	}
};
