/** A camera that sets its exposure by itself changes a picture by less than this; what changes it more is something else. */
const MOST = 24;

/**
 * By how much a picture (RGB) as a whole is brighter than what is compared with, in each channel: the median of its cells, or of those
 * that are off in `on`.
 */
export const exposureOf = (
	data: Uint8Array,
	before: Float32Array,
	on?: Uint8Array,
): [red: number, green: number, blue: number] => [
	medianOf(data, before, 0, on),
	medianOf(data, before, 1, on),
	medianOf(data, before, 2, on),
];

const medianOf = (data: Uint8Array, before: Float32Array, channel: number, on: Uint8Array | undefined): number => {
	const counts = new Uint32Array(2 * MOST + 1);
	let total = 0;
	for (let at = channel, cell = 0; at < data.length; at += 3, cell++) {
		if (on !== undefined && on[cell] !== 0) continue;
		const level = Math.floor(data[at]! - before[at]! + MOST + 0.5);
		counts[level < 0 ? 0 : level > 2 * MOST ? 2 * MOST : level]!++;
		total++;
	}
	let level = 0;
	for (let below = counts[0]!; 2 * below < total; below += counts[level]!) level++;
	return total === 0 ? 0 : level - MOST;
};
