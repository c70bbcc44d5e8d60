import type { Configuration } from '../config/schema/configuration.ts';
import { foreignTuning, int8GraphsOf, resolveTuning, type ModelManifest } from '../config/schema/manifest.ts';
import type { Tuning, TuningOverrides } from '../config/schema/tuning.ts';
import { sinksOf } from '../config/sinks.ts';
import type { ObsLink, ObsStream } from '../control/obs-link.ts';
import type { FailureRule } from '../egress/failure-policy.ts';
import { openFileSink } from '../egress/file-sink.ts';
import { openNdiSink } from '../egress/ndi-sink.ts';
import type { FrameSink, SinkSetup } from '../egress/frame-sink.ts';
import { openNullSink } from '../egress/null-sink.ts';
import { openSrtSink } from '../egress/srt-sink.ts';
import { openV4l2Sink } from '../egress/v4l2-sink.ts';
import { SidecarError } from '../errors.ts';
import { checkWindow } from '../inference/causal/frame-window.ts';
import { BUFFERED } from '../inference/causal/moving-buffer.ts';
import { openCameraSource } from '../ingest/camera-source.ts';
import { openFileSource } from '../ingest/file-source.ts';
import type { FrameSource } from '../ingest/frame-source.ts';
import { openNdiSource } from '../ingest/ndi-source.ts';
import { openObsSource, type ObsTaps } from '../ingest/obs-source.ts';
import { openBackdropSource, openSceneSource } from '../ingest/scene-source.ts';
import { openScreenshotSource, type Shoot } from '../ingest/screenshot-source.ts';
import { openSrtSource } from '../ingest/srt-source.ts';
import type { Fit, NativeAddon } from '../native.ts';
import { isStreamBatched } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';

/** How a sink undoes what was done to meet the painted size: what was cropped comes back as bars, bars are cropped. */
export const OPPOSITE_FIT: Record<Fit, Fit> = { cover: 'contain', contain: 'cover', stretch: 'stretch' };

/**
 * The tuning in force: the model's own, and what was asked for besides. What the model's family does not have is left out, and
 * the log says so. Errors: ERR_MODEL and ERR_CONFIG, where the model cannot do what was asked.
 */
export const chooseTuning = (manifest: ModelManifest, asked: TuningOverrides): Tuning => {
	if (asked.movingBuffer) checkMovingBuffer(manifest);
	const ignored = foreignTuning(manifest, asked);
	if (ignored.length > 0)
		log.warn({ model: manifest.name, family: manifest.family, ignored }, "the model's family has no such tuning");
	const tuning = resolveTuning(manifest, asked);
	checkTuning(manifest, tuning);
	const own = resolveTuning(manifest, {});
	const unused = (['windowFrames', 'sinkFrames'] as const).filter((key) => tuning[key] !== own[key]);
	if (tuning.movingBuffer && unused.length > 0)
		log.warn({ model: manifest.name, unused }, 'a moving buffer has no window of frames');
	return tuning;
};

/** What else is not of the model's family makes no difference; this would. Errors: ERR_MODEL. */
const checkMovingBuffer = ({ name, family, graphs }: ModelManifest): void => {
	if (!('dit_buffer' in graphs))
		throw new SidecarError(
			'ERR_MODEL',
			`The model ${name} (${family}) has no graph dit_buffer. Leave --moving-buffer out.`,
		);
};

/** Errors: ERR_MODEL, ERR_CONFIG. */
export const checkTuning = (manifest: ModelManifest, asked: Tuning): void => {
	const { name, steps } = manifest;
	if (!steps.supported.includes(asked.steps))
		throw new SidecarError(
			'ERR_MODEL',
			`The model ${name} takes ${steps.supported.join(', ')} steps, not ${asked.steps}.`,
		);
	if (asked.precision === 'int8' && Object.keys(int8GraphsOf(manifest)).length === 0)
		throw new SidecarError('ERR_MODEL', `The model ${name} has no graphs in int8; give --precision fp32 or auto.`);
	if (manifest.family === 'causal-dit') {
		const { window } = manifest;
		const { windowFrames: frames = window.frames, sinkFrames = window.sinkFrames } = asked;
		checkWindow({ frames, sinkFrames }, window.frames);
		if (isStreamBatched({ ...asked, movingBuffer: false }))
			throw new SidecarError(
				'ERR_MODEL',
				`The model ${name} paints each frame from the one before it, not several at once. Leave --stream-batch out.`,
			);
		if (!asked.movingBuffer) return;
		if (asked.steps !== BUFFERED)
			throw new SidecarError(
				'ERR_MODEL',
				`The moving buffer of ${name} has a frame at each of ${BUFFERED} steps, not ${asked.steps}. Give --steps ${BUFFERED}, or leave --moving-buffer out.`,
			);
		if (asked.maskCache)
			throw new SidecarError(
				'ERR_CONFIG',
				'In a moving buffer every frame is painted as a whole. Leave --mask-cache or --moving-buffer out.',
			);
		return;
	}
	const timestep = manifest.graphs.unet.inputs.find((input) => input.name === 'timestep');
	if (isStreamBatched(asked) && timestep?.shape[0] !== 'batch')
		throw new SidecarError(
			'ERR_MODEL',
			`The model ${name} takes one timestep for all frames of a run, not one for each. Leave --stream-batch out.`,
		);
};

