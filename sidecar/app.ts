import type { Configuration, ModelManifest, Tuning } from './config/schema.ts';
import { resolveTuning } from './config/schema.ts';
import { choosePreset } from './control/presets.ts';
import { Egress } from './egress/egress.ts';
import { openFileSink } from './egress/file-sink.ts';
import type { FrameSink, SinkSetup } from './egress/frame-sink.ts';
import { openNullSink } from './egress/null-sink.ts';
import type { EngineObserver } from './engine/engine.ts';
import { WorkerEngine } from './engine/worker-engine.ts';
import { SidecarError } from './errors.ts';
import { nowUs } from './frame/clock.ts';
import { pictureByteLength, type Frame, type Size } from './frame/frame.ts';
import { FrameRing } from './frame/ring.ts';
import { findModelFolder, openModelFolder } from './inference/manifest.ts';
import { autoPaintedSize } from './inference/painted-size.ts';
import { openFileSource } from './ingest/file-source.ts';
import type { FrameSource } from './ingest/frame-source.ts';
import { openSceneSource } from './ingest/scene-source.ts';
import { loadNative, type Fit } from './native.ts';
import { resolveParameters } from './parameters.ts';
import { log } from './telemetry/logger.ts';
import { Recorder, type Progress, type Report } from './telemetry/report.ts';

/** A batch being filled, one being encoded and one being denoised: the ring must hold them all. */
const BATCHES_IN_RING = 3;

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
}

/**
 * Joins source, engine and sinks, runs them to the end and gives the report.
 * Errors: whatever SidecarError stopped it; sinks that were not finished leave nothing behind.
 */
export const runApp = async (configuration: Configuration, { signal, onProgress }: RunOptions): Promise<Report> => {
	const preset = await choosePreset(configuration);
	const folder = await openModelFolder(await findModelFolder(configuration.model ?? preset.model));
	const tuning = resolveTuning(folder.manifest, configuration.tuning);
	checkTuning(folder.manifest, tuning);
	const parameters = resolveParameters(preset, tuning, 0);
	const native = loadNative();

	await using source = await openSource(configuration);
	const { info } = source;
	const isAuto = configuration.size === 'auto';
	const painted = configuration.size === 'auto' ? autoPaintedSize(folder.manifest, info.layout) : configuration.size;
	const fit = isAuto && !('fixed' in folder.manifest.size) ? 'stretch' : configuration.fit;
	const keepsAll = configuration.pace === 'max';
	const ring = new FrameRing({
		slotCount: BATCHES_IN_RING * tuning.batchSize,
		slotBytes: pictureByteLength(info.layout),
		mode: keepsAll ? 'wait' : 'newest-wins',
	});
	await using egress = await openEgress(configuration, {
		size: configuration.output === 'painted' ? painted : sizeOf(info.layout),
		fit: OPPOSITE_FIT[fit],
		frameRate: info.frameRate,
		...(info.audio && { audio: info.audio }),
	});

	// The recorder wants to know what the engine chose, and the engine whom to tell: the observer looks late.
	let recorder: Recorder | undefined;
	const observer: EngineObserver = {
		stage: (name, ms) => recorder?.stage(name, ms),
		batch: (times) => recorder?.batch(times),
	};
	await using engine = await WorkerEngine.open({
		folder,
		provider: configuration.provider,
		painted,
		fit,
		ring,
		parametersNow: () => parameters,
		batchDeadlineMs: keepsAll ? Infinity : LIVE_BATCH_DEADLINE_MS,
		native,
		observer,
	});
	for (const refused of engine.providersRefused) log.debug(refused, 'provider refused');
	log.info(
		{ model: engine.model, provider: engine.provider, painted, source: info.name, style: preset.name },
		'painting',
	);
	recorder = new Recorder(
		{
			model: engine.model,
			provider: engine.provider,
			size: painted,
			batchSize: tuning.batchSize,
			steps: tuning.steps,
		},
		{ nowUs },
	);

	const ending = new AbortController();
	const stop = AbortSignal.any([
		signal,
		ending.signal,
		...(configuration.durationS ? [AbortSignal.timeout(configuration.durationS * 1000)] : []),
	]);
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
	const framesTotal = frameCount(configuration, info);
	let progressUs = 0;
	try {
		const frames = take(ring.frames(stop), configuration.frames ?? Infinity, () => recorder.frameIn());
		for await (const frame of engine.paint(frames)) {
			await egress.present(frame);
			const presentedUs = nowUs();
			recorder.frameOut({ ...frame, presentedUs });
			if (presentedUs - progressUs < PROGRESS_EVERY_US) continue;
			progressUs = presentedUs;
			onProgress?.(recorder.progress(framesTotal));
		}
	} finally {
		ending.abort();
	}
	const end = await ended;
	await egress.finish();
	onProgress?.(recorder.progress(framesTotal));
	for (const warning of end?.warnings ?? []) log.warn(warning);
	recorder.setFramesDropped(ring.droppedCount);
	return recorder.report();
};

const sizeOf = ({ width, height }: Size): Size => ({ width, height });

const openSource = ({ source, pace, fps }: Configuration): Promise<FrameSource> => {
	if (source === 'scene')
		return openSceneSource({
			...SCENE,
			...(fps && { frameRate: { num: Math.round(fps * 1000), den: 1000 } }),
			seed: 0,
			pace,
		});
	return openFileSource(source.slice('file:'.length), { pace });
};

const openEgress = async ({ sinks }: Configuration, setup: SinkSetup): Promise<Egress> => {
	const opened: FrameSink[] = [];
	try {
		for (const sink of sinks)
			opened.push(sink === 'null' ? openNullSink() : await openFileSink(sink.slice('file:'.length), setup));
		return new Egress(opened);
	} catch (error) {
		for (const sink of opened) await sink[Symbol.asyncDispose]();
		throw error;
	}
};

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
