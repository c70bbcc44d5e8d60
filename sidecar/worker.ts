import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { serveMetrics } from './app/metrics-server.ts';
import { VERSION } from './app/monitor.ts';
import { serveWatchdog } from './app/service.ts';
import { chooseTuning } from './app/streams.ts';
import { WarmEngine } from './app/warm-engine.ts';
import type { Configuration } from './config/schema/configuration.ts';
import { choosePreset } from './control/presets.ts';
import { EnginePool } from './engine/engine-process.ts';
import { framesInEngine } from './engine/engine-protocol.ts';
import { SidecarError } from './errors.ts';
import { openFleetBus } from './fleet/fleet-bus.ts';
import { FleetWorker } from './fleet/fleet-worker.ts';
import { modelFinder } from './fleet/model-finder.ts';
import { nowUs } from './frame/clock.ts';
import { pictureByteLength, rgbLayout } from './frame/frame.ts';
import { findModelFolder, openModelFolder } from './inference/manifest.ts';
import { loadNative } from './native.ts';
import { resolveParameters } from './parameters.ts';
import { log } from './telemetry/logger.ts';
import { WorkerMetrics } from './telemetry/metrics.ts';
import { describeCommit } from './telemetry/provenance.ts';

export interface WorkerSettings {
	configuration: Configuration;
	/** nats://HOST[:PORT], tls://HOST[:PORT], paired or paired:NAME. */
	url: string;
	/** Else the machine's, with something to tell two of them apart. */
	name?: string;
	linesMax: number;
	/** Where Prometheus asks, on this machine. */
	metricsPort?: number;
	/** Ends the worker, once its streams have gone elsewhere. */
	signal: AbortSignal;
}

/** How long streams have to go elsewhere before the worker ends all the same. */
const DRAIN_MS = 10_000;

/** Paints for the sidecars of a NATS server until the signal aborts or it was drained. Errors: ERR_FLEET, ERR_MODEL, ERR_CONFIG. */
export const runWorker = async ({
	configuration,
	url,
	name = `${hostname()
		.replaceAll(/[^A-Za-z0-9_-]/g, '-')
		.slice(0, 50)}-${randomBytes(2).toString('hex')}`,
	linesMax,
	metricsPort,
	signal,
}: WorkerSettings): Promise<void> => {
	if (!/^[A-Za-z0-9_-]{1,64}$/.test(name))
		throw new SidecarError('ERR_CONFIG', `A worker's name is of 1 to 64 letters, digits, _ or -; got ${name}.`);
	const { preset } = await choosePreset(configuration);
	const folder = await openModelFolder(await findModelFolder(configuration.model ?? preset.model));
	const { manifest } = folder;
	const tuning = chooseTuning(manifest, { ...configuration.tuning, similarityThreshold: 0 });
	const native = loadNative();
	// Before anything is measured: who may not enter need not wait for that.
	const { fleet } = configuration;
	await using opened = await openFleetBus(url, { fleet, environment: process.env, keepsServer: true });
	const { bus } = opened;
	const leases = await bus.leases();
	const engines = new EnginePool();
	const [width, height] = 'fixed' in manifest.size ? manifest.size.fixed : manifest.size.default;
	const painted = { width, height };
	const { provider } = configuration;
	await using warm = await WarmEngine.open(engines, {
		folder,
		provider,
		precision: tuning.precision,
		painted,
		fit: 'stretch',
		batchDeadlineMs: 0,
		parameters: resolveParameters(preset, tuning, 0),
		logLevel: log.level,
		frameBytes: pictureByteLength(rgbLayout(painted)),
		inFlightMax: framesInEngine(tuning),
	});
	let pids = (): number[] => [];
	await using worker = await FleetWorker.open({
		bus,
		leases,
		engines,
		native,
		nowUs,
		provider,
		paintedBeside: painted,
		name,
		host: hostname(),
		version: VERSION,
		capacity: warm.capacity,
		linesMax,
		findModel: modelFinder(folder, { find: findModelFolder, open: openModelFolder }),
		onChange: () => warm.follow(pids()),
	});
	pids = () => worker.pids;
	const metrics = new WorkerMetrics({ version: VERSION, commit: describeCommit() }, () => worker.status);
	await using _metrics = metricsPort === undefined ? undefined : await serveMetrics(metricsPort, () => metrics.text());
	const fps = warm.capacity / (width * height);
	log.info({ name, url, model: manifest.name, provider: warm.provider, size: painted, fps }, 'worker offers itself');
	using _watchdog = serveWatchdog(
		() => [],
		() => `${worker.status.lines.length} streams`,
	);
	// One that can be reached by nobody is to be started again.
	await Promise.race([worker.drained(signal), bus.closed()]);
	worker.drain();
	const limit = new AbortController();
	await Promise.race([worker.drained(limit.signal), sleep(DRAIN_MS, undefined, { signal: limit.signal })]);
	limit.abort();
};
