import assert from 'node:assert/strict';
import type { EditUnetManifest, GraphRole } from '../config/schema/manifest.ts';
import { SidecarError } from '../errors.ts';
import type { Mask } from '../frame/frame.ts';
import { concatenate, split, zeros, type Tensor } from '../frame/tensor.ts';
import type { WindowSize } from './causal/frame-window.ts';
import type { Flow } from '../native.ts';
import type { PromptEmbeds } from './encoder.ts';
import { LastLatents, type MovedLatents } from './last-latents.ts';
import type { ModelFolder } from './manifest.ts';
import { flowMatchSigmas, imageSeqLen } from './noise-schedule.ts';
import { batchesOf, framesPerPass, inPasses, joinAll, repeat, splitAll, takeAll } from './passes.ts';
import { openGraphs, type OpenGraphsSettings } from './precision.ts';
import { resolveShape, type GraphSession, type Provider } from './session.ts';
import { StreamBatch } from './stream-batch.ts';

export interface DenoiseRequest {
	/** Whose painting it is: the conditioning embeddings of one line are not another's. */
	line: number;
	/** Gaussian noise to start from: [batch, channels, height / scale, width / scale]. */
	noise: Tensor<Float32Array>;
	steps: number;
	sourceLatents: Tensor<Float32Array>;
	prompt: PromptEmbeds;
	temporal: TemporalConditioning;
	before?: PaintedBefore;
	/** For a model that paints each frame from the paintings before it. */
	causal?: CausalConditioning;
}

export interface CausalConditioning {
	/** Names the style that the batch is painted in: where it is another than before, the style is another. */
	style: string;
	/** Names the mixture of prompts: where it is another than before, the whole picture is painted anew. */
	mixture: string;
	/** Latents of the painting that shows the style, [1, channels, height / scale, width / scale]. */
	reference?: Tensor<Float32Array>;
	/** Whether each frame is of another scene than the one before it; the others where it ends. */
	cuts: readonly boolean[];
	/** Left out, as the model has it. */
	window: Partial<WindowSize>;
	/** Paints anew only where the last painting is farthest from its source. */
	usesMask: boolean;
	/** Each frame is taken one step on beside the one before it: `LatentDenoiser.advance`. */
	movesBuffer: boolean;
	/** For each frame the cells in which anything of its painting is seen; undefined: all of them. */
	seen: readonly (Mask | undefined)[];
	before?: PaintedBefore;
}

/** What another engine painted last, in latents like the source's: this one goes on from there. */
export interface PaintedBefore {
	painting: Tensor<Float32Array>;
	sourceLatents: Tensor<Float32Array>;
}

/** Paints latents for any number of lines. Its requests come one after the other. */
export interface LatentDenoiser extends AsyncDisposable {
	readonly provider: Provider;
	/** The others run in fp32. */
	readonly int8Graphs: readonly GraphRole[];
	/** Whether requests of several lines may be run together. */
	readonly joinsLines: boolean;
	/** A result for each request, in their order. */
	denoise(requests: readonly DenoiseRequest[]): Promise<DenoiseResult[]>;
	/** One run for the frames of a line that are at different steps: the stream batch, the moving buffer. */
	advance(request: AdvanceRequest): Promise<AdvanceResult>;
	/** The line is over. */
	forget(line: number): void;
}

export interface TemporalConditioning {
	/** Weight of the adapter; 0 switches it off for this batch. */
	multiplier: number;
	/** The last painting warped onto each frame, RGB [batch, height, width, 3]; left out, the cached embeddings serve. */
	images?: Tensor<Uint8Array>;
	/** For each frame, the flow from the frame before it, of the size of the latents or larger. */
	flows?: readonly Flow[];
}

export interface DenoiseResult {
	/** For the decoder: [batch, channels, height / scale, width / scale]. */
	latents: Tensor<Float32Array>;
	stagesMs: { condMs?: number; unetMs?: number; ditMs?: number };
}

/** One run of a line's stream batch, or of its moving buffer. */
export interface AdvanceRequest {
	line: number;
	/** Of the steps, multiplier and size of those in flight. */
	entering?: DenoiseRequest;
}

export interface AdvanceResult {
	/** Of the batch that was longest in flight, where this run finished it. */
	latents?: Tensor<Float32Array>;
	stagesMs: DenoiseResult['stagesMs'];
}

/** A batch on its way from noise to latents. */
interface StreamedBatch {
	z: Tensor<Float32Array>;
	sigmas: readonly number[];
	conditions: Record<string, Tensor>;
	multiplier: number;
}

const ROLES = ['lllite_cond', 'unet'] as const;

