import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Monitor } from './app/monitor.ts';
import { prepareChannel, runRelayChannel, type PreparedChannel } from './app/relay-channel.ts';
import { serveWatchdog } from './app/service.ts';
import { stopAfter } from './app/limits.ts';
import { httpPortOf, type Configuration } from './config/schema.ts';
import { usablePresets } from './control/presets.ts';
import { EnginePool } from './engine/engine-process.ts';
import { SidecarError } from './errors.ts';
import { openNdi } from './ndi.ts';
import { log } from './telemetry/logger.ts';
import type { Report } from './telemetry/report.ts';

interface RelayOptions {
	/** Ends the relay cleanly. */
	signal: AbortSignal;
	/** Calls back when the configuration is to be read again, until what it gives is called. */
	onReload?: (reload: () => void) => () => void;
	/** The configuration as it is now; errors leave the relay as it is. */
	reread?: () => Promise<Configuration>;
}

/** A channel that could not be made, for its name was taken, say, while others go on. */
const RETRY_MS = 5000;

interface Running {
	prepared: PreparedChannel;
	stop: AbortController;
	ended: Promise<Report | undefined>;
}

/**
 * Paints the channels of the configuration until the signal aborts, and gives their reports by name. Each is a failure
 * domain of its own. Errors: ERR_CONFIG, ERR_STYLE, ERR_MODEL, ERR_NDI, before anything is painted.
 */
export const runRelay = async (
	configuration: Configuration,
	{ signal, onReload, reread }: RelayOptions,
): Promise<Record<string, Report>> => {
	const first = await prepareAll(configuration);
	using limit = stopAfter(signal, configuration.durationS);
	using _config = configureNetwork(configuration);
	const { version, path } = openNdi(configuration.ndi);
	log.info({ version, path }, 'NDI runtime');
	const presets = await usablePresets();
	const monitor = new Monitor();
	const engines = new EnginePool();
	const port = httpPortOf(configuration);
	await using _server = port === undefined ? undefined : await monitor.serve(port);

	let wanted = new Map<string, PreparedChannel>();
	const running = new Map<string, Running>();
	const reports: Record<string, Report> = {};
	const failed = new AbortController();
	let failure: unknown;

	const start = (prepared: PreparedChannel): void => {
		const { name } = prepared;
		const stop = new AbortController();
		const ended = runRelayChannel(prepared, { presets, monitor, engines, signal: stop.signal });
		running.set(name, { prepared, stop, ended });
		ended.then(
			(report) => {
				if (report) reports[name] = report;
				running.delete(name);
				if (running.size === 0 && !stop.signal.aborted) limit.stop();
			},
			(error: unknown) => {
				running.delete(name);
				if (stop.signal.aborted) return log.warn({ channel: name, error }, 'channel ended badly');
				failure ??= error;
				if (running.size === 0) return failed.abort();
				log.error({ channel: name, error, retryMs: RETRY_MS }, 'channel lost');
				const again = () => running.has(name) || !wanted.has(name) || start(wanted.get(name)!);
				setTimeout(() => limit.signal.aborted || again(), RETRY_MS).unref();
			},
		);
	};
	/** Starts, ends and restarts what differs; the others don't notice. */
	const apply = async (channels: readonly PreparedChannel[]): Promise<void> => {
		wanted = new Map(channels.map((channel) => [channel.name, channel]));
		for (const [name, { prepared, stop, ended }] of running) {
			const now = wanted.get(name);
			if (now && fingerprint(now) === fingerprint(prepared)) continue;
			stop.abort();
			await ended.catch(() => {});
		}
		for (const channel of channels) if (!running.has(channel.name)) start(channel);
	};

	await apply(first);
	let reloading = Promise.resolve();
	const unsubscribe = onReload?.(() => {
		reloading = reloading.then(async () => {
			try {
				await apply(await prepareAll(await reread!()));
				log.info({ channels: [...running.keys()] }, 'configuration read again');
			} catch (error) {
				log.error({ error }, 'configuration not taken; everything stays as it was');
			}
		});
	});
	{
		using _watchdog = serveWatchdog(
			() => monitor.standstills(),
			() => `${running.size} channel${running.size === 1 ? '' : 's'}`,
		);
		await Promise.race([aborted(limit.signal), aborted(failed.signal)]);
	}
	unsubscribe?.();
	await reloading;
	const endings = [...running.values()];
	for (const { stop } of endings) stop.abort();
	await Promise.allSettled(endings.map(({ ended }) => ended));
	if (failed.signal.aborted) throw failure;
	return reports;
};

const aborted = (signal: AbortSignal): Promise<void> =>
	new Promise((resolve) => {
		if (signal.aborted) resolve();
		else signal.addEventListener('abort', () => resolve(), { once: true });
	});

/** What a channel was started with; another one means another channel. */
const fingerprint = ({ name, input, configuration }: PreparedChannel): string =>
	JSON.stringify([name, input, { ...configuration, ndi: { ...configuration.ndi, channels: [] } }]);

const prepareAll = async (configuration: Configuration): Promise<PreparedChannel[]> => {
	const { channels } = configuration.ndi;
	if (channels.length === 0)
		throw new SidecarError(
			'ERR_CONFIG',
			'There is nothing to relay. Name a source with --in, or list channels under ndi.channels in the configuration.',
		);
	const prepared = await Promise.all(channels.map((channel) => prepareChannel(configuration, channel)));
	const names = prepared.map(({ name }) => name);
	const twice = names.find((name, index) => names.indexOf(name) !== index);
	if (twice !== undefined)
		throw new SidecarError('ERR_CONFIG', `Two channels are called ${twice}. Give each an out of its own.`);
	return prepared;
};

/** The runtime reads its network settings from a folder, once: NDI SDK, "Configuration files". */
const configureNetwork = ({ ndi: { discoveryServer } }: Configuration): Disposable | undefined => {
	if (discoveryServer === undefined || process.env['NDI_CONFIG_DIR'] !== undefined) return undefined;
	const folder = mkdtempSync(join(tmpdir(), 'allaprima-ndi-'));
	const settings = { ndi: { networks: { discovery: discoveryServer } } };
	writeFileSync(join(folder, 'ndi-config.v1.json'), JSON.stringify(settings));
	process.env['NDI_CONFIG_DIR'] = folder;
	return { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
};
