import type { Mask, Size } from '../frame/frame.ts';

/** A mask in the middle of another size: what reaches over its edge is cut off, what it does not reach is nothing. */
export const centred = (mask: Mask, { width, height }: Size): Mask => {
	if (mask.width === width && mask.height === height) return mask;
	const [across, down] = [Math.min(width, mask.width), Math.min(height, mask.height)];
	const from = startOf(mask, { width: across, height: down });
	const to = startOf({ width, height }, { width: across, height: down });
	const data = new Uint8Array(width * height);
	for (let row = 0; row < down; row++) {
		const at = (from.y + row) * mask.width + from.x;
		data.set(mask.data.subarray(at, at + across), (to.y + row) * width + to.x);
	}
	return { width, height, data };
};

/** Where the smaller lies in the middle of the larger. */
const startOf = (larger: Size, smaller: Size) => ({
	x: Math.floor((larger.width - smaller.width) / 2),
	y: Math.floor((larger.height - smaller.height) / 2),
});
