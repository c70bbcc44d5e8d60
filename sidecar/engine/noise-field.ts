import { elementCount, type Tensor } from '../frame/tensor.ts';
import type { Size } from '../frame/frame.ts';
import { gaussianNoise } from '../inference/gaussian-noise.ts';
import type { Flow, NativeAddon } from '../native.ts';
import type { Parameters } from '../parameters.ts';

interface NoiseRequest {
	mode: Parameters['tuning']['noise'];
	seed: number;
	sequence: number;
	flow: Flow | undefined;
}

/**
 * The noise that a painting starts from. It drives the brush, so where it goes the strokes go: `advected`
 * carries it along the flow of the input, `fixed` pins it to the canvas, `per-frame` draws it anew.
 *
 * The field lives on a grid of a quarter of the painted size. A model whose latents are an eighth gets it
 * folded, 2 x 2 neighbours becoming four channels.
 */
export class NoiseField {
	readonly #native: NativeAddon;
	readonly #fold: number;
	readonly #grid: Size & { channels: number };
	#seed: number | undefined;
	#base: Float32Array = new Float32Array();
	/** For each cell the place in the base field that is read there, [2, height, width]; undefined where nothing has moved. */
	#coordinates: Float32Array | undefined;

	constructor({
		native,
		painted,
		latents,
	}: {
		native: NativeAddon;
		painted: Size;
		latents: { channels: number; scale: number };
	}) {
		this.#native = native;
		this.#fold = latents.scale / 4;
		this.#grid = {
			channels: latents.channels / this.#fold ** 2,
			width: painted.width / 4,
			height: painted.height / 4,
		};
	}

	/** The noise of the next frame, as latents: [1, channels, height / scale, width / scale]. */
	async next({ mode, seed, sequence, flow }: NoiseRequest): Promise<Tensor<Float32Array>> {
		const { channels, width, height } = this.#grid;
		const count = elementCount([channels, height, width]);
		if (seed !== this.#seed) {
			this.#seed = seed;
			this.#base = gaussianNoise(seed, count);
			this.#coordinates = undefined;
		}
		if (mode !== 'advected' || !flow) this.#coordinates = undefined;
		if (mode === 'per-frame') return this.#asLatents(gaussianNoise(seed + sequence, count));
		if (mode === 'fixed' || !flow) return this.#asLatents(this.#base);
		const from = this.#coordinates ?? gridCoordinates(this.#grid);
		const to = new Float32Array(from.length);
		const samples = new Float32Array(count);
		await this.#native.advectNoise(this.#base, from, this.#grid, flow, to, samples);
		this.#coordinates = to;
		return this.#asLatents(samples);
	}

	#asLatents(samples: Float32Array): Tensor<Float32Array> {
		return foldNoise(samples, this.#grid, this.#fold);
	}
}

/** Each cell's own place: [2, height, width], x then y. */
const gridCoordinates = ({ width, height }: Size): Float32Array => {
	const coordinates = new Float32Array(2 * width * height);
	for (let cell = 0; cell < width * height; cell++) {
		coordinates[cell] = cell % width;
		coordinates[width * height + cell] = Math.floor(cell / width);
	}
	return coordinates;
};

/** Space to depth: [c, h, w] -> [1, c · fold², h / fold, w / fold]; channel c · fold² + dy · fold + dx. */
export const foldNoise = (
	field: Float32Array,
	{ channels, height, width }: Size & { channels: number },
	fold: number,
): Tensor<Float32Array> => {
	const shape = [1, channels * fold * fold, height / fold, width / fold];
	if (fold === 1) return { data: field.slice(), shape };
	const data = new Float32Array(field.length);
	let to = 0;
	for (let channel = 0; channel < channels; channel++)
		for (let dy = 0; dy < fold; dy++)
			for (let dx = 0; dx < fold; dx++)
				for (let y = dy; y < height; y += fold)
					for (let x = dx; x < width; x += fold) data[to++] = field[(channel * height + y) * width + x]!;
	return { data, shape };
};
