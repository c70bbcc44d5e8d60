import type { GraphRole } from '../config/schema/manifest.ts';
import type { Frame, Size, StyledFrame } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import { checkPaintedSize } from '../inference/painted-size.ts';
import type { Provider } from '../inference/session.ts';
import type { Fit, NativeAddon } from '../native.ts';
import { Batcher } from './batcher.ts';
import { Converter } from './converter.ts';
import { DenoiserStream } from './denoiser-stream.ts';
import { EncoderStream } from './encoder-stream.ts';
import type { Engine, EngineObserver, LineState, ParametersNow } from './engine.ts';
import { paintLine, type Stages } from './line.ts';
import { MotionTracker } from './motion-tracker.ts';
import { NoiseField } from './noise-field.ts';
import { SimilarityFilter } from './similarity-filter.ts';
import { Streams, type StreamsSettings } from './streams.ts';
import { TemporalAdapter } from './temporal-adapter.ts';

export interface LineSettings {
	painted: Size;
	fit: Fit;
	/** Where the frames' pixels are; each slot is given back as soon as they were read. */
	ring: Pick<FrameRing, 'bytes' | 'release'>;
	parametersNow: ParametersNow;
	/** How long the batcher waits for a batch to fill; Infinity when every frame is painted. */
	batchDeadlineMs: number;
	native: NativeAddon;
	observer: EngineObserver;
	/** False, for a measurement: the streams take turns. */
	overlaps?: boolean;
}

export interface WorkerEngineSettings extends LineSettings, Omit<StreamsSettings, 'precision'> {
	/** Graphs to run in int8; left out, by the tuning's precision. */
	int8Graphs?: readonly GraphRole[];
}

/** The engine in threads of this process: one line over two streams, which other lines may use beside it. */
export class WorkerEngine implements Engine {
	readonly provider: Provider;
	/** The others run in fp32. */
	readonly int8Graphs: readonly GraphRole[];
	readonly #stages: Stages;
	readonly #batchesAhead: number;
	readonly #overlaps: boolean | undefined;
	readonly #close: () => Promise<void>;

	private constructor(streams: Streams, settings: LineSettings, closeStreams: () => Promise<void>) {
		const { painted, native, observer, ring, fit } = settings;
		const { manifest } = streams.folder;
		const { latents, textEncoder } = manifest;
		const isCausal = manifest.family === 'causal-dit';
		const causal = isCausal && { painted, referencePrompt: manifest.textEncoder.referencePrompt };
		this.provider = streams.provider;
		this.int8Graphs = streams.int8Graphs;
		const device = streams.newLine();
		this.#close = async () => {
			await device[Symbol.asyncDispose]();
			await closeStreams();
		};
		this.#stages = {
			batcher: new Batcher({ parametersNow: settings.parametersNow, deadlineMs: settings.batchDeadlineMs }),
			converter: new Converter({ native, ring, painted, fit, observer }),
			similarityFilter: new SimilarityFilter({ native, observer }),
			motionTracker: new MotionTracker({
				native,
				noise: new NoiseField({ native, painted, latents }),
				observer,
				tellsCuts: isCausal,
			}),
			encoderStream: new EncoderStream({
				device,
				native,
				vision: textEncoder.image,
				...(causal && { causal }),
				observer,
			}),
			temporalAdapter: new TemporalAdapter({ native, observer }),
			denoiserStream: new DenoiserStream({ device, observer, deadlineMs: settings.batchDeadlineMs }),
		};
		this.#batchesAhead = streams.batchesAhead;
		this.#overlaps = settings.overlaps;
	}

	/** Over streams of its own. Errors: ERR_MODEL, ERR_PROVIDER. */
	static async open(settings: WorkerEngineSettings): Promise<WorkerEngine> {
		const { folder, int8Graphs, parametersNow, painted } = settings;
		checkPaintedSize(folder.manifest, painted);
		const streams = await Streams.open({ ...settings, precision: int8Graphs ?? parametersNow().tuning.precision });
		return new WorkerEngine(streams, settings, () => streams[Symbol.asyncDispose]());
	}

	/** Over streams that are the caller's, and shared with others. Errors: ERR_MODEL. */
	static on(streams: Streams, settings: LineSettings): WorkerEngine {
		checkPaintedSize(streams.folder.manifest, settings.painted);
		return new WorkerEngine(streams, settings, () => Promise.resolve());
	}

	/** Before the first frame: goes on where another engine was, so that neither style nor strokes jump. */
	resume(state: LineState): void {
		const { encoderStream, motionTracker, temporalAdapter } = this.#stages;
		const { epoch, source, painting } = state;
		encoderStream.resume(state);
		motionTracker.resume(source, epoch);
		temporalAdapter.resume({ painting, source });
	}

	paint(frames: AsyncIterable<Frame>): AsyncIterable<StyledFrame> {
		return paintLine(frames, this.#stages, { batchesAhead: this.#batchesAhead, overlaps: this.#overlaps });
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#close();
	}
}
