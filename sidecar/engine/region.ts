import { SidecarError } from '../errors.ts';
import { pictureByteLength, type Picture, type Size } from '../frame/frame.ts';

/** Where a picture is painted, a byte a pixel, row by row: 255 is painted, 0 stays the source, and what is between is a share of both. */
export interface Region extends Size {
	data: Uint8Array;
}

/**
 * Writes the painting inside the region and the source outside it, byte for byte, into `target`, which may be either's
 * memory. Everything is RGB and of one size. Errors: ERR_STYLE.
 */
export const composeRegion = (painting: Picture, source: Picture, region: Region, target: Uint8Array): void => {
	const { width, height } = painting;
	for (const [what, { format, width: w, height: h }] of Object.entries({ painting, source }))
		if (format !== 'RGB' || w !== width || h !== height)
			throw new SidecarError('ERR_STYLE', `The ${what} is ${format} ${w}x${h}, expected RGB ${width}x${height}.`);
	const pixels = width * height;
	if (region.width !== width || region.height !== height || region.data.length !== pixels)
		throw new SidecarError(
			'ERR_STYLE',
			`The region is ${region.width}x${region.height} (${region.data.length} bytes), expected ${width}x${height}: a byte for each pixel that is painted.`,
		);
	if (target.length !== pictureByteLength(painting))
		throw new SidecarError(
			'ERR_STYLE',
			`There is room for ${target.length} bytes of a painting of ${pictureByteLength(painting)}.`,
		);
	for (let pixel = 0, at = 0; pixel < pixels; pixel++)
		for (let channel = 0; channel < 3; channel++, at++) {
			const share = region.data[pixel]!;
			// For 0 and 255 the half makes no difference.
			target[at] = Math.floor((share * painting.data[at]! + (255 - share) * source.data[at]! + 127) / 255);
		}
};
