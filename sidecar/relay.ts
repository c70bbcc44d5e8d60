import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEngines, servedFleetOf } from './app/engines.ts';
import { stopAfter } from './app/limits.ts';
import { Monitor } from './app/monitor.ts';
import { prepareChannel, runRelayChannel, type PreparedChannel } from './app/relay-channel.ts';
import { RelayChannels } from './app/relay-channels.ts';
import { serveWatchdog } from './app/service.ts';
import { httpAccessOf } from './config/http-access.ts';
import { midiSettingsOf } from './config/midi-settings.ts';
import { oscSettingsOf } from './config/osc-settings.ts';
import type { Configuration } from './config/schema/configuration.ts';
import { takesReferences } from './config/schema/manifest.ts';
import { PresetLibrary } from './control/preset-library.ts';
import { SidecarError } from './errors.ts';
import { openNdi } from './ndi.ts';
import { log } from './telemetry/logger.ts';
import type { Report } from './telemetry/report.ts';

interface RelayOptions {
	/** Ends the relay cleanly. */
	signal: AbortSignal;
	reload?: {
		/** Calls back when the configuration is to be read again, until what it gives is called. */
		subscribe: (callback: () => void) => () => void;
		/** The configuration as it is now; errors leave the relay as it is. */
		read: () => Promise<Configuration>;
	};
}

/**
 * Paints the channels of the configuration until the signal aborts, and gives their reports by name. Each is a failure
 * domain of its own. Errors: ERR_CONFIG, ERR_STYLE, ERR_MODEL, ERR_NDI, before anything is painted.
 */
export const runRelay = async (
	configuration: Configuration,
	{ signal, reload }: RelayOptions,
): Promise<Record<string, Report>> => {
	const access = await httpAccessOf(configuration, process.env);
	const osc = oscSettingsOf(configuration);
	const midi = midiSettingsOf(configuration);
	const first = await prepareAll(configuration);
	using limit = stopAfter(signal, configuration.durationS);
	using _config = configureNetwork(configuration);
	const { version, path } = openNdi(configuration.ndi);
	log.info({ version, path }, 'NDI runtime');
	using library = await PresetLibrary.open({
		watch: true,
		references: first.some(({ folder }) => takesReferences(folder.manifest)),
	});
	const monitor = new Monitor();
	await using engines = await openEngines(configuration);
	await using _serving = await monitor.serve({ access, osc, midi, fleet: servedFleetOf(configuration, engines) });

	const channels = new RelayChannels((channel, channelSignal) =>
		runRelayChannel(channel, { library, monitor, engines, signal: channelSignal }),
	);
	await channels.apply(first);
	let reloading = Promise.resolve();
	const unsubscribe = reload?.subscribe(() => {
		reloading = reloading.then(async () => {
			try {
				await channels.apply(await prepareAll(await reload.read()));
				log.info({ channels: channels.names }, 'configuration read again');
			} catch (error) {
				log.error({ error }, 'configuration not taken; everything stays as it was');
			}
		});
	});
	try {
		using _watchdog = serveWatchdog(
			() => monitor.standstills(),
			() => `${channels.names.length} channel${channels.names.length === 1 ? '' : 's'}`,
		);
		await Promise.race([aborted(limit.signal), channels.over]);
	} finally {
		unsubscribe?.();
		await reloading;
		await channels[Symbol.asyncDispose]();
	}
	return channels.reports;
};

const aborted = (signal: AbortSignal): Promise<void> =>
	new Promise((resolve) => {
		if (signal.aborted) resolve();
		else signal.addEventListener('abort', () => resolve(), { once: true });
	});

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
