import { isDeepStrictEqual } from 'node:util';
import type { CausalDitManifest, GraphRole } from '../../config/schema.ts';
import { SidecarError } from '../../errors.ts';
import type { Mask } from '../../frame/frame.ts';
import { concatenate, element, type Tensor } from '../../frame/tensor.ts';
import type { AdvanceResult, CausalConditioning, DenoiseRequest, DenoiseResult, LatentDenoiser } from '../denoiser.ts';
import type { ModelFolder } from '../manifest.ts';
import { flowMatchSigmas, imageSeqLen } from '../noise-schedule.ts';
import { openGraphs, type OpenGraphsSettings } from '../precision.ts';
import type { GraphSession, Provider } from '../session.ts';
import { CausalDenoiser, type CausalGraphs } from './causal-denoiser.ts';
import type { FrameWindow, WindowSize } from './frame-window.ts';
import { historyScores, largest } from './history-mask.ts';
import { seenTokens } from './seen-tokens.ts';

const ROLES = ['dit_prompt', 'dit_reference', 'dit_step', 'dit_step_kept'] as const;

/** Where tokens are left out, one frame of so many is painted as a whole: what is left out grows old. */
export const WHOLE_FRAME_EVERY = 12;

/** The causal transformer for any number of lines, each with its own cache of keys and values. Frames are painted one after the other. */
export class CausalPainter implements LatentDenoiser {
	readonly provider: Provider;
	readonly int8Graphs: readonly GraphRole[] = [];
	/** Nothing would be shared, and one that fails must not be painted again with another. */
	readonly joinsLines = false;
	readonly #manifest: CausalDitManifest;
	readonly #graphs: Record<(typeof ROLES)[number], GraphSession>;
	readonly #lines = new Map<number, PaintedFrames>();

	private constructor(
		manifest: CausalDitManifest,
		provider: Provider,
		graphs: Record<(typeof ROLES)[number], GraphSession>,
	) {
		this.#manifest = manifest;
		this.provider = provider;
		this.#graphs = graphs;
	}

	/** Errors: ERR_MODEL, ERR_PROVIDER. */
	static async open(folder: ModelFolder<CausalDitManifest>, settings: OpenGraphsSettings): Promise<CausalPainter> {
		const { graphs } = await openGraphs(folder, ROLES, settings);
		return new CausalPainter(folder.manifest, settings.provider, graphs);
	}

	/** Errors: ERR_MODEL, ERR_ENGINE, ERR_MEMORY; ERR_CONFIG for a window that cannot be. */
	async denoise(requests: readonly DenoiseRequest[]): Promise<DenoiseResult[]> {
		const results: DenoiseResult[] = [];
		for (const request of requests) results.push(await this.#paint(request));
		return results;
	}

	advance(): Promise<AdvanceResult> {
		const { name } = this.#manifest;
		return Promise.reject(
			new SidecarError(
				'ERR_MODEL',
				`The model ${name} paints a frame after the one before it. Leave --stream-batch out.`,
			),
		);
	}

	forget(line: number): void {
		this.#lines.delete(line);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const graph of Object.values(this.#graphs)) await graph[Symbol.asyncDispose]();
	}

	async #paint(request: DenoiseRequest): Promise<DenoiseResult> {
		const { causal, noise, steps, sourceLatents, prompt, line } = request;
		const startMs = performance.now();
		const [batch = 0, , rows = 0, columns = 0] = noise.shape;
		const { scheduler, latents } = this.#manifest;
		const sigmas = flowMatchSigmas(scheduler, steps, imageSeqLen(columns * latents.scale, rows * latents.scale));
		const frames = this.#framesOf(line, causal!.window);
		const painted: Tensor<Float32Array>[] = [];
		for (let i = 0; i < batch; i++)
			painted.push(
				await frames.paint(
					{
						noise: element(noise, i),
						sourceLatents: element(sourceLatents, i),
						// One may stand for all.
						promptEmbeds: element(prompt.promptEmbeds, Math.min(i, prompt.promptEmbeds.shape[0]! - 1)),
						sigmas,
						isCut: causal!.cuts[i] ?? false,
						seen: causal!.seen[i],
					},
					causal!,
				),
			);
		return { latents: concatenate(painted), stagesMs: { ditMs: performance.now() - startMs } };
	}

