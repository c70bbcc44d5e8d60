import { loadConfiguration, type ConfigurationOrigins } from '../config/load-config.ts';
import { SidecarError } from '../errors.ts';
import { nowUs } from '../frame/clock.ts';
import { expectWritableFolder, summaryOf, writeReport } from './run.ts';

export interface RelayFlags {
	in?: string;
	out?: string;
	groups?: string;
	extraIp?: string[];
	delayMs?: string;
	runtime?: string;
	failover?: boolean;
	whenWatched?: boolean;
}

/** `allaprima relay`: paints sources of NDI into streams of their own until the signal aborts. */
export const relay = async (
	flags: RelayFlags,
	origins: ConfigurationOrigins,
	{ signal, onHangup, json }: { signal: AbortSignal; onHangup: (reload: () => void) => () => void; json: boolean },
): Promise<void> => {
	const ndi = ndiOf(flags);
	const read = () => loadConfiguration({ ...origins, ndi });
	const configuration = await read();
	if (configuration.report) await expectWritableFolder(configuration.report);
	const { runRelay } = await import('../relay.ts');
	const startedUs = nowUs();
	const reports = await runRelay(configuration, { signal, reload: { subscribe: onHangup, read } });
	if (configuration.report) await writeReport(configuration.report, reports);
	const seconds = (nowUs() - startedUs) / 1e6;
	for (const [name, report] of Object.entries(reports))
		process.stderr.write(`${name}: ${summaryOf(report, seconds)}\n`);
	if (json) process.stdout.write(`${JSON.stringify(reports)}\n`);
};

/** What the flags say, over the section `ndi` of the configuration. Errors: ERR_CONFIG. */
const ndiOf = (flags: RelayFlags): Record<string, unknown> => {
	if (flags.out !== undefined && flags.in === undefined)
		throw new SidecarError('ERR_CONFIG', '--out names the painting of one source. Say which with --in.');
	const delay = flags.delayMs;
	return {
		...(flags.in !== undefined && {
			channels: [{ in: flags.in, ...(flags.out !== undefined && { out: flags.out }) }],
		}),
		...(flags.groups !== undefined && { groups: flags.groups }),
		...(flags.extraIp && { extraIps: flags.extraIp }),
		...(delay !== undefined && { delayMs: /^\d+$/.test(delay) ? Number(delay) : delay }),
		...(flags.runtime !== undefined && { runtimePath: flags.runtime }),
		...(flags.failover === false && { failover: false }),
		...(flags.whenWatched === false && { onlyWhenWatched: false }),
	};
};
