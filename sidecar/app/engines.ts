import type { Configuration } from '../config/schema/configuration.ts';
import type { ServedFleet, WorkerView } from '../control/http/served.ts';
import { EnginePool, type Engines } from '../engine/engine-process.ts';
import { SidecarError } from '../errors.ts';
import { openFleetBus } from '../fleet/fleet-bus.ts';
import { FleetEngines, type FleetWorkerAnswer } from '../fleet/fleet-engines.ts';
import { nowUs } from '../frame/clock.ts';
import { loadNative } from '../native.ts';

/** True where the models run on other machines. */
export const isElsewhere = ({ engine }: Pick<Configuration, 'engine'>): boolean => engine !== 'local';

/** Engines that are disposed of with all that leads to them. */
export interface OpenedEngines extends Engines, AsyncDisposable {
	/** Asks the workers there; absent where the engine runs here. */
	workers?: () => Promise<WorkerView[]>;
}

/** The engines that the configuration asks for: of this machine, or of a fleet. Errors: ERR_CONFIG, ERR_FLEET. */
export const openEngines = async (
	configuration: Pick<Configuration, 'engine' | 'fleet' | 'provider'>,
): Promise<OpenedEngines> => {
	const { engine: url, fleet, provider } = configuration;
	if (!isElsewhere(configuration))
		return Object.assign(new EnginePool(), { [Symbol.asyncDispose]: () => Promise.resolve() });
	if (provider !== 'auto')
		throw new SidecarError(
			'ERR_CONFIG',
			`Where the models run is the worker's to say: leave --provider ${provider} out here, and give it to allaprima worker.`,
		);
	const opened = await openFleetBus(url, { fleet, environment: process.env, keepsServer: true });
	try {
		const { bus } = opened;
		const leases = await bus.leases();
		const { deadlineMs } = fleet;
		const engines = new FleetEngines({
			bus,
			leases,
			native: loadNative(),
			url,
			deadlineMs,
			nowUs,
			random: Math.random,
		});
		await engines.expectWorker();
		return Object.assign(engines, {
			workers: async () => (await engines.statuses()).map(workerViewOf),
			[Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
		});
	} catch (error) {
		await opened[Symbol.asyncDispose]();
		throw error;
	}
};

/** For the page and the API; undefined where the engine runs here. */
export const servedFleetOf = (
	{ engine }: Pick<Configuration, 'engine'>,
	{ workers }: OpenedEngines,
): ServedFleet | undefined => workers && { engine, workers };

const workerViewOf = (status: FleetWorkerAnswer): WorkerView => {
	const { protocol: _, lines, linesMax, ...own } = status;
	const streams = lines.map(({ stream, painted, isLeased, fps }) => ({ stream, size: painted, isLeased, fps }));
	return { ...own, streams, streamsMax: linesMax };
};
