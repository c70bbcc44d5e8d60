import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { httpPortOf, resolveTuning, type Configuration, type ModelManifest, type Tuning } from './config/schema.ts';
import { Controller } from './control/controller.ts';
import { startHttpServer, type RunView } from './control/http-server.ts';
import { choosePreset, usablePresets } from './control/presets.ts';
import { Egress } from './egress/egress.ts';
import { openFileSink } from './egress/file-sink.ts';
import { FailureEgress } from './egress/failure-policy.ts';
import type { FrameSink, SinkSetup } from './egress/frame-sink.ts';
import { openNullSink } from './egress/null-sink.ts';
import { PacedEgress } from './egress/paced-egress.ts';
import { PreviewSink } from './egress/preview-sink.ts';
import { startEngineProcess } from './engine/engine-process.ts';
import { SupervisedEngine } from './engine/supervised-engine.ts';
import { openV4l2Sink } from './egress/v4l2-sink.ts';
import { SidecarError } from './errors.ts';
import { nowUs } from './frame/clock.ts';
import { pictureByteLength, type Frame, type Size, type StyledFrame } from './frame/frame.ts';
import { FrameRing } from './frame/ring.ts';
import { findModelFolder, openModelFolder } from './inference/manifest.ts';
import { autoPaintedSize } from './inference/painted-size.ts';
import { openCameraSource } from './ingest/camera-source.ts';
import { openFileSource } from './ingest/file-source.ts';
import type { FrameSource } from './ingest/frame-source.ts';
import { openSceneSource } from './ingest/scene-source.ts';
import { loadNative, type Fit } from './native.ts';
import { log } from './telemetry/logger.ts';
import { Recorder, type Progress, type Report } from './telemetry/report.ts';

/** Batches in the engine at a time: one being encoded, one being denoised, one on its way out. */
const BATCHES_IN_ENGINE = 3;

/** An engine that owes a frame for this long is started again. */
const STUCK_AFTER_US = 5_000_000;

/** A live batch waits no longer than this for its last frames. */
const LIVE_BATCH_DEADLINE_MS = 100;

const PROGRESS_EVERY_US = 250_000;

