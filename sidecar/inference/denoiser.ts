import type { GraphRole } from '../config/schema.ts';
import { SidecarError } from '../errors.ts';
import { concatenate, element, split, zeros, type Tensor } from '../frame/tensor.ts';
import { batchesOf, framesPerPass, joinPasses, splitAll, type PromptEmbeds } from './encoder.ts';
import type { ModelFolder } from './manifest.ts';
import { flowMatchSigmas, imageSeqLen } from './noise-schedule.ts';
import { openGraphs, type OpenGraphsSettings } from './precision.ts';
import { resolveShape, type GraphSession, type Provider } from './session.ts';

export interface DenoiseRequest {
	/** Whose painting it is: the conditioning embeddings of one line are not another's. */
	line: number;
	/** Gaussian noise to start from: [batch, channels, height / scale, width / scale]. */
	noise: Tensor<Float32Array>;
	steps: number;
	sourceLatents: Tensor<Float32Array>;
	details: Record<string, Tensor>;
	prompt: PromptEmbeds;
	temporal: TemporalConditioning;
}

export interface TemporalConditioning {
	/** Weight of the adapter; 0 switches it off for this batch. */
	multiplier: number;
	/** The last painting warped onto each frame, RGB [batch, height, width, 3]; left out, the cached embeddings serve. */
	images?: Tensor<Uint8Array>;
}

export interface DenoiseResult {
	/** RGB at the painted size: [batch, height, width, 3]. */
	paintings: Tensor<Uint8Array>;
	stagesMs: { condMs?: number; unetMs: number; vaeDecodeMs: number };
}

const ROLES = ['lllite_cond', 'unet', 'vae_decoder'] as const;

/** The main stream's graphs: lllite_cond, unet, vae_decoder. Holds the conditioning embeddings between refreshes. */
export class Denoiser implements AsyncDisposable {
	readonly provider: Provider;
	/** The others run in fp32. */
	readonly int8Graphs: readonly GraphRole[];
	readonly #folder: ModelFolder;
	readonly #graphs: Record<(typeof ROLES)[number], GraphSession>;
	/** By line, until the next refresh. */
	readonly #condEmbeds = new Map<number, Record<string, Tensor>>();

	private constructor(
		folder: ModelFolder,
		provider: Provider,
		{ graphs, int8Graphs }: { graphs: Record<(typeof ROLES)[number], GraphSession>; int8Graphs: readonly GraphRole[] },
	) {
		this.#folder = folder;
		this.provider = provider;
		this.#graphs = graphs;
		this.int8Graphs = int8Graphs;
	}

	static async open(folder: ModelFolder, settings: OpenGraphsSettings): Promise<Denoiser> {
		return new Denoiser(folder, settings.provider, await openGraphs(folder, ROLES, settings));
	}

