import type { Picture } from '../frame/frame.ts';
import { cellsOf, cleaned, closed, eachPatch, type Cells } from './cells.ts';
import { exposureOf } from './exposure.ts';

/** Of 255, in one channel of a cell's mean: certainly no background, and perhaps none. */
const CERTAIN = 26;
const PERHAPS = 13;
/** How fast what is known of the background follows the light. */
const LEARN_US = 3_000_000;
/** A patch in which nothing moves for so long is background: a chair that was moved, or what stood there when the learning began. */
const STILL_US = 10_000_000;
const MOVES = 9;
const FOLLOW_US = 300_000;
/** A picture that differs nearly everywhere for so long is another one: the camera was moved, or the light switched. */
const OTHER_SHARE = 0.75;
const OTHER_US = 1_500_000;
/** Of all cells. */
const LEAST_PATCH = 0.004;
const MOST_HOLE = 0.03;

/**
 * Which cells of a picture are no background: those that differ from a background that is learnt slowly, from the first
 * picture on. It knows nothing of people: the camera has to stand still, and the background has to be seen.
 */
export class SubjectCells {
	#background: Float32Array | undefined;
	#before = new Float32Array();
	#movedUs = new Float64Array();
	#last: Cells | undefined;
	#otherSinceUs: number | undefined;

	/** `picture` is RGB, a pixel a cell, shown at `nowUs`, `elapsedUs` after the one before. */
	next(picture: Picture, nowUs: number, elapsedUs: number): Cells {
		const { width, height, data } = picture;
		if (this.#background?.length !== data.length) return this.#begin(picture, nowUs);
		const differences = this.#differences(picture, nowUs, elapsedUs);
		const perhaps = cellsOf({ width, height });
		const last = this.#last!;
		for (let cell = 0; cell < perhaps.data.length; cell++)
			perhaps.data[cell] = differences[cell]! >= PERHAPS ? (differences[cell]! >= CERTAIN ? 2 : 1) : 0;
		const certain = cellsOf(perhaps);
		// What may be no background is none where it hangs together with what certainly is none, or was until now.
		eachPatch(perhaps, true, (patch) => {
			if (patch.some((cell) => perhaps.data[cell] === 2 || (last.data[cell] && patch.length > 4)))
				for (const cell of patch) certain.data[cell] = 1;
		});
		const on = cleaned(closed(certain, 2), {
			leastPatch: LEAST_PATCH * certain.data.length,
			mostHole: MOST_HOLE * certain.data.length,
		});
		this.#last = on;
		if (this.#isOther(on, nowUs)) return this.#begin(picture, nowUs);
		this.#learn(picture, on, nowUs, elapsedUs);
		return on;
	}

	#begin({ width, height, data }: Picture, nowUs: number): Cells {
		this.#background = Float32Array.from(data);
		this.#before = Float32Array.from(data);
		this.#movedUs = new Float64Array(width * height).fill(nowUs);
		this.#otherSinceUs = undefined;
		return (this.#last = cellsOf({ width, height }));
	}

	/** From the background, in the channel that differs most; what the whole background has become brighter by is left out. */
	#differences({ data }: Picture, nowUs: number, elapsedUs: number): Float32Array {
		const [background, before, last] = [this.#background!, this.#before, this.#last!.data];
		const [red, green, blue] = exposureOf(data, background, last);
		const movedUs = this.#movedUs;
		const share = 1 - Math.exp(-elapsedUs / FOLLOW_US);
		const differences = new Float32Array(last.length);
		for (let cell = 0, at = 0; cell < last.length; cell++, at += 3) {
			differences[cell] = Math.max(
				Math.abs(data[at]! - background[at]! - red),
				Math.abs(data[at + 1]! - background[at + 1]! - green),
				Math.abs(data[at + 2]! - background[at + 2]! - blue),
			);
			const r = data[at]! - before[at]!;
			const g = data[at + 1]! - before[at + 1]!;
			const b = data[at + 2]! - before[at + 2]!;
			if (Math.max(Math.abs(r), Math.abs(g), Math.abs(b)) >= MOVES) movedUs[cell] = nowUs;
			before[at]! += share * r;
			before[at + 1]! += share * g;
			before[at + 2]! += share * b;
		}
		return differences;
	}

	#isOther({ data }: Cells, nowUs: number): boolean {
		let count = 0;
		for (const cell of data) count += Number(cell !== 0);
		if (count < OTHER_SHARE * data.length) this.#otherSinceUs = undefined;
		else this.#otherSinceUs ??= nowUs;
		return this.#otherSinceUs !== undefined && nowUs - this.#otherSinceUs >= OTHER_US;
	}

	/** What is background follows the picture; what is not stays as it is, until nothing of the patch moves any more. */
	#learn({ data }: Picture, on: Cells, nowUs: number, elapsedUs: number): void {
		const background = this.#background!;
		const share = 1 - Math.exp(-elapsedUs / LEARN_US);
		for (let cell = 0, at = 0; cell < on.data.length; cell++, at += 3) {
			if (on.data[cell] !== 0) continue;
			background[at]! += share * (data[at]! - background[at]!);
			background[at + 1]! += share * (data[at + 1]! - background[at + 1]!);
			background[at + 2]! += share * (data[at + 2]! - background[at + 2]!);
		}
		eachPatch(on, true, (patch) => {
			if (!patch.every((cell) => nowUs - this.#movedUs[cell]! >= STILL_US)) return;
			for (const cell of patch) background.set(data.subarray(3 * cell, 3 * cell + 3), 3 * cell);
		});
	}
}
