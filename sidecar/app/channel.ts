import type { Configuration } from '../config/schema/configuration.ts';
import { denoiserHashOf } from '../config/schema/manifest.ts';
import type { Tuning } from '../config/schema/tuning.ts';
import type { Controller } from '../control/controller.ts';
import type { RunView, ThumbnailFeed } from '../control/http/served.ts';
import { Egress } from '../egress/egress.ts';
import type { FrameSink } from '../egress/frame-sink.ts';
import { PacedEgress } from '../egress/paced-egress.ts';
import type { Engines, RemoteNumbers } from '../engine/engine-process.ts';
import { framesInEngine } from '../engine/engine-protocol.ts';
import { SupervisedEngine } from '../engine/supervised-engine.ts';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, type Size } from '../frame/frame.ts';
import { FrameRing } from '../frame/ring.ts';
import { describeDevice } from '../inference/devices.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import { AUTO_PIXELS, autoPaintedSize } from '../inference/painted-size.ts';
import { slotByteLength, type FrameSource, type SourceEnd } from '../ingest/frame-source.ts';
import { loadNative, type Fit } from '../native.ts';
import type { Recording } from '../recording/recording.ts';
import type { Replay } from '../recording/replay.ts';
import { log } from '../telemetry/logger.ts';
import { Recorder, type Progress, type Report, type TimesObserver } from '../telemetry/report.ts';
import { Fallback } from './fallback.ts';
import { FrameLook } from './frame-look.ts';
import { Governing } from './governing.ts';
import { linkedTo, sleepUs, stopping, take, untilAborted } from './limits.ts';
import { frameCount, runView, show } from './progress.ts';
import { openRegions } from './regions.ts';
import { favoursOf, openSampling } from './sampling.ts';

/** An engine that owes a frame for this long is started again. */
const STUCK_AFTER_US = 5_000_000;

/** A live batch waits no longer than this for its last frames. */
const LIVE_BATCH_DEADLINE_MS = 100;

/** What a channel paints, known once its source is open. */
export interface Canvas {
	painted: Size;
	/** How the source meets the painted size. */
	fit: Fit;
	source: FrameSource['info'];
}

/** A channel as those see it who look on. */
export interface ChannelView extends Canvas {
	view: () => RunView;
	/** The run so far. */
	report: () => Report;
	/** Frames on their way. */
	queue: () => { waiting: number; painting: number };
	/** Where the engine runs elsewhere. */
	remote: () => RemoteNumbers | undefined;
	thumbnails: ThumbnailFeed;
}

export interface ChannelSettings {
	configuration: Configuration;
	folder: ModelFolder;
	/** What paints where that one cannot be kept alive; undefined: nothing. */
	fallback: ModelFolder | undefined;
	tuning: Tuning;
	controller: Controller;
	engines: Engines;
	/** Opened by the caller, who also disposes of it. */
	source: FrameSource;
	/** Where frames go, each sink behind its failure policy; the channel disposes of them. */
	openSinks: (canvas: Canvas) => Promise<readonly FrameSink[]>;
	/** Lets others look on, from before the first frame until what it gives is disposed of. */
	attach: (channel: ChannelView) => Promise<AsyncDisposable>;
	/** Keeps what is painted. */
	recording?: Recording;
	/** What the frames were painted with, where they are a recording's. */
	replay?: Replay;
	/** Hears how long things take. */
	times?: TimesObserver;
	/** The sinks know when each frame is due, and want it as soon as it is there. */
	sinksPace?: boolean;
	/** From render to program, where something shows it and measures that. */
	glassToGlassMs?: () => { p50: number; p95: number } | undefined;
	/** Ends the channel cleanly: what was painted so far is written. */
	signal: AbortSignal;
	onProgress?: (progress: Progress) => void;
}

/**
 * One source, painted into its sinks, to the end. Errors: whatever SidecarError stopped it; sinks that were not
 * finished leave nothing behind.
 */
