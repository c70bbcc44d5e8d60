import { access, constants, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { configurationFileOf, loadConfiguration, type ConfigurationOrigins } from '../config/load-config.ts';
import type { Configuration } from '../config/schema/configuration.ts';
import { SidecarError } from '../errors.ts';
import { nowUs } from '../frame/clock.ts';
import { log } from '../telemetry/logger.ts';
import type { Report } from '../telemetry/report.ts';
import { ProgressLine } from './progress-line.ts';

/** `allaprima run`: paints until the source ends, the limits are reached or the signal aborts. */
export const run = async (
	origins: ConfigurationOrigins,
	{ signal, json }: { signal: AbortSignal; json: boolean },
): Promise<void> => {
	const configuration = await loadConfiguration(origins);
	refuseOwnStyle(configuration, origins);
	if (configuration.report) await expectWritableFolder(configuration.report);
	const { runApp } = await import('../app.ts');
	const startedUs = nowUs();
	let report: Report;
	{
		using line = new ProgressLine(process.stderr, log, nowUs);
		report = await runApp(configuration, {
			signal,
			configurationFile: configurationFileOf(origins),
			onProgress: (progress) => line.show(progress),
		});
	}
	if (configuration.report) await writeReport(configuration.report, report);
	process.stderr.write(`${summaryOf(report, (nowUs() - startedUs) / 1e6)}\n`);
	if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
};

export const summaryOf = (report: Report, seconds: number): string => {
	const { framesIn, framesOut, framesDropped, fps, latencyMs, rssPeakMiB } = report;
	return (
		`${framesOut} of ${framesIn} frames painted${framesDropped ? ` (${framesDropped} dropped)` : ''} in ${seconds.toFixed(1)} s: ` +
		`${fps.toFixed(1)} frames/s, latency ${Math.round(latencyMs.p50)} ms (p95 ${Math.round(latencyMs.p95)} ms), ${rssPeakMiB} MiB`
	);
};

/** What a recording is painted with is in it; whoever types something else means something else. */
const refuseOwnStyle = ({ source }: Configuration, { flags }: ConfigurationOrigins): void => {
	const own = ['style', 'prompt', 'reference', 'strength', 'seed', 'region', 'fade'].find(
		(flag) => flags[flag] !== undefined,
	);
	if (own !== undefined && source.startsWith('replay:'))
		throw new SidecarError(
			'ERR_CONFIG',
			`A replay brings its styles and all that was asked meanwhile. Leave --${own} out, or paint the recording's frames.mkv as a file.`,
		);
};

/** A run of an hour must not find out at its end that the report has nowhere to go. */
export const expectWritableFolder = async (path: string): Promise<void> => {
	const folder = dirname(resolve(path));
	await access(folder, constants.W_OK).catch((cause: NodeJS.ErrnoException) => {
		throw new SidecarError('ERR_CONFIG', `The report cannot be written to ${folder} (${cause.code}).`, { cause });
	});
};

/** Written beside its place and then renamed, so that no half-written report looks whole. */
export const writeReport = async (path: string, report: Report | Record<string, Report>): Promise<void> => {
	const temporary = join(dirname(resolve(path)), `.${basename(path)}.${process.pid}.part`);
	try {
		await writeFile(temporary, `${JSON.stringify(report, null, '\t')}\n`);
		await rename(temporary, path);
	} catch (cause) {
		await rm(temporary, { force: true });
		const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
		throw new SidecarError('ERR_SINK_WRITE', `The report ${path} could not be written (${reason}).`, { cause });
	}
};
