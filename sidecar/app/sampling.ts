import type { Configuration } from '../config/schema/configuration.ts';
import type { ModelManifest } from '../config/schema/manifest.ts';
import type { Tuning } from '../config/schema/tuning.ts';
import type { Controller } from '../control/controller.ts';
import type { Engines } from '../engine/engine-process.ts';
import type { SupervisedEngine } from '../engine/supervised-engine.ts';
import { SidecarError } from '../errors.ts';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, rgbLayout, type Picture, type Size, type StyledFrame } from '../frame/frame.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import { autoPaintedSize } from '../inference/painted-size.ts';
import type { Favours } from '../inference/session.ts';
import { loadNative } from '../native.ts';
import { resolveParameters } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import type { Canvas } from './channel.ts';
import { sleepUs } from './limits.ts';
import { SampleLine, samplingTuning } from './sample-line.ts';
import { StyleSampler } from './style-sampler.ts';

/** 224x128 for a source of 16:9. */
const THUMBNAIL_PIXELS = 28_000;
/** Whoever still looks at styles asks again long before. */
const LEFT_BEHIND_AFTER_US = 60_000_000;
/** A model that paints nothing smaller than this takes too long for one. */
const THUMBNAIL_PIXELS_MAX = 65_536;

interface SamplingSettings {
	configuration: Pick<Configuration, 'provider' | 'failure' | 'pace'>;
	folder: ModelFolder;
	tuning: Tuning;
	controller: Controller;
	canvas: Canvas;
	engines: Engines;
	/** The channel's own: a thumbnail is painted by its process. */
	engine: SupervisedEngine;
}

/** The thumbnails of a channel, and whom to show its frames. */
interface Sampling extends AsyncDisposable {
	sampler: StyleSampler;
	see: (frame: StyledFrame) => void;
}

/**
 * The thumbnails of a channel's styles. Their line in the engine is opened when somebody first asks for one. While another
 * model paints instead of the channel's own there are none.
 */
export const openSampling = ({
	configuration,
	folder,
	tuning: channelTuning,
	controller,
	canvas,
	engines,
	engine,
}: SamplingSettings): Sampling => {
	const size = thumbnailSizeOf(folder.manifest, canvas.painted);
	const layout = rgbLayout(size ?? scaled(canvas.painted, THUMBNAIL_PIXELS));
	const tuning = samplingTuning(channelTuning);
	let line: SampleLine | undefined;
	let epoch = 0;
	let askedUs = 0;
	/** The channel has moved to another process, and this line alone keeps the old one. */
	const isLeftBehind = () =>
		engine.pid !== undefined && line?.pid !== engine.pid && nowUs() - askedUs > LEFT_BEHIND_AFTER_US;
	const closeLine = async () => {
		const closing = line;
		line = undefined;
		await closing?.[Symbol.asyncDispose]();
	};

	const shrink = async (source: Picture): Promise<Picture> => {
		const isPainted = source.width === canvas.painted.width && source.height === canvas.painted.height;
		const small = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
		await loadNative().convert(source, small, isPainted ? 'stretch' : canvas.fit);
		return small;
	};
	const sampler = new StyleSampler({
		controller,
		failure: configuration.failure,
		isPainting: () => engine.state === 'painting' && !engine.isFallback,
		shrink,
		paint: async (picture, preset) => {
			const parameters = resolveParameters(preset, tuning, epoch++);
			askedUs = nowUs();
			if (!size)
				throw new SidecarError(
					'ERR_MODEL',
					`The model ${folder.manifest.name} paints nothing as small as a thumbnail.`,
				);
			if (line?.isLost) await closeLine();
			line ??= new SampleLine(
				{
					size,
					start: (listener, first) =>
						engines.start(
							{
								folder,
								provider: (engine.provider as Configuration['provider'] | undefined) ?? configuration.provider,
								precision: engine.int8Graphs ?? tuning.precision,
								painted: size,
								paintedBeside: canvas.painted,
								favours: favoursOf(configuration),
								fit: 'stretch',
								batchDeadlineMs: 0,
								parameters: first,
								logLevel: log.level,
								frameBytes: picture.data.length,
								inFlightMax: 2,
							},
							listener,
						),
					nowUs,
				},
				parameters,
			);
			return await line.paint(picture, parameters);
		},
		nowUs,
		sleep: sleepUs,
	});
	return {
		sampler,
		see: (frame) => {
			sampler.see(frame);
			// It would start a model again and again that cannot be kept alive, or keep one that nobody else uses.
			if (line && (engine.isFallback || isLeftBehind())) void closeLine();
		},
		[Symbol.asyncDispose]: async () => {
			sampler[Symbol.dispose]();
			await closeLine();
		},
	};
};

/** Live, the newest frame matters; where every frame is painted, how soon they are all done. */
export const favoursOf = ({ pace }: Pick<Configuration, 'pace'>): Favours => (pace === 'max' ? 'rate' : 'latency');

/** Undefined where the model has no size as small as that. */
export const thumbnailSizeOf = (manifest: ModelManifest, painted: Size): Size | undefined => {
	const size = autoPaintedSize(manifest, painted, THUMBNAIL_PIXELS);
	return 'fixed' in manifest.size || size.width * size.height > THUMBNAIL_PIXELS_MAX ? undefined : size;
};

const scaled = ({ width, height }: Size, pixels: number): Size => {
	const scale = Math.sqrt(pixels / (width * height));
	return { width: Math.round(width * scale), height: Math.round(height * scale) };
};
