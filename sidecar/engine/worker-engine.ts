import type { GraphRole } from '../config/schema.ts';
import type { Frame, Size, StyledFrame } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import { checkPaintedSize } from '../inference/painted-size.ts';
import { chooseProvider, type ProviderChoice } from '../inference/provider-probe.ts';
import type { Provider } from '../inference/session.ts';
import { WorkerClient } from '../inference/worker-client.ts';
import type { Fit, NativeAddon } from '../native.ts';
import { Batcher } from './batcher.ts';
import { Converter } from './converter.ts';
import { DenoiserStream } from './denoiser-stream.ts';
import { EncoderStream } from './encoder-stream.ts';
import type { Engine, EngineObserver, ParametersNow } from './engine.ts';
import { paintLine, type Stages } from './line.ts';
import { MotionTracker } from './motion-tracker.ts';
import { NoiseField } from './noise-field.ts';
import { TemporalAdapter } from './temporal-adapter.ts';

export interface WorkerEngineSettings {
	folder: ModelFolder;
	/** `auto` takes the first that starts, fastest first. */
	provider: Provider | 'auto';
	/** Graphs to run in int8; left out, by the tuning's precision. */
	int8Graphs?: readonly GraphRole[];
	painted: Size;
	fit: Fit;
	/** Where the frames' pixels are; each slot is given back as soon as they were read. */
	ring: Pick<FrameRing, 'bytes' | 'release'>;
	parametersNow: ParametersNow;
	/** How long the batcher waits for a batch to fill; Infinity when every frame is painted. */
	batchDeadlineMs: number;
	native: NativeAddon;
	observer: EngineObserver;
}

/** The engine in threads of this process: one for each stream, each with sessions of its own. */
export class WorkerEngine implements Engine {
	readonly provider: Provider;
	/** The others run in fp32. */
	readonly int8Graphs: readonly GraphRole[];
	/** What was tried before the provider that started, with the reasons. */
	readonly providersRefused: ProviderChoice['refused'];
	readonly #streams: Streams;
	readonly #stages: Stages;

	private constructor(streams: Streams, settings: WorkerEngineSettings, providersRefused: ProviderChoice['refused']) {
		const { folder, painted, native, observer, ring, fit } = settings;
		const { latents, textEncoder } = folder.manifest;
		this.provider = streams.provider;
		this.int8Graphs = streams.int8Graphs;
		this.providersRefused = providersRefused;
		this.#streams = streams;
		this.#stages = {
			batcher: new Batcher({ parametersNow: settings.parametersNow, deadlineMs: settings.batchDeadlineMs }),
			converter: new Converter({ native, ring, painted, fit, observer }),
			motionTracker: new MotionTracker({ native, noise: new NoiseField({ native, painted, latents }), observer }),
			encoderStream: new EncoderStream({
				device: { encode: (request) => streams.side.call('encode', request) },
				native,
				visionSize: textEncoder.image,
				observer,
			}),
			temporalAdapter: new TemporalAdapter({ native, observer }),
			denoiserStream: new DenoiserStream({
				device: {
					denoise: (request) =>
						streams.main.call('denoise', request, [
							request.noise,
							request.sourceLatents,
							...Object.values(request.details),
						]),
				},
				observer,
			}),
		};
	}

	/** Loads and warms up the model. Errors: ERR_MODEL, ERR_PROVIDER. */
	static async open(settings: WorkerEngineSettings): Promise<WorkerEngine> {
		checkPaintedSize(settings.folder.manifest, settings.painted);
		const { provider, refused } =
			settings.provider === 'auto'
				? await chooseProvider(settings.folder)
				: { provider: settings.provider, refused: [] };
		return new WorkerEngine(await openStreams(settings, provider), settings, refused);
	}

	paint(frames: AsyncIterable<Frame>): AsyncIterable<StyledFrame> {
		return paintLine(frames, this.#stages);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await closeStreams(this.#streams);
	}
}

interface Streams {
	side: WorkerClient;
	main: WorkerClient;
	provider: Provider;
	int8Graphs: GraphRole[];
}

const openStreams = async (
	{ folder, painted, int8Graphs, parametersNow }: WorkerEngineSettings,
	provider: Provider,
): Promise<Streams> => {
	const side = new WorkerClient('encoder');
	// Two threads with a WebGPU session each crash the process (microsoft/onnxruntime #32561): they share one.
	const main = provider === 'webgpu' ? side : new WorkerClient('denoiser');
	const streams: Streams = { side, main, provider, int8Graphs: [] };
	try {
		const precision = int8Graphs ?? parametersNow().tuning.precision;
		const request = { folder, provider, painted, precision };
		// One after the other: what is timed meanwhile must not meet the other stream.
		streams.int8Graphs.push(...(await side.call('openEncoder', request)));
		streams.int8Graphs.push(...(await main.call('openDenoiser', request)));
		return streams;
	} catch (error) {
		await closeStreams(streams);
		throw error;
	}
};

const closeStreams = async ({ side, main }: Streams): Promise<void> => {
	await side[Symbol.asyncDispose]();
	if (main !== side) await main[Symbol.asyncDispose]();
};
