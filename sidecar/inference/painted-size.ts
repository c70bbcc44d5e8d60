import type { ModelManifest } from '../config/schema/manifest.ts';
import { SidecarError } from '../errors.ts';
import type { Size } from '../frame/frame.ts';

/** Pixels of 512x288, which two CPU cores paint at video rate. */
export const AUTO_PIXELS = 512 * 288;

/**
 * The painted size for a source under `--size auto`: about so many pixels, sides as the model needs them,
 * the aspect as near to the source's as that allows (its error counts four times as much as the area's).
 */
export const autoPaintedSize = ({ size }: ModelManifest, source: Size, pixels = AUTO_PIXELS): Size => {
	if ('fixed' in size) return { width: size.fixed[0], height: size.fixed[1] };
	const { multipleOf, min, max } = size;
	let best: { width: number; height: number; cost: number } | undefined;
	for (let width = min[0]; width <= max[0]; width += multipleOf) {
		for (let height = min[1]; height <= max[1]; height += multipleOf) {
			const aspectError = Math.abs(Math.log((width / height) * (source.height / source.width)));
			const areaError = Math.abs(Math.log((width * height) / pixels));
			const cost = 4 * aspectError + areaError;
			if (!best || cost < best.cost) best = { width, height, cost };
		}
	}
	return { width: best!.width, height: best!.height };
};

/** Throws ERR_MODEL unless the model can paint at this size. */
export const checkPaintedSize = ({ name, size }: ModelManifest, { width, height }: Size): void => {
	const asked = `${width}x${height}`;
	if ('fixed' in size) {
		if (size.fixed[0] !== width || size.fixed[1] !== height)
			throw new SidecarError('ERR_MODEL', `The model ${name} paints at ${size.fixed.join('x')} only, not ${asked}.`);
		return;
	}
	const sides = [width, height];
	if (sides.some((side, i) => side % size.multipleOf !== 0 || side < size.min[i]! || side > size.max[i]!))
		throw new SidecarError(
			'ERR_MODEL',
			`The model ${name} paints at ${size.min.join('x')} to ${size.max.join('x')} in multiples of ${size.multipleOf}, not ${asked}.`,
		);
};
