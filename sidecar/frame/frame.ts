/** Pixel formats a frame may have, by their WebCodecs names. */
export type PixelFormat = 'RGB' | 'BGRA' | 'RGBA' | 'NV12' | 'I420' | 'UYVY';

export type ColorMatrix = 'bt601' | 'bt709';
export type ColorRange = 'limited' | 'full';

export interface Size {
	width: number;
	height: number;
}

/**
 * How the bytes of a picture lie in memory. Rows are tightly packed, top row first.
 *
 * | format     | bytes                                   |
 * | ---------- | --------------------------------------- |
 * | RGB        | 3 · w · h                               |
 * | BGRA, RGBA | 4 · w · h                               |
 * | UYVY       | 4 · ceil(w / 2) · h                     |
 * | I420, NV12 | w · h + 2 · ceil(w / 2) · ceil(h / 2)   |
 *
 * `matrix` and `range` describe the YUV formats; RGB formats are always full range.
 */
export interface PictureLayout {
	format: PixelFormat;
	width: number;
	height: number;
	matrix: ColorMatrix;
	range: ColorRange;
}

/** Pixels with their layout. `data` may be a view of shared memory. */
export interface Picture extends PictureLayout {
	data: Uint8Array;
}

export const pictureByteLength = ({ format, width, height }: PictureLayout): number => {
	switch (format) {
		case 'RGB':
			return 3 * width * height;
		case 'BGRA':
		case 'RGBA':
			return 4 * width * height;
		case 'UYVY':
			return 4 * Math.ceil(width / 2) * height;
		case 'I420':
		case 'NV12':
			return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
	}
};

/**
 * Alpha that has no room in a picture's own pixels lies behind the picture, a byte a pixel, row by row: so many bytes; 0 for
 * BGRA and RGBA.
 */
export const alphaPlaneByteLength = ({ format, width, height }: PictureLayout): number =>
	format === 'BGRA' || format === 'RGBA' ? 0 : width * height;

/** The layout of RGB pixels as the models take and give them. */
export const rgbLayout = ({ width, height }: Size): PictureLayout => ({
	format: 'RGB',
	width,
	height,
	matrix: 'bt709',
	range: 'full',
});

/**
 * A frame of the source: a slot number of the ring with what is known about its pixels, never the
 * bytes. Whoever takes a frame from the ring releases it there.
 */
export interface Frame {
	/** Counts the frames of the source from 0; a gap is a drop. */
	sequence: number;
	slot: number;
	/** When the frame was captured, on the monotonic clock of `clock.ts`, in microseconds. */
	capturedUs: number;
	/** When the frame is shown, in the source's own time, in microseconds from its start. */
	timestampUs: number;
	/** How long it is shown, in microseconds; 0 where the source does not say. */
	durationUs: number;
	layout: PictureLayout;
	/** Where its painting is shown; absent: everywhere. Does not leave the sidecar. */
	mask?: Mask;
	/**
	 * For each of at most 64 cells a side whether anything of the painting is seen there, laid over that; absent: everywhere. Where
	 * it is 0, it does not matter what is painted.
	 */
	seen?: Mask;
}

export interface FrameRate {
	num: number;
	den: number;
}

/** Where a painting is shown, a byte a pixel, row by row, laid over the painting: 255 shows it, 0 does not. */
export interface Mask extends Size {
	data: Uint8Array;
}

/** A file whose audio belongs to the frames; `startUs` puts its first sample in the frames' time. */
export interface AudioTrack {
	path: string;
	startUs: number;
}

/** The part of a picture that is painted, where that is not all of it. */
export interface Region {
	/** What moves or moved lately, what stands before a still background, what is opaque, or what the mask in a file shows. */
	of: 'changed' | 'subject' | 'alpha' | { file: string };
	/** Everything but that. */
	isInverted: boolean;
	/** How far its edge is soft, inside it, in px of the source. */
	featherPx: number;
	/** Another number is another wish: what is known of the background was then seen after it. */
	revision: number;
}

/** A finished frame on its way to the sinks, with its pixels in memory of its own, for the sink to keep. */
export interface StyledFrame {
	sequence: number;
	capturedUs: number;
	timestampUs: number;
	durationUs: number;
	/** Of the parameters that painted it; never falls along a stream. */
	epoch: number;
	/**
	 * `source`: the style is `passthrough`, which wants no painting. `unpainted`: there should be a painting, and
	 * the engine gave none; what a sink then shows says its failure policy.
	 */
	kind: 'painting' | 'source' | 'unpainted';
	/** The painting before this one, shown again because the picture has not changed. */
	isReused?: boolean;
	/** What was painted: RGB at the painted size; where there is no painting, the picture itself. */
	source: Picture;
	/** The painting at the painted size; where there is none, the source's own picture. */
	picture: Picture;
	/** As the engine gives it, where a part is shown: the rest is as it is in `original`, the source's own picture. */
	region?: { mask: Mask; original?: Picture };
	/** Where `picture` shows a painting in a part of it alone: the whole painting, and which part. */
	part?: { painting: Picture; mask: Mask };
}