/** Scene and backdrop are drawn on the event loop: 5 ms a frame at this size, 15 at 1280x720. */
const DRAWN = { size: { width: 640, height: 360 }, frameRate: { num: 30, den: 1 } };

/** The source that the configuration names. Errors: ERR_SOURCE, ERR_CONFIG, ERR_RUNTIME. */
export const openSource = (
	{ source, pace, fps, cameraSize, cameraFormat, ndi }: Configuration,
	{
		taps,
		shoot,
		native,
		signal,
	}: { taps: ObsTaps | undefined; shoot: Shoot | undefined; native: NativeAddon; signal: AbortSignal },
): Promise<FrameSource> => {
	const drawn = { ...DRAWN, ...(fps && { frameRate: { num: Math.round(fps * 1000), den: 1000 } }), pace };
	if (source === 'scene') return openSceneSource({ ...drawn, seed: 0 });
	if (source.startsWith('backdrop'))
		return openBackdropSource({ ...drawn, seed: Number(source.slice('backdrop:'.length)) });
	if (source.startsWith('camera:'))
		return openCameraSource(source.slice('camera:'.length), { pace, fps, size: cameraSize, format: cameraFormat });
	if (source.startsWith('obs-screenshot:')) {
		if (pace === 'max') throw ownPace('OBS');
		if (!shoot)
			throw new SidecarError(
				'ERR_CONFIG',
				'Screenshots come through obs-websocket. Put its password into ALLAPRIMA_OBS_PASSWORD, or obs.websocket into the configuration.',
			);
		return openScreenshotSource(source.slice('obs-screenshot:'.length), { shoot, fps });
	}
	if (fps !== undefined)
		throw new SidecarError(
			'ERR_CONFIG',
			'Files, OBS, NDI and SRT have a frame rate of their own. Leave fps out; it is for the scene, the backdrop and cameras.',
		);
	if (source.startsWith('ndi:')) {
		if (pace === 'max') throw ownPace('NDI');
		return openNdiSource(source.slice('ndi:'.length), { network: ndi, signal });
	}
	if (source.startsWith('srt:')) {
		if (pace === 'max') throw ownPace('SRT');
		return openSrtSource(source, signal);
	}
	if (taps) return openObsSource(taps, { native, signal });
	return openFileSource(source.slice('file:'.length), { pace });
};

/** The filter that is asked for: undefined where the source is not OBS, else a part of its name, or nothing. */
export const obsFilterOf = ({ source, sinks, pace }: Configuration): { wanted: string | undefined } | undefined => {
	const match = /^obs(?::(.+))?$/s.exec(source);
	if (!match && sinks.includes('obs'))
		throw new SidecarError(
			'ERR_CONFIG',
			'The sink obs shows what the filter in OBS gave. Use --source obs with it, or a virtual camera (v4l2:DEVICE).',
		);
	if (match && pace === 'max') throw ownPace('OBS');
	return match ? { wanted: match[1] } : undefined;
};

const ownPace = (what: string) =>
	new SidecarError('ERR_CONFIG', `${what} runs at its own pace. Leave --pace max out; it is for files and the scene.`);

/** What a source needs to know of its filter. */
export const tapsOf = (link: ObsLink, stream: () => ObsStream | undefined): ObsTaps => ({
	current: () => {
		const { tap, name, fps } = stream() ?? {};
		return tap && name && fps ? { path: tap, name, frameRate: fps } : undefined;
	},
	changed: (signal) => link.changed(signal),
});

const openSink = async (sink: string, setup: SinkSetup, { ndi }: Pick<Configuration, 'ndi'>): Promise<FrameSink> => {
	if (sink === 'null') return openNullSink();
	if (sink.startsWith('v4l2:')) return openV4l2Sink(sink.slice('v4l2:'.length), setup);
	if (sink.startsWith('ndi:')) return openNdiSink(sink.slice('ndi:'.length), setup, ndi);
	if (sink.startsWith('srt:')) return openSrtSink(sink, setup);
	return openFileSink(sink.slice('file:'.length), setup);
};

/** A sink, and what it shows without a painting. */
export interface OpenedSink {
	sink: FrameSink;
	rule: FailureRule;
}

/** The sinks that were asked for, but for OBS. Errors: ERR_SINK, ERR_RUNTIME, ERR_CONFIG. */
export const openSinks = async (configuration: Configuration, setup: SinkSetup): Promise<OpenedSink[]> => {
	const sinks = sinksOf(configuration);
	if (configuration.pace === 'max' && sinks.some(({ to }) => /^(v4l2|ndi|srt):/.test(to)))
		throw new SidecarError(
			'ERR_CONFIG',
			'A virtual camera, NDI and SRT show live pictures. Leave --pace max out, or name a file.',
		);
	const opened: OpenedSink[] = [];
	try {
		for (const { to, rule } of sinks)
			if (to !== 'obs') opened.push({ sink: await openSink(to, setup, configuration), rule });
		return opened;
	} catch (error) {
		for (const { sink } of opened) await sink[Symbol.asyncDispose]();
		throw error;
	}
};