/** The scene is drawn on the event loop: 5 ms a frame at this size, 15 at 1280x720. */
const SCENE = { size: { width: 640, height: 360 }, frameRate: { num: 30, den: 1 } };

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

	await using source = await openSource(configuration);
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
	await using egress = new FailureEgress(
		await openEgress(configuration, [...sinks, ...(port === undefined ? [] : [preview])], {
			size: configuration.output === 'painted' ? painted : sizeOf(info.layout),
			fit: OPPOSITE_FIT[fit],
			frameRate: info.frameRate,
			...(info.audio && { audio: info.audio }),
		}),
		{ policy: configuration.failure, painted, isPanic: () => controller.isPanic },
	);

	const recorder = new Recorder(
		{ model: manifest.name, provider: configuration.provider, size: painted, batchSize, steps: tuning.steps },
		{ nowUs },
	);
	const parametersNow = () => controller.parametersAt(nowUs());
	await using engine = new SupervisedEngine({
		start: (listener, parameters, provider) =>
			startEngineProcess(
				{
					folder,
					provider: (provider as Configuration['provider'] | undefined) ?? configuration.provider,
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
		recorder.setEngine({ provider: engine.provider ?? configuration.provider, restarts: engine.restarts });
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

	using limit = stopAfter(signal, configuration.durationS);
	const stop = limit.signal;
	if (!info.isLive) await untilAborted(engine.ready, stop);
	log.info(
		{ model: manifest.name, provider: engine.provider, painted, source: info.name, style: preset.name },
		'painting',
	);
	const ended = source.run(ring, stop).then(
		(end) => {
			ring.close();
			return end;
		},
		(error: unknown) => {
			ring.fail(error);
			return undefined; // the line throws it
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
	const end = await ended;
	await output.finish();
	count();
	onProgress?.(recorder.progress(framesTotal));
	for (const warning of end?.warnings ?? []) log.warn(warning);
	return recorder.report();
};

const { version: VERSION } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
	version: string;
};

const openSource = ({ source, pace, fps, cameraSize, cameraFormat }: Configuration): Promise<FrameSource> => {
	if (source === 'scene')
		return openSceneSource({
			...SCENE,
			...(fps && { frameRate: { num: Math.round(fps * 1000), den: 1000 } }),
			seed: 0,
			pace,
		});
	if (source.startsWith('camera:'))
		return openCameraSource(source.slice('camera:'.length), { pace, fps, size: cameraSize, format: cameraFormat });
	if (fps !== undefined)
		throw new SidecarError(
			'ERR_CONFIG',
			'A file has a frame rate of its own. Leave fps out; it is for the scene and for cameras.',
		);
	return openFileSource(source.slice('file:'.length), { pace });
};

const openSink = async (sink: string, setup: SinkSetup): Promise<FrameSink> => {
	if (sink === 'null') return openNullSink();
	if (sink.startsWith('v4l2:')) return openV4l2Sink(sink.slice('v4l2:'.length), setup);
	return openFileSink(sink.slice('file:'.length), setup);
};

/** The sinks that were asked for, then those of our own. */
const openEgress = async ({ sinks }: Configuration, own: readonly FrameSink[], setup: SinkSetup): Promise<Egress> => {
	const opened: FrameSink[] = [];
	try {
		for (const sink of sinks) opened.push(await openSink(sink, setup));
		return new Egress([...opened, ...own]);
	} catch (error) {
		for (const sink of opened) await sink[Symbol.asyncDispose]();
		throw error;
	}
};

const sizeOf = ({ width, height }: Size): Size => ({ width, height });

const checkTuning = ({ name, steps, tuning }: ModelManifest, asked: Tuning): void => {
	if (!steps.supported.includes(asked.steps))
		throw new SidecarError(
			'ERR_MODEL',
			`The model ${name} takes ${steps.supported.join(', ')} steps, not ${asked.steps}.`,
		);
	if (asked.precision !== tuning.precision)
		throw new SidecarError('ERR_MODEL', `The model ${name} has graphs in ${tuning.precision}, not ${asked.precision}.`);
};

/** How many frames the run will have, where that can be known. */
const frameCount = (
	{ frames, durationS }: Configuration,
	{ durationUs, frameRate }: FrameSource['info'],
): number | undefined => {
	if (durationS !== undefined) return frames;
	const inSource = durationUs > 0 ? Math.round((durationUs * frameRate.num) / (1e6 * frameRate.den)) : Infinity;
	const count = Math.min(frames ?? Infinity, inSource);
	return Number.isFinite(count) ? count : undefined;
};

/** Tells the recorder of each frame shown, with the time that a switch of style took. */
const show = ({
	recorder,
	controller,
	onProgress,
	framesTotal,
}: {
	recorder: Recorder;
	controller: Controller;
	onProgress?: (progress: Progress) => void;
	framesTotal: number | undefined;
}) => {
	let epoch = 0;
	let progressUs = 0;
	return (frame: StyledFrame, how: 'new' | 'again', presentedUs: number): void => {
		if (how === 'again') recorder.frameRepeated();
		else if (frame.kind === 'unpainted') recorder.frameUnpainted();
		else recorder.frameOut({ ...frame, presentedUs });
		const { change } = controller;
		if (frame.epoch > epoch) {
			epoch = frame.epoch;
			if (change.epoch === epoch)
				recorder.styleSwitched({ epoch, style: change.style, latencyMs: (presentedUs - change.changedUs) / 1000 });
		}
		if (!onProgress || presentedUs - progressUs < PROGRESS_EVERY_US) return;
		progressUs = presentedUs;
		onProgress(recorder.progress(framesTotal));
	};
};

const runView = (recorder: Recorder, state: RunView['engine']['state'], source: string): RunView => {
	const report = recorder.report();
	const { fps, latencyMsP50, latencyMsP95 } = recorder.progress();
	return {
		engine: { state, model: report.model, provider: report.provider, restarts: report.engineRestarts },
		source,
		painted: report.size,
		fps,
		latencyMs: { p50: latencyMsP50, p95: latencyMsP95 },
		sideStreamMs: report.sideStreamMs,
		mainStreamMs: report.mainStreamMs,
		framesIn: report.framesIn,
		framesOut: report.framesOut,
		framesDropped: report.framesDropped,
		framesRepeated: report.framesRepeated,
		framesUnpainted: report.framesUnpainted,
	};
};

/**
 * Aborts with the signal, after the time, or when told to. Not AbortSignal.any over AbortSignal.timeout: Node 20
 * collects such a timeout as garbage, and it never comes.
 */
const stopAfter = (
	signal: AbortSignal,
	durationS: number | undefined,
): Disposable & { signal: AbortSignal; stop: () => void } => {
	const controller = new AbortController();
	const stop = () => controller.abort();
	const timer = durationS === undefined ? undefined : setTimeout(stop, durationS * 1000);
	signal.addEventListener('abort', stop, { once: true });
	if (signal.aborted) stop();
	return {
		signal: controller.signal,
		stop,
		[Symbol.dispose]: () => {
			clearTimeout(timer);
			signal.removeEventListener('abort', stop);
		},
	};
};

/** Errors: whatever `work` rejects with, unless the signal aborts first. */
const untilAborted = async (work: Promise<void>, signal: AbortSignal): Promise<void> => {
	const aborted = once(signal, 'abort');
	await (signal.aborted ? undefined : Promise.race([work, aborted]));
};

/** What ends a timer. */
const stopping = (timer: NodeJS.Timeout) => () => clearTimeout(timer);

/** Until the time has passed or the signal aborts. */
const sleepUs = async (us: number, signal: AbortSignal): Promise<void> => {
	if (us <= 0) return;
	// The longest that a timer can be set to is 25 days.
	await sleep(Math.min(Math.ceil(us / 1000), 2 ** 31 - 1), undefined, { signal }).catch(() => {});
};

async function* take(
	frames: AsyncIterable<Frame>,
	count: number,
	onFrame: () => void,
): AsyncGenerator<Frame, void, undefined> {
	let taken = 0;
	for await (const frame of frames) {
		onFrame();
		yield frame;
		if (++taken >= count) return;
	}
}