/** From noise to latents: lllite_cond, unet. Holds the conditioning embeddings between refreshes, and the last latents. */
export class Denoiser implements LatentDenoiser {
	readonly provider: Provider;
	/** The others run in fp32. */
	readonly int8Graphs: readonly GraphRole[];
	readonly joinsLines = true;
	readonly #folder: ModelFolder<EditUnetManifest>;
	readonly #graphs: Record<(typeof ROLES)[number], GraphSession>;
	/** By line, until the next refresh. */
	readonly #condEmbeds = new Map<number, Record<string, Tensor>>();
	/** For a U-Net that has such an input. */
	readonly #last: LastLatents | undefined;
	/** By line. */
	readonly #streams = new Map<number, StreamBatch<StreamedBatch>>();

	private constructor(
		folder: ModelFolder<EditUnetManifest>,
		provider: Provider,
		{ graphs, int8Graphs }: { graphs: Record<(typeof ROLES)[number], GraphSession>; int8Graphs: readonly GraphRole[] },
	) {
		this.#folder = folder;
		this.provider = provider;
		this.#graphs = graphs;
		this.int8Graphs = int8Graphs;
		if (graphs.unet.spec.inputs.some(({ name }) => name === 'last_latents')) this.#last = new LastLatents();
	}

	static async open(folder: ModelFolder<EditUnetManifest>, settings: OpenGraphsSettings): Promise<Denoiser> {
		return new Denoiser(folder, settings.provider, await openGraphs(folder, ROLES, settings));
	}

