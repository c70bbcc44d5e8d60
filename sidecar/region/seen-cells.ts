import type { Mask } from '../frame/frame.ts';
import { cellsOf } from './cells.ts';

/** Of the longer side. */
const CELLS = 64;

const known = new WeakMap<Mask, Mask>();

/** In which cells of a painting anything of it is seen: on where the mask shows any. The same for the same mask. */
export const seenCells = (mask: Mask): Mask => {
	let cells = known.get(mask);
	if (!cells) known.set(mask, (cells = coarse(mask)));
	return cells;
};

const coarse = (mask: Mask): Mask => {
	const { width, height, data } = mask;
	const side = (length: number) => Math.min(length, Math.ceil((CELLS * length) / Math.max(width, height)));
	const cells = cellsOf({ width: side(width), height: side(height) });
	// A pixel lies in one cell or, where the sides do not divide, in two.
	const across = Uint32Array.from({ length: width }, (_, x) => Math.floor((x * cells.width) / width));
	const last = Uint32Array.from({ length: width }, (_, x) => Math.ceil(((x + 1) * cells.width) / width) - 1);
	for (let y = 0, at = 0; y < height; y++) {
		const top = Math.floor((y * cells.height) / height) * cells.width;
		const bottom = (Math.ceil(((y + 1) * cells.height) / height) - 1) * cells.width;
		for (let x = 0; x < width; x++, at++) {
			if (data[at] === 0) continue;
			for (const row of [top, bottom]) {
				cells.data[row + across[x]!] = 1;
				cells.data[row + last[x]!] = 1;
			}
		}
	}
	return cells;
};
