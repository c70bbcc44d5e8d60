import type { GraphRole } from '../config/schema.ts';
import type { Size } from '../frame/frame.ts';
import { deviceOf, type Device } from '../inference/devices.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import type { PrecisionWish } from '../inference/precision.ts';
import { chooseProvider, type ProviderChoice } from '../inference/provider-probe.ts';
import type { Provider, SessionSettings } from '../inference/session.ts';
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
	session?: SessionSettings;
}

/** The two threads of an engine, each with sessions of its own, for as many lines as there are. */
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
	#lines = 0;

	private constructor(
		folder: ModelFolder,
		{ provider, refused }: ProviderChoice,
		{
			side,
			main,
			device,
			int8Graphs,
		}: { side: WorkerClient; main: WorkerClient; device: Device | undefined; int8Graphs: readonly GraphRole[] },
	) {
		this.folder = folder;
		this.provider = provider;
		this.providersRefused = refused;
		this.device = device;
		this.int8Graphs = int8Graphs;
		this.#side = side;
		this.#main = main;
	}

	/** Loads and warms up the model. Errors: ERR_MODEL, ERR_PROVIDER. */
	static async open({ folder, provider: wanted, precision, painted, session }: StreamsSettings): Promise<Streams> {
		const choice = wanted === 'auto' ? await chooseProvider(folder) : { provider: wanted, refused: [] };
		const { provider } = choice;
		const looking = deviceOf(provider);
		const side = new WorkerClient('encoder');
		// Two threads with a WebGPU session each crash the process (microsoft/onnxruntime #32561): they share one.
		const main = provider === 'webgpu' ? side : new WorkerClient('denoiser');
		try {
			const request = { folder, provider, painted, precision, ...(session && { session }) };
			// One after the other: what is timed meanwhile must not meet the other stream.
			const int8Graphs = [...(await side.call('openEncoder', request)), ...(await main.call('openDenoiser', request))];
			return new Streams(folder, choice, { side, main, device: await looking, int8Graphs });
		} catch (error) {
			await close(side, main);
			throw error;
		}
	}

	/** The devices of one more line, until they are disposed of. */
	newLine(): EncoderDevice & DenoiserDevice & AsyncDisposable {
		const [side, main] = [this.#side, this.#main];
		const line = this.#lines++;
		const moved = ({ noise, sourceLatents, details }: LineDenoiseRequest) => [
			noise,
			sourceLatents,
			...Object.values(details),
		];
		return {
			encode: (request) => side.call('encode', request),
			denoise: (request) => main.call('denoise', { ...request, line }, moved(request)),
			advance: (entering) =>
				entering
					? main.call('advance', { line, entering: { ...entering, line } }, moved(entering))
					: main.call('advance', { line }),
			[Symbol.asyncDispose]: async () => {
				// A thread that is gone has forgotten everything.
				await main.call('forget', { line }).catch(() => {});
			},
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await close(this.#side, this.#main);
	}
}

const close = async (side: WorkerClient, main: WorkerClient): Promise<void> => {
	await side[Symbol.asyncDispose]();
	if (main !== side) await main[Symbol.asyncDispose]();
};
