import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { CausalDitManifest, GraphRole } from '../../config/schema/manifest.ts';
import { SidecarError } from '../../errors.ts';
import type { Mask } from '../../frame/frame.ts';
import { concatenate, element, type Tensor } from '../../frame/tensor.ts';
import type {
	AdvanceRequest,
	AdvanceResult,
	CausalConditioning,
	DenoiseRequest,
	DenoiseResult,
	LatentDenoiser,
} from '../denoiser.ts';
import type { ModelFolder } from '../manifest.ts';
import { flowMatchSigmas, imageSeqLen } from '../noise-schedule.ts';
import { openGraphs, type OpenGraphsSettings } from '../precision.ts';
import type { GraphSession, Provider } from '../session.ts';
import { BufferedFrames } from './buffered-frames.ts';
import { CausalDenoiser, type CausalGraphs, type NextFrame } from './causal-denoiser.ts';
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
	readonly #folder: ModelFolder<CausalDitManifest>;
	readonly #settings: OpenGraphsSettings;
	readonly #graphs: Record<(typeof ROLES)[number], GraphSession>;
	/** With weights of its own: opened for the first line that has a moving buffer. */
	#bufferGraph: Promise<GraphSession> | undefined;
	/** Each line is in one of them. */
	readonly #lines = new Map<number, PaintedFrames>();
	readonly #buffers = new Map<number, BufferedBatches>();

	private constructor(
		folder: ModelFolder<CausalDitManifest>,
		settings: OpenGraphsSettings,
		graphs: Record<(typeof ROLES)[number], GraphSession>,
	) {
		this.#folder = folder;
		this.#settings = settings;
		this.provider = settings.provider;
		this.#graphs = graphs;
	}

	/** Errors: ERR_MODEL, ERR_PROVIDER. */
	static async open(folder: ModelFolder<CausalDitManifest>, settings: OpenGraphsSettings): Promise<CausalPainter> {
		const { graphs } = await openGraphs(folder, ROLES, settings);
		return new CausalPainter(folder, settings, graphs);
	}

	/** Errors: ERR_MODEL, ERR_ENGINE, ERR_MEMORY; ERR_CONFIG for a window that cannot be. */
	async denoise(requests: readonly DenoiseRequest[]): Promise<DenoiseResult[]> {
		const results: DenoiseResult[] = [];
		for (const request of requests) results.push(await this.#paint(request));
		return results;
	}

	/**
	 * A batch enters the line's moving buffer, and the one before it is finished; without one, what is in it is finished.
	 * Errors: ERR_MODEL, ERR_ENGINE, ERR_MEMORY.
	 */
	async advance({ line, entering }: AdvanceRequest): Promise<AdvanceResult> {
		const { name } = this.#folder.manifest;
		if (entering && !entering.causal!.movesBuffer)
			throw new SidecarError(
				'ERR_MODEL',
				`The model ${name} paints a frame after the one before it. Leave --stream-batch out.`,
			);
		let buffer = this.#buffers.get(line);
		assert(entering || buffer, `line ${line} has no moving buffer`);
		if (!buffer) {
			// What it holds would be old when the line comes back to it.
			this.#lines.delete(line);
			buffer = new BufferedBatches(new BufferedFrames({ ...this.#graphs, dit_buffer: await this.#openBuffer() }));
			this.#buffers.set(line, buffer);
		}
		const startMs = performance.now();
		const latents = await (entering ? buffer.enter(this.#framesIn(entering), entering.causal!) : buffer.finish());
		return { ...(latents && { latents }), stagesMs: { ditMs: performance.now() - startMs } };
	}

	forget(line: number): void {
		this.#lines.delete(line);
		this.#buffers.delete(line);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const graph of Object.values(this.#graphs)) await graph[Symbol.asyncDispose]();
		const buffer = await this.#bufferGraph?.catch(() => {}); // heard by the line that wanted it
		await buffer?.[Symbol.asyncDispose]();
	}

	#openBuffer(): Promise<GraphSession> {
		this.#bufferGraph ??= openGraphs(this.#folder, ['dit_buffer'], this.#settings).then(({ graphs }) => {
			return graphs.dit_buffer;
		});
		return this.#bufferGraph;
	}

	async #paint(request: DenoiseRequest): Promise<DenoiseResult> {
		const { causal, line } = request;
		const startMs = performance.now();
		this.#buffers.delete(line);
		const frames = this.#framesOf(line, causal!.window);
		const painted: Tensor<Float32Array>[] = [];
		for (const frame of this.#framesIn(request)) painted.push(await frames.paint(frame, causal!));
		return { latents: concatenate(painted), stagesMs: { ditMs: performance.now() - startMs } };
	}

	#framesIn({ causal, noise, steps, sourceLatents, prompt: { promptEmbeds } }: DenoiseRequest): NextFrame[] {
		const [batch = 0, , rows = 0, columns = 0] = noise.shape;
		const { scheduler, latents } = this.#folder.manifest;
		const sigmas = flowMatchSigmas(scheduler, steps, imageSeqLen(columns * latents.scale, rows * latents.scale));
		return Array.from({ length: batch }, (_, i) => ({
			noise: element(noise, i),
			sourceLatents: element(sourceLatents, i),
			// One may stand for all.
			promptEmbeds: element(promptEmbeds, Math.min(i, promptEmbeds.shape[0]! - 1)),
			sigmas,
			isCut: causal!.cuts[i] ?? false,
			seen: causal!.seen[i],
		}));
	}

	#framesOf(line: number, asked: Partial<WindowSize>): PaintedFrames {
		const window = { ...this.#folder.manifest.window, ...asked };
		let frames = this.#lines.get(line);
		if (!frames || !isDeepStrictEqual(frames.window, window)) frames = new PaintedFrames(this.#graphs, window);
		this.#lines.set(line, frames);
		return frames;
	}
}

/** The batches of a line, whose frames come out of a moving buffer one by one. */
class BufferedBatches {
	readonly #frames: BufferedFrames;
	/** How many frames each has, oldest first: the last one, and the one that is entering. */
	readonly #counts: number[] = [];
	#painted: Tensor<Float32Array>[] = [];

	constructor(frames: BufferedFrames) {
		this.#frames = frames;
	}

	/** The paintings of the batch before; undefined where there is none, or it was given. */
	async enter(batch: readonly NextFrame[], causal: CausalConditioning): Promise<Tensor<Float32Array> | undefined> {
		this.#counts.push(batch.length);
		for (const frame of batch) this.#take(await this.#frames.enter(frame, causal));
		return this.#whole();
	}

	/** The paintings of the last batch; undefined where they were given. */
	async finish(): Promise<Tensor<Float32Array> | undefined> {
		this.#take(await this.#frames.finish());
		return this.#whole();
	}

	#take(painting: Tensor<Float32Array> | undefined): void {
		if (painting) this.#painted.push(painting);
	}

	#whole(): Tensor<Float32Array> | undefined {
		const count = this.#counts[0] ?? Infinity;
		if (this.#painted.length < count) return undefined;
		this.#counts.shift();
		const whole = this.#painted.slice(0, count);
		this.#painted = this.#painted.slice(count);
		return concatenate(whole);
	}
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
		causal: Omit<CausalConditioning, 'cuts' | 'window' | 'seen' | 'movesBuffer'>,
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