	/**
	 * Requests of one size with the same steps and multiplier (`keyOfDenoising`), painted together where that is faster;
	 * each gets its own share.
	 */
	async denoise(requests: readonly DenoiseRequest[]): Promise<DenoiseResult[]> {
		const { scheduler, latents } = this.#folder.manifest;
		const { steps, temporal } = requests[0]!;
		const batches = batchesOf(requests, (request) => request.noise);
		const join = <T extends Tensor>(of: (request: DenoiseRequest, batch: number) => T): T =>
			concatenate(requests.map((request, i) => of(request, batches[i]!))) as T;
		const noise = join((request) => request.noise);
		const [batch = 0, , latentHeight = 0, latentWidth = 0] = noise.shape;
		const [height, width] = [latentHeight * latents.scale, latentWidth * latents.scale];
		const perPass = framesPerPass(this.provider, batch);
		const sizes = { batch: perPass, height, width };
		const sigmas = flowMatchSigmas(scheduler, steps, imageSeqLen(width, height));
		let unetMs = 0;
		let vaeDecodeMs = 0;
		const clock = stopwatch();

		const refreshed = requests.filter((request) => request.temporal.images);
		await this.#refreshCondEmbeds(refreshed, { height, width });
		const condMs = clock();
		const inputs = Object.fromEntries(
			this.#graphs.unet.spec.inputs.map((spec): [string, Tensor | undefined] => {
				if (spec.name === 'encoder_attention_mask')
					return [spec.name, join((request, own) => repeat(request.prompt.attentionMask, own))];
				if (!spec.name.startsWith('cond_embeds')) return [spec.name, undefined];
				const none = (own: number) => zeros(resolveShape(spec, { ...sizes, batch: own }));
				return [spec.name, join(({ line }, own) => firstOf(this.#condEmbeds.get(line)?.[spec.name], own) ?? none(own))];
			}),
		);
		const promptEmbeds = join((request, own) => repeat(request.prompt.promptEmbeds, own));
		const sourceLatents = join((request) => request.sourceLatents);
		const details = Object.fromEntries(
			Object.keys(requests[0]!.details).map((name) => [name, join((request) => request.details[name]!)]),
		);
		const images = await inPasses(batch, perPass, async (take) => {
			const conditioning: Record<string, Tensor> = {
				prompt_embeds: take(promptEmbeds),
				source_latents: take(sourceLatents),
				multiplier: { data: Float32Array.of(temporal.multiplier), shape: [1] },
			};
			for (const [name, tensor] of Object.entries(inputs)) if (tensor) conditioning[name] = take(tensor);
			const sample = take(noise);
			const z = { data: sample.data.slice(), shape: sample.shape };
			for (let step = 0; step < steps; step++) {
				const timestep = { data: new Float32Array(perPass).fill(1000 * sigmas[step]!), shape: [perPass] };
				const { velocity } = await this.#graphs.unet.run({ sample: z, timestep, ...conditioning }, sizes);
				eulerStep(z.data, (velocity as Tensor<Float32Array>).data, sigmas[step + 1]! - sigmas[step]!);
			}
			expectNumbers(z.data, this.#folder.manifest.name);
			unetMs += clock();
			const decoded = await this.#graphs.vae_decoder.run({ latents: z, ...takeAll(details, take) }, sizes);
			vaeDecodeMs += clock();
			return decoded;
		});
		const shares = splitAll(images, batches);
		return requests.map((request, i) => {
			const share = batches[i]! / batch;
			return {
				paintings: shares[i]!['image'] as Tensor<Uint8Array>,
				stagesMs: {
					...(request.temporal.images && { condMs: condMs / refreshed.length }),
					unetMs: unetMs * share,
					vaeDecodeMs: vaeDecodeMs * share,
				},
			};
		});
	}

	/** The line is over. */
	forget(line: number): void {
		this.#condEmbeds.delete(line);
	}

	async #refreshCondEmbeds(
		requests: readonly DenoiseRequest[],
		size: { height: number; width: number },
	): Promise<void> {
		if (requests.length === 0) return;
		const images = concatenate(requests.map(({ temporal }) => temporal.images!));
		const batch = images.shape[0]!;
		const perPass = framesPerPass(this.provider, batch);
		const embeds = await inPasses(batch, perPass, (take) =>
			this.#graphs.lllite_cond.run({ image: take(images) }, { batch: perPass, ...size }),
		);
		const shares = splitAll(
			embeds,
			batchesOf(requests, ({ temporal }) => temporal.images!),
		);
		for (const [i, { line }] of requests.entries()) this.#condEmbeds.set(line, shares[i]!);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const graph of Object.values(this.#graphs)) await graph[Symbol.asyncDispose]();
	}
}

/** Requests with the same key may be painted together. */
export const keyOfDenoising = ({ noise, steps, temporal }: DenoiseRequest): string =>
	JSON.stringify([noise.shape.slice(1), steps, temporal.multiplier]);

type Take = <T extends Tensor>(tensor: T) => T;

/** Runs a batch in passes of `perPass` frames; `take` cuts a pass out of a tensor of the whole batch. */
const inPasses = async (
	batch: number,
	perPass: number,
	run: (take: Take) => Promise<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> => {
	const passes: Record<string, Tensor>[] = [];
	for (let first = 0; first < batch; first += perPass)
		passes.push(await run((tensor) => (perPass === batch ? tensor : (element(tensor, first) as typeof tensor))));
	return joinPasses(passes);
};

const takeAll = (tensors: Record<string, Tensor>, take: Take): Record<string, Tensor> =>
	Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, take(tensor)]));

/** One frame's embeddings stand for every frame of the batch. */
const repeat = <T extends Tensor>(tensor: T, batch: number): T =>
	tensor.shape[0] === batch ? tensor : (concatenate(Array.from({ length: batch }, () => element(tensor, 0))) as T);

/** A graph that overflows would paint black, or garbage, for as long as it runs. A sum is NaN or infinite where one of them is. */
const expectNumbers = (z: Float32Array, model: string): void => {
	let sum = 0;
	for (let i = 0; i < z.length; i++) sum += z[i]!;
	if (!Number.isFinite(sum))
		throw new SidecarError('ERR_ENGINE', `The graph unet of ${model} gave values that are no numbers (${sum}).`);
};

/** z += dsigma · v, in place. */
const eulerStep = (z: Float32Array, velocity: Float32Array, dsigma: number): void => {
	for (let i = 0; i < z.length; i++) z[i]! += dsigma * velocity[i]!;
};

/** The last batch of a clip may have fewer frames than the one that was refreshed; undefined where it has more. */
const firstOf = (tensor: Tensor | undefined, count: number): Tensor | undefined => {
	const has = tensor?.shape[0] ?? 0;
	if (!tensor || has < count) return undefined;
	return has === count ? tensor : split(tensor, [count, has - count])[0];
};

/** Milliseconds since the last call. */
const stopwatch = (): (() => number) => {
	let lastMs = performance.now();
	return () => {
		const nowMs = performance.now();
		const elapsedMs = nowMs - lastMs;
		lastMs = nowMs;
		return elapsedMs;
	};
};
