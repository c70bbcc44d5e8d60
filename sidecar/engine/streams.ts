import type { GraphRole } from '../config/schema/manifest.ts';
import type { Size } from '../frame/frame.ts';
import type { DecodeRequest } from '../inference/decoder.ts';
import { deviceOf, type Device } from '../inference/devices.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import type { PrecisionWish } from '../inference/precision.ts';
import { chooseProvider, type ProviderChoice } from '../inference/provider-probe.ts';
import { threadsOf, type Favours, type Part, type Provider, type SessionSettings } from '../inference/session.ts';
import { WorkerClient } from '../inference/worker-client.ts';
import type { DenoiserDevice, LineDenoiseRequest } from './denoiser-stream.ts';
import type { EncoderDevice } from './encoder-stream.ts';

export interface StreamsSettings {
	folder: ModelFolder;
	/** `auto` takes the first that starts, fastest first. */
	provider: Provider | 'auto';
	precision: PrecisionWish;
	/** What the graphs are warmed up for. */
	painted: Size;
	/** Left out: latency. */
	favours?: Favours;
	session?: SessionSettings;
}

/**
 * The threads of an engine, each with sessions of its own, for as many lines as there are. On a CPU encoder, denoiser and
 * decoder have one each; a device that runs one graph at a time gains nothing by a thread for the decoder.
 */
export class Streams implements AsyncDisposable {
	readonly folder: ModelFolder;
	readonly provider: Provider;
	/** Undefined where no driver names it. */
	readonly device: Device | undefined;
	/** The others run in fp32. */
	readonly int8Graphs: readonly GraphRole[];
	/** What was tried before the provider that started, with the reasons. */
	readonly providersRefused: ProviderChoice['refused'];
	readonly #side: WorkerClient;
	readonly #main: WorkerClient;
	readonly #decoder: WorkerClient;
	#lines = 0;

	private constructor(
		folder: ModelFolder,
		{ provider, refused }: ProviderChoice,
		{
			side,
			main,
			decoder,
			device,
			int8Graphs,
		}: Threads & { device: Device | undefined; int8Graphs: readonly GraphRole[] },
	) {
		this.folder = folder;
		this.provider = provider;
		this.providersRefused = refused;
		this.device = device;
		this.int8Graphs = int8Graphs;
		this.#side = side;
		this.#main = main;
		this.#decoder = decoder;
	}

	/** Loads and warms up the model. Errors: ERR_MODEL, ERR_PROVIDER. */
	static async open({
		folder,
		provider: wanted,
		precision,
		painted,
		favours = 'latency',
		session,
	}: StreamsSettings): Promise<Streams> {
		const choice = wanted === 'auto' ? await chooseProvider(folder) : { provider: wanted, refused: [] };
		const { provider } = choice;
		const looking = deviceOf(provider);
		const side = new WorkerClient('encoder');
		// Two threads with a WebGPU session each crash the process (microsoft/onnxruntime #32561): they share one.
		const main = provider === 'webgpu' ? side : new WorkerClient('denoiser');
		const decoder = provider === 'cpu' ? new WorkerClient('decoder') : main;
		const threads = { side, main, decoder };
		try {
			const requestOf = (part: Part) => {
				const intraOpNumThreads = threadsOf(part, favours);
				return { folder, provider, painted, precision, session: { intraOpNumThreads, ...session } };
			};
			// One after the other: what is timed meanwhile must not meet the other stream.
			const int8Graphs = [
				...(await side.call('openEncoder', requestOf('encoder'))),
				...(await main.call('openDenoiser', requestOf('denoiser'))),
				...(await decoder.call('openDecoder', requestOf('decoder'))),
			];
			return new Streams(folder, choice, { ...threads, device: await looking, int8Graphs });
		} catch (error) {
			await close(threads);
			throw error;
		}
	}

	/** Batches that a line asks for before the one in front of them is painted: none where that has nothing to run on. */
	get batchesAhead(): number {
		return this.#decoder === this.#main ? 0 : 1;
	}

	/** The devices of one more line, until they are disposed of. */
	newLine(): EncoderDevice & DenoiserDevice & AsyncDisposable {
		const [side, main, decoder] = [this.#side, this.#main, this.#decoder];
		const line = this.#lines++;
		const decode = (latents: DecodeRequest['latents'], details: DecodeRequest['details']) =>
			decoder.call('decode', { latents, details }, [latents, ...Object.values(details)]);
		const advance = (entered: LineDenoiseRequest | undefined) => {
			if (!entered) return main.call('advance', { line });
			const { details: _, ...entering } = entered;
			return main.call('advance', { line, entering: { ...entering, line } }, [entering.noise, entering.sourceLatents]);
		};
		/** Those of the stream batch or the moving buffer, oldest first. */
		const inFlight: DecodeRequest['details'][] = [];
		return {
			encode: (request) => side.call('encode', request),
			denoise: async ({ details, ...request }) => {
				const moved = [request.noise, request.sourceLatents];
				if (decoder === main)
					return await main.call('paint', { ...request, line, details }, [...moved, ...Object.values(details)]);
				const { latents, stagesMs } = await main.call('denoise', { ...request, line }, moved);
				return { ...(await decode(latents, details)), stagesMs };
			},
			advance: async (entered) => {
				if (entered) inFlight.push(entered.details);
				const { latents, stagesMs } = await advance(entered);
				return { stagesMs, ...(latents && { finished: decode(latents, inFlight.shift()!) }) };
			},
			[Symbol.asyncDispose]: async () => {
				// A thread that is gone has forgotten everything.
				await main.call('forget', { line }).catch(() => {});
			},
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await close({ side: this.#side, main: this.#main, decoder: this.#decoder });
	}
}

/** Some of them may be one. */
interface Threads {
	side: WorkerClient;
	main: WorkerClient;
	decoder: WorkerClient;
}

const close = async (threads: Threads): Promise<void> => {
	for (const thread of new Set(Object.values(threads))) await thread[Symbol.asyncDispose]();
};
