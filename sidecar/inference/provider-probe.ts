import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ModelFolder } from './manifest.ts';
import { supportedProviders, type Provider } from './session.ts';

const PROBE_TIMEOUT_MS = 30_000;

export interface ProviderChoice {
	provider: Provider;
	/** What was tried before it, each with its reason. */
	refused: { provider: Provider; reason: string }[];
}

/**
 * The fastest provider that can run a graph of this model. Each is tried in a process of its own: a driver
 * that aborts takes only the probe with it, and what it prints stays out of our terminal.
 */
export const chooseProvider = async (folder: ModelFolder): Promise<ProviderChoice> => {
	const refused: ProviderChoice['refused'] = [];
	for (const provider of supportedProviders()) {
		const reason = provider === 'cpu' ? undefined : await probe(folder, provider);
		if (reason === undefined) return { provider, refused };
		refused.push({ provider, reason });
	}
	return { provider: 'cpu', refused };
};

/** Why the provider cannot be used, or undefined where it can. */
const probe = async (folder: ModelFolder, provider: Provider): Promise<string | undefined> => {
	const program = fileURLToPath(new URL('./provider-probe.process.js', import.meta.url));
	try {
		await promisify(execFile)(process.execPath, [program, folder.path, provider], { timeout: PROBE_TIMEOUT_MS });
		return undefined;
	} catch (error) {
		const { stdout, signal, code } = error as { stdout?: string; signal?: string; code?: number };
		return stdout?.trim() || `the probe ended with ${signal ?? `code ${code}`}`;
	}
};
