import { elementCount, zeros } from '../frame/tensor.ts';
import type { EncodeRequest, EncodeResult } from '../inference/encoder.ts';
import { StreamBatch } from '../inference/stream-batch.ts';
import type { PaintResult } from '../inference/worker-protocol.ts';
import type { DenoiserDevice, LineAdvance, LineDenoiseRequest } from './denoiser-stream.ts';
import type { EncoderDevice } from './encoder-stream.ts';

export interface StageTimes {
	/** Milliseconds that a batch takes on the side stream and on the main stream. */
	sideMs: number;
	mainMs: number;
	/** And in a decoder beside the main stream; left out, that is in it. */
	decodeMs?: number;
	sleep: (ms: number) => Promise<void>;
}

/**
 * A device whose streams take set times and paint mid-grey, so that the law of the line can be tested
 * without the hardware: the real scheduler runs, only the graphs are replaced.
 */
export class SimulatedDevice implements EncoderDevice, DenoiserDevice {
	readonly #times: StageTimes;
	/** When each is done with what it has. */
	#main: Promise<void> = Promise.resolve();
	#decoder: Promise<void> = Promise.resolve();
	#stream = new StreamBatch<LineDenoiseRequest>(1);

	constructor(times: StageTimes) {
		this.#times = times;
	}

	async encode({ pictures, text }: EncodeRequest): Promise<EncodeResult> {
		await this.#times.sleep(this.#times.sideMs);
		const [batch = 0] = pictures.shape;
		return {
			sourceLatents: zeros([batch, 4, 1, 1]),
			details: {},
			...(text && {
				prompts: text.prompts.map(() => ({
					promptEmbeds: zeros([text.images.shape[0]!, 1, 1]),
					attentionMask: { data: new BigInt64Array(1), shape: [1, 1] },
				})),
			}),
			stagesMs: { vaeEncodeMs: this.#times.sideMs },
		};
	}

	async denoise(request: LineDenoiseRequest): Promise<PaintResult> {
		await this.#denoised();
		return await this.#decoded(request);
	}

	/** A run takes as long as a batch does otherwise. */
	async advance(entering?: LineDenoiseRequest): Promise<LineAdvance> {
		await this.#denoised();
		if (entering && this.#stream.inFlight === 0) this.#stream = new StreamBatch(entering.steps);
		const { finished } = this.#stream.next(entering);
		return { stagesMs: { unetMs: this.#times.mainMs }, ...(finished && { finished: this.#decoded(finished) }) };
	}

	#denoised(): Promise<void> {
		const { sleep, mainMs } = this.#times;
		return (this.#main = this.#main.then(() => sleep(mainMs)));
	}

	async #decoded(request: LineDenoiseRequest): Promise<PaintResult> {
		const { sleep, decodeMs } = this.#times;
		if (decodeMs !== undefined) await (this.#decoder = this.#decoder.then(() => sleep(decodeMs)));
		return this.paint(request);
	}

	/** What comes of a request. */
	protected paint({ noise, temporal }: LineDenoiseRequest): PaintResult {
		const [batch = 0, , latentHeight = 0, latentWidth = 0] = noise.shape;
		const shape = temporal.images?.shape ?? [batch, 8 * latentHeight, 8 * latentWidth, 3];
		return {
			paintings: { data: new Uint8Array(elementCount(shape)).fill(128), shape },
			vaeDecodeMs: this.#times.decodeMs ?? 0,
			stagesMs: { unetMs: this.#times.mainMs },
		};
	}
}
