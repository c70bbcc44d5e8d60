import { loadConfiguration, type ConfigurationOrigins } from '../config/load-config.ts';
import { FleetStatus } from '../config/schema/fleet.ts';
import { SidecarError } from '../errors.ts';
import { openFleetBus, type FleetBus } from '../fleet/fleet-bus.ts';
import { understood } from '../fleet/fleet-engines.ts';
import { decodeMessage } from '../fleet/messages.ts';
import { drainSubject, STATUS } from '../fleet/subjects.ts';
import { wholeNumber } from './numbers.ts';
import { printTable, printValue } from './print.ts';

export interface WorkerFlags {
	nats: string;
	name?: string;
	lines?: string;
	metrics?: string;
}

const LINES_MAX = 16;
const ANSWERS_MS = { firstMs: 1000, moreMs: 300 };
const REQUEST_MS = 2000;
const LOOK_MS = 200;
const DRAINED_WITHIN_MS = 60_000;
const NOTHING = new Uint8Array();

/** `allaprima worker`: paints for others until the signal aborts. */
export const work = async (
	{ nats, name, lines, metrics }: WorkerFlags,
	origins: ConfigurationOrigins,
	{ signal }: { signal: AbortSignal },
): Promise<void> => {
	const configuration = await loadConfiguration(origins);
	const linesMax = lines === undefined ? LINES_MAX : wholeNumber('--lines', lines, 1, 256);
	const metricsPort = metrics === undefined ? undefined : wholeNumber('--metrics', metrics, 0, 65_535);
	const { runWorker } = await import('../worker.ts');
	await runWorker({
		configuration,
		url: nats,
		...(name !== undefined && { name }),
		linesMax,
		...(metricsPort !== undefined && { metricsPort }),
		signal,
	});
};

/** `allaprima worker list`: who is there, and what they paint. Errors: ERR_FLEET, ERR_CONFIG. */
export const listWorkers = async (
	{ nats }: Pick<WorkerFlags, 'nats'>,
	origins: ConfigurationOrigins,
	{ json }: { json: boolean },
): Promise<void> => {
	await using opened = await connect(nats, origins);
	const { bus } = opened;
	const answers = await bus.requestAll(STATUS, NOTHING, ANSWERS_MS);
	const workers = answers
		.flatMap(({ data }) => understood(() => decodeMessage(FleetStatus, data, 'What a worker said').head) ?? [])
		.sort((a, b) => (a.worker < b.worker ? -1 : 1));
	if (json) return printValue(workers);
	if (workers.length === 0) process.stderr.write(`No worker answers at ${nats}.\n`);
	else
		printTable([
			['WORKER', 'STREAMS', 'LOAD', 'FRAMES/S', 'VERSION', ''],
			...workers.map(({ worker, lines, linesMax, load, capacity, version, isDraining }) => [
				worker,
				`${lines.length} of ${linesMax}`,
				capacity > 0 ? `${Math.round((100 * load) / capacity)} %` : '',
				lines.reduce((sum, { fps }) => sum + fps, 0).toFixed(1),
				version,
				isDraining ? 'draining' : '',
			]),
		]);
};

/** `allaprima worker drain`: resolves when nothing is painted there any more. Errors: ERR_FLEET, ERR_CONFIG. */
export const drainWorker = async (
	worker: string,
	{ nats }: Pick<WorkerFlags, 'nats'>,
	origins: ConfigurationOrigins,
	{ signal }: { signal: AbortSignal },
): Promise<void> => {
	if (!/^[A-Za-z0-9_-]{1,64}$/.test(worker))
		throw new SidecarError('ERR_CONFIG', `${worker} is no name of a worker. allaprima worker list has them.`);
	await using opened = await connect(nats, origins);
	const { bus } = opened;
	const answer = await bus.request(drainSubject(worker), NOTHING, REQUEST_MS);
	if (!answer)
		throw new SidecarError(
			'ERR_FLEET',
			`There is no worker ${worker} at ${nats}. allaprima worker list has those there are.`,
		);
	let { head: status } = decodeMessage(FleetStatus, answer, 'What the worker said');
	for (const endMs = Date.now() + DRAINED_WITHIN_MS; status.lines.length > 0;) {
		if (signal.aborted) return;
		if (Date.now() > endMs)
			throw new SidecarError(
				'ERR_FLEET',
				`${status.lines.length} streams are still painted by ${worker}: no other worker takes them. It goes on with them.`,
			);
		await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
		const now = await bus.request(drainSubject(worker), NOTHING, REQUEST_MS);
		if (!now) break; // it has ended
		({ head: status } = decodeMessage(FleetStatus, now, 'What the worker said'));
	}
	process.stderr.write(`${worker} paints nothing any more.\n`);
};

const connect = async (url: string, origins: ConfigurationOrigins): Promise<FleetBus> => {
	const { fleet } = await loadConfiguration(origins);
	return await openFleetBus(url, { fleet, environment: origins.environment });
};
