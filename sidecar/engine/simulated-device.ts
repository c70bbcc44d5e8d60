import { elementCount, zeros } from '../frame/tensor.ts';
import type { DenoiseResult } from '../inference/denoiser.ts';
import type { EncodeRequest, EncodeResult } from '../inference/encoder.ts';
import type { DenoiserDevice, LineDenoiseRequest } from './denoiser-stream.ts';
import type { EncoderDevice } from './encoder-stream.ts';

export interface StageTimes {
	/** Milliseconds that a batch takes on the side stream and on the main stream. */
	sideMs: number;
	mainMs: number;
	sleep: (ms: number) => Promise<void>;
}

/**
 * A device whose streams take set times and paint mid-grey, so that the law of the line can be tested
 * without the hardware: the real scheduler runs, only the graphs are replaced.
 */
export class SimulatedDevice implements EncoderDevice, DenoiserDevice {
	readonly #times: StageTimes;

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

	async denoise({ noise, temporal }: LineDenoiseRequest): Promise<DenoiseResult> {
		await this.#times.sleep(this.#times.mainMs);
		const [batch = 0, , latentHeight = 0, latentWidth = 0] = noise.shape;
		const shape = temporal.images?.shape ?? [batch, 8 * latentHeight, 8 * latentWidth, 3];
		return {
			paintings: { data: new Uint8Array(elementCount(shape)).fill(128), shape },
			stagesMs: { unetMs: this.#times.mainMs, vaeDecodeMs: 0 },
		};
	}
}
