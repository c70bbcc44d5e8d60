import { nowUs } from '../frame/clock.ts';
import { rgbLayout } from '../frame/frame.ts';
import { element, type Tensor } from '../frame/tensor.ts';
import type { DecodeResult } from '../inference/decoder.ts';
import type { PaintRequest, PaintResult } from '../inference/worker-protocol.ts';
import { isStreamBatched } from '../parameters.ts';
import type { ConditionedBatch, Conditioning, DenoisedBatch, Encoding } from './batch.ts';
import type { EngineObserver } from './engine.ts';
import { deadlineIn, pull } from './pull.ts';

/** What one line asks for; which line that is, its device knows. */
export type LineDenoiseRequest = Omit<PaintRequest, 'line'>;

/** One run of the stream batch, or of the moving buffer. */
export interface LineAdvance {
	stagesMs: PaintResult['stagesMs'];
	/** Of the batch that this run finished: it is decoded while the next run goes on. */
	finished?: Promise<DecodeResult>;
}

/** Whatever runs the denoiser's and the decoder's graphs: threads of ours, or a device that only takes its time. */
export interface DenoiserDevice {
	/** Paintings of requests that were made one after the other come in that order. */
	denoise(request: LineDenoiseRequest): Promise<PaintResult>;
	/** One run for the batches that are at different steps, with one more or without. */
	advance(entering?: LineDenoiseRequest): Promise<LineAdvance>;
}

/** One that does not pass the streams by. */
type PaintedBatch = ConditionedBatch & { encoding: Encoding; conditioning: Conditioning };

/**
 * The main stream: from noise to paintings in a few steps. A batch is given on as soon as the device has been asked for
 * it, so that who works ahead asks for the next one before it is painted. Under the stream batch (`StreamBatch`) a run has
 * a batch at each step, and a batch comes out some runs after it came in. It is filled by what comes and never waited for:
 * where the next batch takes longer than a run, those in flight go on without it, so that a line that keeps up is no later
 * than it was. In a moving buffer a frame is painted beside the next one, and waits for it as a batch does for its last frames.
 */
export class DenoiserStream {
	readonly #device: DenoiserDevice;
	readonly #observer: EngineObserver;
	readonly #deadlineMs: number;
	/** In the stream batch, oldest first. */
	readonly #inFlight: PaintedBatch[] = [];
	/** The last batch that passes the stream batch by; its conditioning is that of those that enter. */
	#painting: Promise<unknown> = Promise.resolve();
	/** How long the last run of it took. */
	#runUs = 0;
	/** Of its runs since a batch was last finished. */
	#busyUs = 0;

	/** deadlineMs: how long a frame of a moving buffer waits for the next one; Infinity when every frame is painted. */
	constructor({
		device,
		observer,
		deadlineMs,
	}: {
		device: DenoiserDevice;
		observer: EngineObserver;
		deadlineMs: number;
	}) {
		this.#device = device;
		this.#observer = observer;
		this.#deadlineMs = deadlineMs;
	}

