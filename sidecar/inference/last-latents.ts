import { concatenate, element, zeros, type Tensor } from '../frame/tensor.ts';
import { loadNative, type NativeAddon } from '../native.ts';
import type { DenoiseRequest } from './denoiser.ts';

type Floats = Tensor<Float32Array>;

/** As the U-Net takes them. */
export interface MovedLatents {
	/** Moved onto each frame by whole cells: [batch, channels, height, width]. */
	last_latents: Floats;
	/** The rest of the motion, in cells from -0.5 to 0.5, x then y: [batch, 2, height, width]. */
	last_offsets: Floats;
}

/**
 * The latents that the last frame of each line was decoded from. A model that is given them, moved onto the next frame,
 * need not wait for the painting, nor encode it.
 */
export class LastLatents {
	readonly #native: NativeAddon;
	/** By line: [1, channels, height, width]. */
	readonly #kept = new Map<number, Floats>();

	constructor(native: NativeAddon = loadNative()) {
		this.#native = native;
	}

	/** What stands for them where there are none: the multiplier is 0 then. */
	static none({ shape: [batch, channels, height, width] }: Floats): MovedLatents {
		return {
			last_latents: zeros([batch!, channels!, height!, width!]),
			last_offsets: zeros([batch!, 2, height!, width!]),
		};
	}

	/** Of a batch [batch, channels, height, width] those of its last frame, painted here or encoded; they are copied. */
	keep(line: number, latents: Floats): void {
		const { data, shape } = element(latents, latents.shape[0]! - 1);
		this.#kept.set(line, { data: data.slice(), shape });
	}

	/** For each frame of a request; undefined where there are none, of another size, or nothing says how they move. */
	async movedOnto({ line, noise, temporal: { flows } }: MovedRequest): Promise<MovedLatents | undefined> {
		const last = this.#kept.get(line);
		if (!last || !flows || String(last.shape.slice(1)) !== String(noise.shape.slice(1))) return undefined;
		const [, channels, height, width] = last.shape as [number, number, number, number];
		const moved = await Promise.all(
			flows.map(async (_, frame) => {
				const into = LastLatents.none(last);
				const { last_latents: target, last_offsets: offsets } = into;
				const shape = { channels, height, width };
				await this.#native.moveLatents(last.data, shape, flows.slice(0, frame + 1), target.data, offsets.data);
				return into;
			}),
		);
		return {
			last_latents: concatenate(moved.map((frame) => frame.last_latents)),
			last_offsets: concatenate(moved.map((frame) => frame.last_offsets)),
		};
	}

	forget(line: number): void {
		this.#kept.delete(line);
	}
}

type MovedRequest = Pick<DenoiseRequest, 'line' | 'noise' | 'temporal'>;
