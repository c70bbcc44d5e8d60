import { rgbLayout } from '../frame/frame.ts';
import { element } from '../frame/tensor.ts';
import type { DenoiseRequest, DenoiseResult } from '../inference/denoiser.ts';
import type { ConditionedBatch, DenoisedBatch } from './batch.ts';
import type { EngineObserver } from './engine.ts';

/** What one line asks for; which line that is, its device knows. */
export type LineDenoiseRequest = Omit<DenoiseRequest, 'line'>;

/** Whatever runs the denoiser's graphs: a thread of ours, or a device that only takes its time. */
export interface DenoiserDevice {
	denoise(request: LineDenoiseRequest): Promise<DenoiseResult>;
}

/** The main stream: from noise to paintings in a few steps. */
export class DenoiserStream {
	readonly #device: DenoiserDevice;
	readonly #observer: EngineObserver;

	constructor({ device, observer }: { device: DenoiserDevice; observer: EngineObserver }) {
		this.#device = device;
		this.#observer = observer;
	}

	async *denoise(batches: AsyncIterable<ConditionedBatch>): AsyncGenerator<DenoisedBatch, void, undefined> {
		for await (const batch of batches) {
			const { encoding, conditioning, parameters } = batch;
			if (!encoding || !conditioning) {
				yield { ...batch, paintings: batch.pictures };
				continue;
			}
			const { sourceLatents, details, prompt } = encoding;
			const { steps } = parameters.tuning;
			const { paintings, stagesMs } = await this.#device.denoise({
				...conditioning,
				steps,
				sourceLatents,
				details,
				prompt,
			});
			if (stagesMs.condMs !== undefined) this.#observer.stage('cond', stagesMs.condMs);
			this.#observer.stage('unet', stagesMs.unetMs);
			this.#observer.stage('vaeDecode', stagesMs.vaeDecodeMs);
			yield {
				...batch,
				paintings: batch.pictures.map(({ width, height }, i) => ({
					...rgbLayout({ width, height }),
					data: element(paintings, i).data,
				})),
			};
		}
	}
}