	#framesOf(line: number, asked: Partial<WindowSize>): PaintedFrames {
		const window = { ...this.#manifest.window, ...asked };
		let frames = this.#lines.get(line);
		if (!frames || !isDeepStrictEqual(frames.window, window)) frames = new PaintedFrames(this.#graphs, window);
		this.#lines.set(line, frames);
		return frames;
	}
}

interface NextFrame {
	noise: Tensor<Float32Array>;
	sourceLatents: Tensor<Float32Array>;
	promptEmbeds: Tensor<Float32Array>;
	sigmas: readonly number[];
	isCut: boolean;
	/** Where anything of the painting is seen; undefined: everywhere. */
	seen?: Mask | undefined;
}

/** The frames of one line: what they are painted in, and which tokens of the next one are. */
export class PaintedFrames {
	readonly window: WindowSize;
	readonly #denoiser: CausalDenoiser;
	readonly #keptTokens: number;
	#style: string | undefined;
	#mixture: string | undefined;
	#words: Tensor<Float32Array> | undefined;
	/** Those of the next frame, if it is of the same style and words. */
	#kept: Uint32Array | undefined;
	#sinceWhole = 0;
	#frame = 0;

	/** Errors: ERR_CONFIG, ERR_MODEL. */
	constructor(graphs: CausalGraphs, window: WindowSize) {
		this.window = window;
		this.#denoiser = new CausalDenoiser(graphs, window);
		this.#keptTokens = Number(graphs.dit_step_kept.spec.inputs.find(({ name }) => name === 'kept')?.shape[0]);
	}

	/** The paintings that the next one is made from, oldest first. */
	get held(): FrameWindow {
		return this.#denoiser.cache.window;
	}

	/** In memory of its own. Errors: ERR_MODEL, ERR_ENGINE, ERR_MEMORY. */
	async paint(
		{ noise, sourceLatents, promptEmbeds, sigmas, isCut, seen }: NextFrame,
		causal: Omit<CausalConditioning, 'cuts' | 'window' | 'seen'>,
	): Promise<Tensor<Float32Array>> {
		if (isCut) this.#denoiser.beginScene();
		const isOther = isCut || causal.mixture !== this.#mixture || causal.style !== this.#style;
		await this.#takeUp(promptEmbeds, causal);
		if (causal.before && this.#frame === 0 && !isCut)
			await this.#denoiser.remember(this.#frame++, causal.before.painting, causal.before.sourceLatents);
		const frame = this.#frame++;
		const mayLeaveOut = !isOther && this.#sinceWhole + 1 < WHOLE_FRAME_EVERY;
		const kept = mayLeaveOut
			? ((seen && this.#seenTokens(seen, sourceLatents)) ?? (causal.usesMask ? this.#kept : undefined))
			: undefined;
		const painting = await this.#denoiser.paint({ frame, noise, sourceLatents, sigmas, kept });
		this.#mixture = causal.mixture;
		this.#sinceWhole = kept ? this.#sinceWhole + 1 : 0;
		this.#kept = causal.usesMask ? this.#tokensOf(painting, sourceLatents) : undefined;
		return painting;
	}

	/** The style or its words, where they are others than before. */
	async #takeUp(
		promptEmbeds: Tensor<Float32Array>,
		{ style, reference }: Pick<CausalConditioning, 'style' | 'reference'>,
	): Promise<void> {
		if (style !== this.#style) await this.#denoiser.switchTo({ promptEmbeds, referenceLatents: reference });
		else if (!isDeepStrictEqual(promptEmbeds.data, this.#words!.data)) await this.#denoiser.say(promptEmbeds);
		this.#style = style;
		this.#words = promptEmbeds;
	}

	#tokensOf(painting: Tensor<Float32Array>, source: Tensor<Float32Array>): Uint32Array {
		return largest(historyScores(painting, source, this.#patchOf(painting)), this.#keptTokens);
	}

	/** Undefined where more are seen than can be kept. */
	#seenTokens(seen: Mask, latents: Tensor<Float32Array>): Uint32Array | undefined {
		const [, , height = 0, width = 0] = latents.shape;
		const patch = this.#patchOf(latents);
		return seenTokens(seen, { width: width / patch, height: height / patch }, this.#keptTokens);
	}

	/** A side of a token, in cells of the latents. */
	#patchOf({ shape: [, , height = 0, width = 0] }: Tensor<Float32Array>): number {
		return Math.sqrt((height * width) / this.#denoiser.cache.frameTokens);
	}
}
