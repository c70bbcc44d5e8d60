import type { Mask, Size } from '../frame/frame.ts';

/** Masks of cells, a byte each, row by row: any but 0 is on. All functions are pure but for what they are told to fill. */
export type Cells = Mask;

export const cellsOf = ({ width, height }: Size, data = new Uint8Array(width * height)): Cells => ({
	width,
	height,
	data,
});

/** On where a cell is that is at most so many away, to either side and corner. */
export const dilated = (cells: Cells, by = 1): Cells => spread(cells, by, 1);

/** On where all cells are that are at most so many away; what lies beyond the edge is like the edge. */
export const eroded = (cells: Cells, by = 1): Cells => spread(cells, by, 0);

/** Closes gaps of up to twice `by` cells, and of `by` cells to the edge. */
export const closed = (cells: Cells, by: number): Cells => eroded(dilated(cells, by), by);

/** Lets cells that are on (1) or off (0) take over those around them. */
const spread = ({ width, height, data }: Cells, by: number, winner: 0 | 1): Cells => {
	const out = new Uint8Array(data.length);
	for (let at = 0; at < data.length; at++) out[at] = data[at] === 0 ? 0 : 1;
	for (let y = 0; y < height; y++) {
		spreadLine(out, y * width, 1, width, by, winner);
		spreadLine(out, (y + 1) * width - 1, -1, width, by, winner);
	}
	settle(out, winner);
	for (let x = 0; x < width; x++) {
		spreadLine(out, x, width, height, by, winner);
		spreadLine(out, x + (height - 1) * width, -width, height, by, winner);
	}
	settle(out, winner);
	return { width, height, data: out };
};

/** One way along a line. Cells that are taken over are marked, so that on the way back they take over none. */
const spreadLine = (data: Uint8Array, start: number, step: number, count: number, by: number, winner: 0 | 1): void => {
	let left = 0;
	for (let i = 0, at = start; i < count; i++, at += step) {
		const value = data[at]!;
		if (value === winner) left = by;
		else if (left > 0) {
			left--;
			data[at] = TAKEN;
		}
	}
};

const TAKEN = 2;

const settle = (data: Uint8Array, winner: 0 | 1): void => {
	for (let at = 0; at < data.length; at++) if (data[at] === TAKEN) data[at] = winner;
};

/** Calls back with the cells of each connected patch (by sides, not corners) that is on, or that is off. */
export const eachPatch = ({ width, height, data }: Cells, isOn: boolean, patch: (cells: Uint32Array) => void): void => {
	const seen = new Uint8Array(data.length);
	const queue = new Uint32Array(data.length);
	const last = width * (height - 1);
	for (let start = 0; start < data.length; start++) {
		if (seen[start] !== 0 || (data[start] !== 0) !== isOn) continue;
		let from = 0;
		let to = 1;
		queue[0] = start;
		seen[start] = 1;
		while (from < to) {
			const at = queue[from++]!;
			const x = at % width;
			for (let side = 0; side < 4; side++) {
				let next = at;
				if (side === 0 && x > 0) next = at - 1;
				else if (side === 1 && x < width - 1) next = at + 1;
				else if (side === 2 && at >= width) next = at - width;
				else if (side === 3 && at < last) next = at + width;
				if (seen[next] !== 0 || (data[next] !== 0) !== isOn) continue;
				seen[next] = 1;
				queue[to++] = next;
			}
		}
		patch(queue.subarray(0, to));
	}
};

/** Without patches of fewer cells, and without holes of at most so many. */
export const cleaned = (cells: Cells, { leastPatch, mostHole }: { leastPatch: number; mostHole: number }): Cells => {
	const out = cellsOf(cells, cells.data.slice());
	eachPatch(cells, true, (patch) => {
		if (patch.length < leastPatch) for (const at of patch) out.data[at] = 0;
	});
	eachPatch(out, false, (patch) => {
		if (patch.length <= mostHole && !patch.some((at) => isAtEdge(cells, at))) for (const at of patch) out.data[at] = 1;
	});
	return out;
};

const isAtEdge = ({ width, height }: Size, at: number): boolean =>
	at < width || at >= width * (height - 1) || at % width === 0 || at % width === width - 1;