	async *denoise(batches: AsyncIterable<ConditionedBatch>): AsyncGenerator<DenoisedBatch, void, undefined> {
		const iterator = batches[Symbol.asyncIterator]();
		let next: Promise<IteratorResult<ConditionedBatch>> | undefined;
		try {
			for (;;) {
				next ??= pull(iterator);
				const result = await this.#soon(next);
				if (result === 'deadline') {
					yield* this.#advance();
					continue;
				}
				next = undefined;
				const batch = result.done ? undefined : result.value;
				if (!batch || (await this.#isApart(batch))) while (this.#inFlight.length > 0) yield* this.#advance();
				if (!batch) return;
				if (!isPainted(batch)) yield { ...batch, paintings: Promise.resolve(batch.pictures) };
				else if (isStreamBatched(batch.parameters.tuning)) {
					await this.#painting;
					yield* this.#advance(batch);
				} else yield withPaintings(batch, (this.#painting = this.#paint(batch)));
			}
		} finally {
			await iterator.return?.();
		}
	}

	/** What comes next, or `deadline` where batches are in flight and nothing comes while a run could be over. */
	async #soon<T>(next: Promise<T>): Promise<T | 'deadline'> {
		const last = this.#inFlight.at(-1);
		if (!last) return await next;
		const deadline = deadlineIn(last.parameters.tuning.movingBuffer ? this.#deadlineMs : this.#runUs / 1000);
		try {
			return await Promise.race([next, deadline.passed]);
		} finally {
			deadline.clear();
		}
	}

	/** Whether those in flight are finished first: it passes the stream batch by, or is of another style or scene. */
	async #isApart(batch: ConditionedBatch): Promise<boolean> {
		const last = this.#inFlight.at(-1);
		if (!last) return false;
		if (!isPainted(batch) || !isStreamBatched(batch.parameters.tuning)) return true;
		const { isNewScene } = await batch.motion;
		return isNewScene || runKeyOf(batch) !== runKeyOf(last);
	}

	async *#advance(entering?: PaintedBatch): AsyncGenerator<DenoisedBatch, void, undefined> {
		if (entering) this.#inFlight.push(entering);
		const startUs = nowUs();
		const { stagesMs, finished } = await this.#device.advance(entering && requestOf(entering));
		this.#runUs = nowUs() - startUs;
		this.#busyUs += this.#runUs;
		this.#observe(stagesMs);
		if (!finished) return;
		// What it shared with others, or waited for, is not its own: the stream's busy time is that of its runs.
		const mainStartUs = nowUs() - this.#busyUs;
		this.#busyUs = 0;
		yield withPaintings({ ...this.#inFlight.shift()!, mainStartUs }, this.#decoded(finished));
	}

	async #paint(batch: PaintedBatch): Promise<Tensor<Uint8Array>> {
		const { stagesMs, ...decoded } = await this.#device.denoise(requestOf(batch));
		this.#observe(stagesMs);
		return this.#decoded(decoded);
	}

	#observe({ condMs, unetMs, ditMs }: PaintResult['stagesMs']): void {
		for (const [name, ms] of [
			['cond', condMs],
			['unet', unetMs],
			['dit', ditMs],
		] as const)
			if (ms !== undefined) this.#observer.stage(name, ms);
	}

	async #decoded(result: DecodeResult | Promise<DecodeResult>): Promise<Tensor<Uint8Array>> {
		const { paintings, vaeDecodeMs } = await result;
		this.#observer.stage('vaeDecode', vaeDecodeMs);
		return paintings;
	}
}

const isPainted = (batch: ConditionedBatch): batch is PaintedBatch =>
	batch.encoding !== undefined && batch.conditioning !== undefined;

/** What all batches of a run have in common. */
const runKeyOf = ({ parameters, conditioning }: PaintedBatch): string =>
	JSON.stringify([parameters.tuning.steps, conditioning.temporal.multiplier]);

const requestOf = ({ frames, encoding, conditioning, parameters }: PaintedBatch): LineDenoiseRequest => {
	const { sourceLatents, details, prompt, causal, before } = encoding;
	const { noise, temporal, cuts } = conditioning;
	const { steps, windowFrames, sinkFrames, maskCache = false, movingBuffer = false } = parameters.tuning;
	const request = { noise, temporal, steps, sourceLatents, details, prompt, ...(before && { before }) };
	if (!causal) return request;
	const window = {
		...(windowFrames !== undefined && { frames: windowFrames }),
		...(sinkFrames !== undefined && { sinkFrames }),
	};
	const seen = frames.map((frame) => frame.seen);
	return {
		...request,
		causal: {
			...causal,
			...(before && { before }),
			cuts,
			window,
			seen,
			usesMask: maskCache,
			movesBuffer: movingBuffer,
		},
	};
};

const withPaintings = (batch: PaintedBatch, painted: Promise<Tensor<Uint8Array>>): DenoisedBatch => ({
	...batch,
	paintings: painted.then((tensor) =>
		batch.pictures.map(({ width, height }, i) => ({
			...rgbLayout({ width, height }),
			data: element(tensor, i).data,
		})),
	),
});
