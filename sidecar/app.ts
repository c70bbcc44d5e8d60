import { readFileSync } from 'node:fs';
import { stopAfter, sleepUs, stopping, take, untilAborted } from './app/limits.ts';
import { frameCount, runView, show } from './app/progress.ts';
import { obsFilterOf, openEgress, openSource, tapsOf } from './app/streams.ts';
import { httpPortOf, resolveTuning, type Configuration, type ModelManifest, type Tuning } from './config/schema.ts';
import { Controller } from './control/controller.ts';
import { startHttpServer, type RunView } from './control/http-server.ts';
import { openObsLink, type ObsLink } from './control/obs-link.ts';
import { ObsWebsocket } from './control/obs-websocket.ts';
import { choosePreset, usablePresets } from './control/presets.ts';
import { FailureSink, type FailurePolicy } from './egress/failure-policy.ts';
import type { FrameSink } from './egress/frame-sink.ts';
import { openObsSink } from './egress/obs-sink.ts';
import { PacedEgress } from './egress/paced-egress.ts';
import { PreviewSink } from './egress/preview-sink.ts';
import { startEngineProcess } from './engine/engine-process.ts';
import { SupervisedEngine } from './engine/supervised-engine.ts';
import { SidecarError } from './errors.ts';
import { nowUs } from './frame/clock.ts';
import { pictureByteLength, type Size } from './frame/frame.ts';
import { FrameRing } from './frame/ring.ts';
import { ringSocketPath } from './frame/shared-ring.ts';
import { findModelFolder, openModelFolder } from './inference/manifest.ts';
import { autoPaintedSize } from './inference/painted-size.ts';
import type { SourceEnd } from './ingest/frame-source.ts';
import { loadNative, type Fit } from './native.ts';
import { log } from './telemetry/logger.ts';
import { Recorder, type Progress, type Report } from './telemetry/report.ts';

/** Batches in the engine at a time: one being encoded, one being denoised, one on its way out. */
const BATCHES_IN_ENGINE = 3;

/** An engine that owes a frame for this long is started again. */
const STUCK_AFTER_US = 5_000_000;

/** A live batch waits no longer than this for its last frames. */
const LIVE_BATCH_DEADLINE_MS = 100;

/** How often the dialog in OBS hears how the run goes. */
const ANNOUNCE_MS = 500;

/** How a sink undoes what was done to meet the painted size: what was cropped comes back as bars, bars are cropped. */
const OPPOSITE_FIT: Record<Fit, Fit> = { cover: 'contain', contain: 'cover', stretch: 'stretch' };

interface RunOptions {
	/** Ends the run cleanly: what was painted so far is written. */
	signal: AbortSignal;
	onProgress?: (progress: Progress) => void;
	/** Sinks of the caller's own; the run disposes of them. */
	sinks?: readonly FrameSink[];
}

/**
 * Joins source, engine, sinks and control, runs them to the end and gives the report.
 * Errors: whatever SidecarError stopped it; sinks that were not finished leave nothing behind.
 */
