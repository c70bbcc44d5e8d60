import type { Mask, Size } from '../frame/frame.ts';

/** How long a place takes to become painted, and to be the source again. */
const RISE_US = 120_000;
const FALL_US = 400_000;

/** Lets the mask go softly from one shape to the next, so that its edge neither jumps nor flickers. */
export class SoftLevels {
	readonly #levels: Float32Array;
	#isNew = true;

	constructor({ width, height }: Size) {
		this.#levels = new Float32Array(width * height);
	}

	/** On the way to `aim`, after so long; the first is there at once. */
	towards(aim: Mask, elapsedUs: number): Mask {
		const rise = this.#isNew ? 255 : (255 * elapsedUs) / RISE_US;
		const fall = this.#isNew ? 255 : (255 * elapsedUs) / FALL_US;
		this.#isNew = false;
		const levels = this.#levels;
		const data = new Uint8Array(levels.length);
		for (let at = 0; at < levels.length; at++) {
			const level = levels[at]!;
			const wanted = aim.data[at]!;
			levels[at] = wanted > level ? Math.min(wanted, level + rise) : Math.max(wanted, level - fall);
			data[at] = levels[at]!;
		}
		return { width: aim.width, height: aim.height, data };
	}
}
