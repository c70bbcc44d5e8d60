import type { GraphRole } from '../config/schema/manifest.ts';
import { concatenate, type Tensor } from '../frame/tensor.ts';
import type { ModelFolder } from './manifest.ts';
import { batchesOf, framesPerPass, inPasses, joinAll, splitAll, takeAll } from './passes.ts';
import { openGraphs, type OpenGraphsSettings } from './precision.ts';
import type { GraphSession, Provider } from './session.ts';

export interface DecodeRequest {
	/** As the denoiser gave them: [batch, channels, height / scale, width / scale]. */
	latents: Tensor<Float32Array>;
	/** As the encoder gave them. */
	details: Record<string, Tensor>;
}

export interface DecodeResult {
	/** RGB at the painted size: [batch, height, width, 3]. */
	paintings: Tensor<Uint8Array>;
	vaeDecodeMs: number;
}

const ROLES = ['vae_decoder'] as const;

/** From latents to paintings. On a CPU it has a thread of its own, where one batch is decoded while the next is denoised. */
export class Decoder implements AsyncDisposable {
	readonly provider: Provider;
	/** The others run in fp32. */
	readonly int8Graphs: readonly GraphRole[];
	readonly #scale: number;
	readonly #graph: GraphSession;

	private constructor(
		{ manifest }: ModelFolder,
		provider: Provider,
		{ graphs, int8Graphs }: { graphs: Record<(typeof ROLES)[number], GraphSession>; int8Graphs: readonly GraphRole[] },
	) {
		this.provider = provider;
		this.int8Graphs = int8Graphs;
		this.#scale = manifest.latents.scale;
		this.#graph = graphs.vae_decoder;
	}

	static async open(folder: ModelFolder, settings: OpenGraphsSettings): Promise<Decoder> {
		return new Decoder(folder, settings.provider, await openGraphs(folder, ROLES, settings));
	}

	/** Latents of one size (`keyOfDecoding`), decoded together where that is faster; each request gets its own share. */
	async decode(requests: readonly DecodeRequest[]): Promise<DecodeResult[]> {
		const startMs = performance.now();
		const batches = batchesOf(requests, (request) => request.latents);
		const latents = concatenate(requests.map((request) => request.latents));
		const details = joinAll(requests.map((request) => request.details));
		const [batch = 0, , height = 0, width = 0] = latents.shape;
		const perPass = framesPerPass(this.provider, batch);
		const sizes = { batch: perPass, height: height * this.#scale, width: width * this.#scale };
		const images = await inPasses(batch, perPass, (take) =>
			this.#graph.run({ latents: take(latents), ...takeAll(details, take) }, sizes),
		);
		const vaeDecodeMs = (performance.now() - startMs) / batch;
		return splitAll(images, batches).map(({ image }, i) => ({
			paintings: image as Tensor<Uint8Array>,
			vaeDecodeMs: vaeDecodeMs * batches[i]!,
		}));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#graph[Symbol.asyncDispose]();
	}
}

/** Requests with the same key may be decoded together. */
export const keyOfDecoding = ({ latents }: DecodeRequest): string => latents.shape.slice(1).join();