export const runChannel = async ({
	configuration,
	folder,
	fallback: fallbackFolder,
	tuning,
	controller,
	engines,
	source,
	openSinks,
	attach,
	recording,
	replay,
	times,
	sinksPace = false,
	glassToGlassMs,
	signal,
	onProgress,
}: ChannelSettings): Promise<Report> => {
	const { manifest } = folder;
	const { info } = source;
	const isAuto = configuration.size === 'auto' && !('fixed' in manifest.size);
	const painted = configuration.size === 'auto' ? autoPaintedSize(manifest, info.layout) : configuration.size;
	const canvas: Canvas = { painted, fit: isAuto ? 'stretch' : configuration.fit, source: info };
	const keepsAll = configuration.pace === 'max';
	const { batchSize } = tuning;
	const inEngineMax = framesInEngine(tuning);
	const ring = new FrameRing({
		slotCount: inEngineMax + batchSize + 1,
		slotBytes: slotByteLength(info),
		mode: keepsAll ? 'wait' : 'newest-wins',
		waitingMax: batchSize,
	});
	const regions = await openRegions({ controller, configuration, canvas, isReplay: replay !== undefined });
	await using egress = new Egress(await openSinks(canvas));
	await recording?.begin({
		source: { name: info.name, layout: info.layout, frameRate: info.frameRate },
		model: { name: manifest.name, sha256: denoiserHashOf(manifest) },
		painted,
		fit: canvas.fit,
		tuning,
	});
	let framesTaken = 0;
	const recorder = new Recorder(
		{ model: manifest.name, provider: configuration.provider, size: painted, batchSize, steps: tuning.steps },
		{ nowUs, ...(times && { times }) },
	);
	const fallback =
		fallbackFolder && !keepsAll
			? new Fallback(fallbackFolder, configuration, { painted, layout: info.layout })
			: undefined;
	// The engine asks for parameters while it is being made.
	let made: SupervisedEngine | undefined;
	const isFallback = () => made?.isFallback === true;
	const every = (ms: number, work: () => void) => stopping(setInterval(work, ms));
	// Who paints every frame, or keeps what is painted, wants it as it was asked for.
	using governor =
		keepsAll || recording || configuration.governor === 'off'
			? undefined
			: new Governing({
					tuning,
					sizeOf: isAuto
						? (share) =>
								autoPaintedSize(isFallback() ? fallback!.folder.manifest : manifest, info.layout, share * AUTO_PIXELS)
						: undefined,
					isPainting: () => engine.state === 'painting',
					arrivedCount: () => framesTaken + ring.droppedCount,
					resize: (size) => engine.resize(size),
					nowUs,
					every,
				});
	await using engine: SupervisedEngine = new SupervisedEngine({
		start: (listener, { parameters, provider, int8Graphs, painted: resized, ...how }) => {
			const own = how.isFallback ? fallback! : { folder, painted, provider: configuration.provider };
			return engines.start(
				{
					folder: own.folder,
					provider: (provider as Configuration['provider'] | undefined) ?? own.provider,
					precision: int8Graphs ?? replay?.int8Graphs ?? parameters.tuning.precision,
					painted: resized ?? own.painted,
					paintedBeside: own.painted,
					favours: favoursOf(configuration),
					fit: canvas.fit,
					batchDeadlineMs: keepsAll ? Infinity : LIVE_BATCH_DEADLINE_MS,
					parameters,
					logLevel: log.level,
					frameBytes: pictureByteLength(info.layout),
					inFlightMax: inEngineMax,
					stream: ring,
				},
				recording ? recording.hearing(listener) : listener,
			);
		},
		hasFallback: fallback !== undefined,
		ring,
		parametersNow: (frame) => {
			const atUs = replay ? replay.advance(controller, frame) : nowUs();
			if (frame) recording?.keep(frame, ring.bytes(frame.slot), atUs);
			const asked = controller.parametersAt(atUs);
			const parameters = isFallback() ? fallback!.parametersOf(asked) : asked;
			return governor?.relieve(parameters) ?? parameters;
		},
		// The relay has the source's own pictures, and the page's is no larger than the painting.
		keepsSource: !sinksPace && configuration.output === 'source',
		batchSize,
		movesBuffer: tuning.movingBuffer === true,
		keepsAll,
		limits: { staleAfterUs: configuration.staleAfterMs * 1000, stuckAfterUs: STUCK_AFTER_US },
		observer: {
			stage: (name, ms) => recorder.stage(name, ms),
			batch: (batchTimes) => {
				recorder.batch(batchTimes);
				governor?.batch(batchTimes);
			},
		},
		nowUs,
		every: (us, work) => every(us / 1000, work),
		after: (us, work) => stopping(setTimeout(work, us / 1000)),
	});
	made = engine;
	const look = new FrameLook({ controller, failure: configuration.failure, canvas, native: loadNative() });
	using _look = controller.takeFramesFrom(look.take);
	await using sampling = openSampling({ configuration, folder, tuning, controller, canvas, engines, engine });
	const framesTotal = frameCount(configuration, info);
	const onShown = show({ recorder, controller, ...(onProgress && { onProgress }), framesTotal });
	await using output =
		keepsAll || sinksPace
			? egress
			: new PacedEgress(egress, {
					repeatEveryUs: Math.round((1e6 * info.frameRate.den) / info.frameRate.num),
					nowUs,
					sleep: sleepUs,
					onShown,
				});
	using _panic = onPanic(controller, () => {
		if (output instanceof PacedEgress) output.refresh();
	});
	const count = () => {
		recorder.setFramesDropped({
			unpainted: ring.droppedCount + (governor?.thinnedCount ?? 0),
			unshown: output instanceof PacedEgress ? output.droppedCount : 0,
		});
		recorder.setEngine({
			model: (isFallback() ? fallback! : { folder }).folder.manifest.name,
			provider: engine.provider ?? configuration.provider,
			restarts: engine.restarts,
			int8Graphs: engine.int8Graphs ?? [],
			batchSize: Math.min(batchSize, engine.batchMax),
		});
		const delay = glassToGlassMs?.();
		if (delay) recorder.setGlassToGlass(delay);
	};
	const view = () => {
		count();
		const run = runView(recorder, engine.state, info);
		const paintedNow = engine.painted ?? (isFallback() ? fallback!.painted : painted);
		const { device, memoryRelief } = engine;
		return {
			...run,
			engine: {
				...run.engine,
				...(device && { device: describeDevice(device) }),
				...(memoryRelief !== undefined && { memoryRelief }),
			},
			painted: paintedNow,
			...(governor && { governor: governor.view }),
		};
	};
	const queue = () => ({ waiting: ring.waitingCount, painting: ring.takenCount });
	const report = () => {
		count();
		return recorder.report();
	};
	await using _attached = await attach({
		...canvas,
		view,
		report,
		queue,
		remote: () => engines.remote?.(ring),
		thumbnails: sampling.sampler,
	});
	if (!info.isLive) await untilAborted(engine.ready, signal);
	log.info(
		{
			model: manifest.name,
			provider: engine.provider,
			device: engine.device?.name,
			int8Graphs: engine.int8Graphs,
			painted,
			source: info.name,
			style: controller.view().style,
		},
		'painting',
	);
	const stop = linkedTo(signal);
	const ended: Promise<{ end?: SourceEnd; error?: unknown }> = source.run(ring, stop.signal).then(
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
		const taken = take(ring.frames(stop.signal), configuration.frames ?? Infinity, () => {
			framesTaken++;
			recorder.frameIn();
		});
		const thinned = governor?.thin(taken, (frame) => ring.release(frame)) ?? taken;
		const frames = keepsAll && recording ? recording.paced(thinned) : thinned;
		const masked = regions.masked(frames, {
			ring,
			upTo: (frame) => replay?.advance(controller, frame),
			showsWhole: () => egress.showsWhole(),
		});
		for await (const frame of engine.paint(masked)) {
			sampling.see(frame);
			look.see(frame);
			if (frame.kind === 'painting') governor?.framePainted();
			const shown = await regions.shown(frame);
			await output.present(shown);
			if (output === egress) onShown(shown, 'new', nowUs());
		}
	} finally {
		stop.abort();
	}
	const { end, error } = await ended;
	try {
		await output.finish();
	} finally {
		await recording?.finish();
	}
	if (error !== undefined) throw error;
	onProgress?.(recorder.progress(framesTotal));
	for (const warning of end?.warnings ?? []) log.warn(warning);
	return report();
};

/** Calls back each time that panic begins. */
const onPanic = (controller: Controller, begin: () => void): Disposable => {
	let wasPanic = controller.isPanic;
	const unsubscribe = controller.subscribe(() => {
		const begins = controller.isPanic && !wasPanic;
		wasPanic = controller.isPanic;
		if (begins) begin();
	});
	return { [Symbol.dispose]: unsubscribe };
};