export const runApp = async (
	configuration: Configuration,
	{ signal, onProgress, sinks = [] }: RunOptions,
): Promise<Report> => {
	const preset = await choosePreset(configuration);
	const folder = await openModelFolder(await findModelFolder(configuration.model ?? preset.model));
	const { manifest } = folder;
	const tuning = resolveTuning(manifest, configuration.tuning);
	checkTuning(manifest, tuning);
	const controller = new Controller({
		presets: await usablePresets(),
		preset,
		tuning,
		fadeS: configuration.fadeS,
		nowUs,
	});
	const native = loadNative();

	using limit = stopAfter(signal, configuration.durationS);
	const stop = limit.signal;
	const obsFilter = obsFilterOf(configuration);
	await using link =
		obsFilter &&
		(await openObsLink({
			...obsFilter,
			path: ringSocketPath('sidecar'),
			version: VERSION,
			controller,
			scenes: configuration.obs.scenes,
		}));
	await using obs =
		configuration.obs.websocket &&
		new ObsWebsocket({
			obs: configuration.obs,
			controller,
			delayMs: () => link?.glassToGlassMs?.p50,
			hasPlugin: () => link?.stream !== undefined,
			nowUs,
		});
	await using source = await openSource(configuration, {
		taps: link && tapsOf(link),
		shoot: obs && ((name) => obs.shoot(name, stop)),
		native,
		signal: stop,
	});
	const { info } = source;
	const isAuto = configuration.size === 'auto' && !('fixed' in manifest.size);
	const painted = configuration.size === 'auto' ? autoPaintedSize(manifest, info.layout) : configuration.size;
	const fit = isAuto ? 'stretch' : configuration.fit;
	const keepsAll = configuration.pace === 'max';
	const { batchSize } = tuning;
	const inEngineMax = BATCHES_IN_ENGINE * batchSize + 1;
	const ring = new FrameRing({
		slotCount: inEngineMax + batchSize + 1,
		slotBytes: pictureByteLength(info.layout),
		mode: keepsAll ? 'wait' : 'newest-wins',
		waitingMax: batchSize,
	});
	const preview = new PreviewSink({ size: painted, fit, native });
	const port = httpPortOf(configuration);
	const paintedRing = ringSocketPath(`painted-${process.pid}`);
	const isPanic = () => controller.isPanic;
	const failing = (sink: FrameSink, policy: () => FailurePolicy = () => configuration.failure) =>
		new FailureSink(sink, { policy, painted, isPanic });
	const own = [...sinks, ...(port === undefined ? [] : [preview])].map((sink) => failing(sink));
	if (link) {
		const pixelsMax = Math.max(pixelsOf(painted), pixelsOf(info.layout));
		const obsSink = openObsSink({ path: paintedRing, pixelsMax, native });
		// What leaves in OBS is the filter's to say, and without a filter nothing of the source does.
		own.push(failing(obsSink, () => link.stream?.failure ?? 'slate'));
	}
	await using egress = await openEgress(configuration, own, failing, {
		size: configuration.output === 'painted' ? painted : sizeOf(info.layout),
		fit: OPPOSITE_FIT[fit],
		frameRate: info.frameRate,
		...(info.audio && { audio: info.audio }),
	});

	const recorder = new Recorder(
		{ model: manifest.name, provider: configuration.provider, size: painted, batchSize, steps: tuning.steps },
		{ nowUs },
	);
	const parametersNow = () => controller.parametersAt(nowUs());
	await using engine = new SupervisedEngine({
		start: (listener, parameters, provider, int8Graphs) =>
			startEngineProcess(
				{
					folder,
					provider: (provider as Configuration['provider'] | undefined) ?? configuration.provider,
					...(int8Graphs && { int8Graphs }),
					painted,
					fit,
					batchDeadlineMs: keepsAll ? Infinity : LIVE_BATCH_DEADLINE_MS,
					parameters,
					logLevel: log.level,
					frameBytes: pictureByteLength(info.layout),
					inFlightMax: inEngineMax,
				},
				listener,
			),
		ring,
		parametersNow,
		batchSize,
		keepsAll,
		limits: { staleAfterUs: configuration.staleAfterMs * 1000, stuckAfterUs: STUCK_AFTER_US },
		observer: recorder,
		nowUs,
		every: (us, work) => stopping(setInterval(work, us / 1000)),
		after: (us, work) => stopping(setTimeout(work, us / 1000)),
	});
	const framesTotal = frameCount(configuration, info);
	const onShown = show({ recorder, controller, ...(onProgress && { onProgress }), framesTotal });
	await using output = keepsAll
		? egress
		: new PacedEgress(egress, {
				repeatEveryUs: Math.round((1e6 * info.frameRate.den) / info.frameRate.num),
				nowUs,
				sleep: sleepUs,
				onShown,
			});
	const count = () => {
		recorder.setFramesDropped({
			unpainted: ring.droppedCount,
			unshown: output instanceof PacedEgress ? output.droppedCount : 0,
		});
		recorder.setEngine({
			provider: engine.provider ?? configuration.provider,
			restarts: engine.restarts,
			int8Graphs: engine.int8Graphs ?? [],
		});
		if (link?.glassToGlassMs) recorder.setGlassToGlass(link.glassToGlassMs);
	};
	await using _server =
		port === undefined
			? undefined
			: await startHttpServer({
					port,
					version: VERSION,
					controller,
					preview,
					run: () => {
						count();
						return runView(recorder, engine.state, info.name);
					},
				});

	using _announcing = link && announceTo(link, paintedRing, () => runView(recorder, engine.state, info.name));
	if (!info.isLive) await untilAborted(engine.ready, stop);
	log.info(
		{
			model: manifest.name,
			provider: engine.provider,
			int8Graphs: engine.int8Graphs,
			painted,
			source: info.name,
			style: preset.name,
		},
		'painting',
	);
	const ended: Promise<{ end?: SourceEnd; error?: unknown }> = source.run(ring, stop).then(
		(end) => {
			ring.close();
			return { end };
		},
		(error: unknown) => {
			// What a camera gave before it was unplugged is still worth having; half a file is not.
			if (info.isLive) ring.close();
			else ring.fail(error);
			return { error };
		},
	);
	try {
		const frames = take(ring.frames(stop), configuration.frames ?? Infinity, () => recorder.frameIn());
		for await (const frame of engine.paint(frames)) {
			await output.present(frame);
			if (output === egress) onShown(frame, 'new', nowUs());
		}
	} finally {
		limit.stop();
	}
	const { end, error } = await ended;
	await output.finish();
	if (error !== undefined) throw error;
	count();
	onProgress?.(recorder.progress(framesTotal));
	for (const warning of end?.warnings ?? []) log.warn(warning);
	return recorder.report();
};

const { version: VERSION } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
	version: string;
};

/** Tells the plugin now and then how the run goes. */
const announceTo = (link: ObsLink, painted: string, view: () => RunView): Disposable => {
	link.serve(painted, () => {
		const { engine, fps, latencyMs } = view();
		return { engine: engine.state, fps, latencyMs: latencyMs.p50 };
	});
	const timer = setInterval(() => link.announce(), ANNOUNCE_MS);
	return { [Symbol.dispose]: () => clearInterval(timer) };
};

const pixelsOf = ({ width, height }: Size): number => width * height;

const sizeOf = ({ width, height }: Size): Size => ({ width, height });

const checkTuning = ({ name, steps, int8 }: ModelManifest, asked: Tuning): void => {
	if (!steps.supported.includes(asked.steps))
		throw new SidecarError(
			'ERR_MODEL',
			`The model ${name} takes ${steps.supported.join(', ')} steps, not ${asked.steps}.`,
		);
	if (asked.precision === 'int8' && !int8)
		throw new SidecarError('ERR_MODEL', `The model ${name} has no graphs in int8; give --precision fp32 or auto.`);
};
