import type { Picture } from '../frame/frame.ts';
import { cellsOf, cleaned, closed, dilated, type Cells } from './cells.ts';
import { exposureOf } from './exposure.ts';

/** Of 255, in one channel of a cell's mean: what begins a change, and what goes on with one. A camera's noise stays under 4. */
const BEGINS = 14;
const GOES_ON = 7;
/** How fast the picture that is compared with follows: slow motion adds up in it. */
const FOLLOW_US = 400_000;
/** After a pause as long as this there is nothing that it could have changed from. */
const FORGET_US = 2_000_000;
/** What changed stays in the region for so long. */
const HOLD_US = 700_000;
/** Of all cells. */
const LEAST_PATCH = 0.0008;
const MOST_HOLE = 0.03;

/** Which cells of a picture move or changed lately: those that differ from what was there just before. */
export class ChangedCells {
	#before: Float32Array | undefined;
	/** When each cell last changed. */
	#changedUs = new Float64Array();

	/** `picture` is RGB, a pixel a cell, shown at `nowUs`, `elapsedUs` after the one before. */
	next({ width, height, data }: Picture, nowUs: number, elapsedUs: number): Cells {
		const on = cellsOf({ width, height });
		const before = this.#before;
		if (before?.length !== data.length || elapsedUs > FORGET_US) {
			this.#before = Float32Array.from(data);
			this.#changedUs = new Float64Array(width * height).fill(-Infinity);
			return on;
		}
		const share = 1 - Math.exp(-elapsedUs / FOLLOW_US);
		const changedUs = this.#changedUs;
		const [red, green, blue] = exposureOf(data, before);
		for (let cell = 0, at = 0; cell < on.data.length; cell++, at += 3) {
			const r = data[at]! - before[at]!;
			const g = data[at + 1]! - before[at + 1]!;
			const b = data[at + 2]! - before[at + 2]!;
			const most = Math.max(Math.abs(r - red), Math.abs(g - green), Math.abs(b - blue));
			before[at]! += share * r;
			before[at + 1]! += share * g;
			before[at + 2]! += share * b;
			const isHeld = nowUs - changedUs[cell]! < HOLD_US;
			if (most >= BEGINS || (isHeld && most >= GOES_ON)) changedUs[cell] = nowUs;
			on.data[cell] = nowUs - changedUs[cell]! < HOLD_US ? 1 : 0;
		}
		return cleaned(dilated(closed(on, 2)), {
			leastPatch: LEAST_PATCH * on.data.length + 9, // what one cell was dilated to
			mostHole: MOST_HOLE * on.data.length,
		});
	}
}
