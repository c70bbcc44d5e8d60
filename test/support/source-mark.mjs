// Whether the source's own picture is in what is shown: a marker that no brush paints, and how much of it a picture has.

/** What `markOf` gives of the source's own picture at the least; the marker itself gives 1. */
export const RAW = 0.5;

/**
 * How much of a checkerboard of single pixels a picture has: 1 for the marker itself, about 0 for a painting of it.
 * @param {{ data: Uint8Array; width: number; height: number; format: string }} picture
 */
export const markOf = ({ data, width, height, format }) => {
	const step = { GRAY: 1, I420: 1, NV12: 1, RGB: 3 }[format] ?? 4;
	let [marked, all] = [0, 0];
	for (let y = 1; y < height; y++)
		for (let x = 1; x < width; x++) {
			const at = (/** @type {number} */ dx, /** @type {number} */ dy) =>
				/** @type {number} */ (data[((y - dy) * width + x - dx) * step]);
			const corner = at(0, 0) - at(1, 0) - at(0, 1) + at(1, 1);
			marked += (x + y) % 2 ? -corner : corner;
			all += Math.abs(corner);
		}
	const isFlat = all < 8 * (width - 1) * (height - 1);
	return isFlat ? 0 : Math.abs(marked / all);
};