	/**
	 * Requests of one size with the same steps and multiplier (`keyOfDenoising`), denoised together where that is faster;
	 * each gets its own share.
	 */
	async denoise(requests: readonly DenoiseRequest[]): Promise<DenoiseResult[]> {
		const { steps, temporal } = requests[0]!;
		const batches = batchesOf(requests, (request) => request.noise);
		const noise = concatenate(requests.map((request) => request.noise));
		const [batch = 0] = noise.shape;
		const perPass = framesPerPass(this.provider, batch);
		const sizes = { batch: perPass, ...this.#paintedSizeOf(noise) };
		const sigmas = this.#sigmasOf(noise, steps);
		const clock = stopwatch();

		const refreshed = requests.filter((request) => request.temporal.images);
		await this.#refreshCondEmbeds(refreshed, sizes);
		const condMs = clock();
		for (const { line, before } of requests) if (before) this.#last?.keep(line, before.painting);
		const last = await Promise.all(requests.map(async (request) => await this.#last?.movedOnto(request)));
		const conditions = joinAll(requests.map((request, i) => this.#conditionsOf(request, last[i])));
		// Without them the adapter has nothing to go by.
		const multiplier = multiplierOf(this.#last && last.includes(undefined) ? 0 : temporal.multiplier);
		const denoised = await inPasses(batch, perPass, async (take) => {
			const own = takeAll(conditions, take);
			const z = copyOf(take(noise));
			for (let step = 0; step < steps; step++) {
				const timestep = { data: new Float32Array(perPass).fill(1000 * sigmas[step]!), shape: [perPass] };
				const sample = { sample: z, timestep, multiplier, ...own };
				const { velocity } = await this.#graphs.unet.run(sample, sizes);
				eulerStep(z.data, (velocity as Tensor<Float32Array>).data, sigmas[step + 1]! - sigmas[step]!);
			}
			expectNumbers(z.data, this.#folder.manifest.name);
			return { latents: z };
		});
		const unetMs = clock();
		const shares = splitAll(denoised, batches);
		return requests.map((request, i) => {
			const share = batches[i]! / batch;
			const latents = shares[i]!['latents'] as Tensor<Float32Array>;
			this.#last?.keep(request.line, latents);
			return {
				latents,
				stagesMs: {
					...(request.temporal.images && { condMs: condMs / refreshed.length }),
					unetMs: unetMs * share,
				},
			};
		});
	}

	/**
	 * One run of the U-Net for the batches of a line that are at different steps, with one more or without: each frame has
	 * its own timestep. Who changes steps, multiplier or size finishes those in flight before.
	 */
	async advance({ line, entering }: AdvanceRequest): Promise<AdvanceResult> {
		const clock = stopwatch();
		this.#last?.forget(line);
		const stream = this.#streamOf(line, entering);
		const { rows, finished } = stream.next(entering && this.#begin(entering));
		assert(rows.length > 0, `line ${line} has nothing in flight`);
		const counts = rows.map(({ batch }) => batch.z.shape[0]!);
		const frames = counts.reduce((sum, count) => sum + count, 0);
		const sample = concatenate(rows.map(({ batch }) => batch.z));
		const times = rows.flatMap(({ batch, step }, i) =>
			Array.from({ length: counts[i]! }, () => 1000 * batch.sigmas[step]!),
		);
		const timestep = { data: Float32Array.from(times), shape: [frames] };
		const conditions = joinAll(rows.map(({ batch }) => batch.conditions));
		const multiplier = multiplierOf(rows[0]!.batch.multiplier);
		const perPass = framesPerPass(this.provider, frames);
		const sizes = { batch: perPass, ...this.#paintedSizeOf(sample) };
		const { velocity } = await inPasses(frames, perPass, (take) =>
			this.#graphs.unet.run(
				{ sample: take(sample), timestep: take(timestep), multiplier, ...takeAll(conditions, take) },
				sizes,
			),
		);
		for (const [i, { data }] of split(velocity as Tensor<Float32Array>, counts).entries()) {
			const { batch, step } = rows[i]!;
			eulerStep(batch.z.data, data, batch.sigmas[step + 1]! - batch.sigmas[step]!);
		}
		const unetMs = clock();
		if (!finished) return { stagesMs: { unetMs } };
		expectNumbers(finished.z.data, this.#folder.manifest.name);
		return { latents: finished.z, stagesMs: { unetMs } };
	}

	/** The line is over. */
	forget(line: number): void {
		this.#condEmbeds.delete(line);
		this.#last?.forget(line);
		this.#streams.delete(line);
	}

	#paintedSizeOf({ shape }: Tensor): { height: number; width: number } {
		const { scale } = this.#folder.manifest.latents;
		return { height: shape[2]! * scale, width: shape[3]! * scale };
	}

	#sigmasOf(noise: Tensor, steps: number): number[] {
		const { height, width } = this.#paintedSizeOf(noise);
		return flowMatchSigmas(this.#folder.manifest.scheduler, steps, imageSeqLen(width, height));
	}

	/** What the U-Net is told of each frame of a request, besides where it is: tensors of its batch, by name. */
	#conditionsOf({ line, noise, prompt, sourceLatents }: DenoiseRequest, last?: MovedLatents): Record<string, Tensor> {
		const batch = noise.shape[0]!;
		const conditions: Record<string, Tensor> = {
			prompt_embeds: repeat(prompt.promptEmbeds, batch),
			source_latents: sourceLatents,
			...(this.#last && (last ?? LastLatents.none(noise))),
		};
		for (const spec of this.#graphs.unet.spec.inputs) {
			const { name } = spec;
			if (name === 'encoder_attention_mask') conditions[name] = repeat(prompt.attentionMask, batch);
			if (!name.startsWith('cond_embeds')) continue;
			const none = () => zeros(resolveShape(spec, { batch, ...this.#paintedSizeOf(noise) }));
			conditions[name] = firstOf(this.#condEmbeds.get(line)?.[name], batch) ?? none();
		}
		return conditions;
	}

	#streamOf(line: number, entering: DenoiseRequest | undefined): StreamBatch<StreamedBatch> {
		let stream = this.#streams.get(line);
		if (!stream || (stream.inFlight === 0 && entering)) stream = new StreamBatch(entering?.steps ?? 1);
		assert(!entering || entering.steps === stream.steps, `line ${line} is in the middle of ${stream.steps} steps`);
		this.#streams.set(line, stream);
		return stream;
	}

	#begin(request: DenoiseRequest): StreamedBatch {
		const { noise, steps, temporal } = request;
		return {
			z: copyOf(noise),
			sigmas: this.#sigmasOf(noise, steps),
			conditions: this.#conditionsOf(request),
			multiplier: temporal.multiplier,
		};
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
			this.#graphs.lllite_cond.run({ image: take(images) }, { ...size, batch: perPass }),
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

const multiplierOf = (value: number): Tensor<Float32Array> => ({ data: Float32Array.of(value), shape: [1] });

const copyOf = ({ data, shape }: Tensor<Float32Array>): Tensor<Float32Array> => ({ data: data.slice(), shape });

/** A graph that overflows would paint black, or garbage, for as long as it runs. A sum is NaN or infinite where one of them is. */
export const expectNumbers = (z: Float32Array, model: string, graph = 'unet'): void => {
	let sum = 0;
	for (let i = 0; i < z.length; i++) sum += z[i]!;
	if (!Number.isFinite(sum))
		throw new SidecarError('ERR_ENGINE', `The graph ${graph} of ${model} gave values that are no numbers (${sum}).`);
};

/** z += dsigma · v, in place. */
export const eulerStep = (z: Float32Array, velocity: Float32Array, dsigma: number): void => {
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
