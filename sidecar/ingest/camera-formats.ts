import type { Size } from '../frame/frame.ts';

/** One way a camera can give its pictures, from a line of `ffmpeg -f v4l2 -list_formats all`. */
export interface CameraFormat {
	/** As ffmpeg calls it and takes it for -input_format: mjpeg, yuyv422, nv12, h264. */
	name: string;
	isCompressed: boolean;
	/** Made by software from another format of the camera. */
	isEmulated: boolean;
	sizes: Size[];
	/** Sizes of a driver that scales to whatever is asked. */
	ranges: SizeRange[];
}

interface SideRange {
	min: number;
	max: number;
	step: number;
}

interface SizeRange {
	width: SideRange;
	height: SideRange;
}

/** What a camera is asked for. */
export interface CameraMode {
	format: string;
	size: Size;
}

/** Painted at 512x288, a picture gains nothing from a larger source. */
const LARGEST: Size = { width: 1280, height: 720 };
/** What USB 2 carries raw at 30 frames/s: 18 MB/s of the 24 that it has for video. */
const LARGEST_RAW: Size = { width: 640, height: 480 };

/**
 * Reads the listing; what ffmpeg has no name for cannot be asked for and is left out. The name of a format may
 * have colons in it, sizes have none: "Raw : yuyv422 : YUYV 4:2:2 : 640x480 {32-2592, 2}x{32-1944, 2}".
 */
export const parseCameraFormats = (lines: readonly string[]): CameraFormat[] =>
	lines.flatMap((line) => {
		const [, kind, name] = /\b(Raw|Compressed)\s*:\s*(\S+)\s*:/.exec(line) ?? [];
		if (!kind || !name || name === 'Unsupported') return [];
		const list = line.slice(line.lastIndexOf(':') + 1);
		const numbers = (pattern: RegExp) => [...list.matchAll(pattern)].map(([, ...found]) => found.map(Number));
		return {
			name,
			isCompressed: kind === 'Compressed',
			isEmulated: /: Emulated :/.test(line),
			sizes: numbers(/\b(\d+)x(\d+)/g).map(([width = 0, height = 0]) => ({ width, height })),
			ranges: numbers(/\{(\d+)-(\d+), *(\d+)\}x\{(\d+)-(\d+), *(\d+)\}/g).map(
				([minWidth = 0, maxWidth = 0, stepX = 0, minHeight = 0, maxHeight = 0, stepY = 0]) => ({
					width: { min: minWidth, max: maxWidth, step: stepX },
					height: { min: minHeight, max: maxHeight, step: stepY },
				}),
			),
		};
	});

const isIn = (side: number, { min, max, step }: SideRange): boolean =>
	side >= min && side <= max && (side - min) % Math.max(step, 1) === 0;

const offers = ({ sizes, ranges }: CameraFormat, { width, height }: Size): boolean =>
	sizes.some((size) => size.width === width && size.height === height) ||
	ranges.some((range) => isIn(width, range.width) && isIn(height, range.height));

/** The largest size of a range within a limit, on its grid and, where that allows it, in the limit's own shape. */
const largestIn = ({ width, height }: SizeRange, limit: Size): Size => {
	if (isIn(limit.width, width) && isIn(limit.height, height)) return limit;
	const largest = ({ min, max, step }: SideRange, most: number) =>
		min + Math.floor((Math.max(Math.min(max, most), min) - min) / Math.max(step, 1)) * Math.max(step, 1);
	return { width: largest(width, limit.width), height: largest(height, limit.height) };
};

const limitOf = ({ isCompressed }: CameraFormat): Size => (isCompressed ? LARGEST : LARGEST_RAW);

const isWithin = (size: Size, limit: Size): boolean => size.width <= limit.width && size.height <= limit.height;

/** Larger is better up to the limit, smaller beyond it. */
const worthOf = (size: Size, limit: Size): number => (isWithin(size, limit) ? 1 : -1) * size.width * size.height;

/** What streams come late (they wait for their references) or were made by software already: only for want of another. */
const isLastResort = ({ name, isCompressed, isEmulated }: CameraFormat): boolean =>
	isEmulated || (isCompressed && name !== 'mjpeg');

/** Of formats with one size the raw one costs no decoding, and 4:2:2 or 4:2:0 no conversion from RGB. */
const rankOf = ({ name }: CameraFormat): number => {
	const rank = [/^(yuyv422|uyvy422|yvyu422|nv12|nv21|yuv420p|yuv422p)$/, /^mjpeg$/].findIndex((known) =>
		known.test(name),
	);
	return rank < 0 ? 2 : rank;
};

/**
 * The best mode for live use among those that meet the wishes; undefined where none does. Cameras do not list
 * their rates here, but what USB 2 cannot carry raw they give raw at a few frames a second, and as MJPEG at 30.
 */
export const chooseCameraMode = (
	formats: readonly CameraFormat[],
	wish: { format?: string; size?: Size } = {},
): CameraMode | undefined => {
	const { format: wanted, size } = wish;
	const modes = formats
		.filter(({ name }) => wanted === undefined || name === wanted)
		.flatMap((format) => {
			const limit = limitOf(format);
			const sizes = size
				? [size].filter((asked) => offers(format, asked))
				: [...format.sizes, ...format.ranges.map((range) => largestIn(range, limit))];
			return sizes.map((of) => ({
				format,
				size: of,
				isSlow: !format.isCompressed && !isWithin(of, limit),
				worth: worthOf(of, limit),
			}));
		});
	modes.sort(
		(a, b) =>
			Number(isLastResort(a.format)) - Number(isLastResort(b.format)) ||
			Number(a.isSlow) - Number(b.isSlow) ||
			b.worth - a.worth ||
			rankOf(a.format) - rankOf(b.format),
	);
	const best = modes[0];
	return best && { format: best.format.name, size: best.size };
};

/** "mjpeg 1280x720 640x480; yuyv422 32x32 to 2592x1944", for a message. */
export const describeCameraFormats = (formats: readonly CameraFormat[]): string =>
	formats
		.map(({ name, sizes, ranges }) => {
			const parts = [
				...sizes.map(({ width, height }) => `${width}x${height}`),
				...ranges.map(
					({ width, height }) =>
						`${width.min}x${height.min} to ${width.max}x${height.max} in steps of ${width.step}x${height.step}`,
				),
			];
			return [name, ...new Set(parts)].join(' ');
		})
		.join('; ');
