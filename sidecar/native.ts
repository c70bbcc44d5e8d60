import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { SidecarError } from './errors.ts';
import type { Mask, Picture, Size } from './frame/frame.ts';

export type Fit = 'cover' | 'contain' | 'stretch';

/** Dense motion, in pixels of the pictures it was computed from: [height, width, 2], x then y. */
export interface Flow extends Size {
	data: Float32Array;
}

/** How a picture is cut into patches of `patch` pixels a side; `merge` of them a side make a token. */
export interface PatchLayout extends Size {
	patch: number;
	merge: number;
	/** Of the video that the picture stands for, all alike. */
	frames: number;
}

/** A device of one of this machine's Vulkan drivers. */
export interface VulkanDevice {
	name: string;
	kind: 'discrete' | 'integrated' | 'virtual' | 'software' | 'other';
	/** With its version; empty where it is older than Vulkan 1.2. */
	driver: string;
	/** Of its own; of the machine where it has none. */
	memoryBytes: number;
}

/** Differences between two RGB pictures of one size, on the 0..255 scale. */
export interface PictureDifference {
	meanAbsolute: number;
	psnrDb: number;
	ssim: number;
}

/** Detail in one RGB picture (definitions: sidecar/telemetry/picture-metrics.ts). */
export interface PictureDetail {
	sobel: number;
	hfFft: number;
}

export type MaskExtent = 'nothing' | 'some' | 'all';

export interface WarpingError {
	/** Mean |out_t - warp(out_{t+1})| over all pixels, 0..255. */
	all: number;
	/** The same over pixels that pass the forward-backward check. */
	visible: number;
	visibleFraction: number;
}

/**
 * The whole contract of the addon in native/. Functions that give a promise run on a native thread.
 * All pixels are u8; views of shared memory are welcome everywhere. The caller must leave the views
 * alone until the promise settles. A wrong size or type is a TypeError that names the argument.
 */
export interface NativeAddon {
	/** OpenCV's version, for `doctor`. */
	readonly opencvVersion: string;

	/**
	 * Lowers the share of the cores that the calling thread gets when others want them too, by `steps` 0..19 of
	 * `nice`. Does nothing where the system has no such thing for a thread (it is there on Linux).
	 */
	lowerThreadPriority(steps: number): void;

	/** In their loader's order; none where there is no loader or driver. Loads the drivers, which the process may not survive. */
	vulkanDevices(): VulkanDevice[];

	/**
	 * Converts colour and resizes in one go: area where it shrinks, bilinear where it grows.
	 * `cover` crops the source centrally, `contain` pads with black, `stretch` ignores aspect.
	 */
	convert(source: Picture, target: Picture, fit: Fit): Promise<void>;

	/** A baseline JPEG (4:2:0) of an RGB picture; `quality` is 1 to 100. */
	encodeJpeg(source: Picture, quality: number): Promise<Uint8Array>;

	/**
	 * Fills an RGB picture from bytes of whatever origin. Rejects with the reason where they are no whole baseline JPEG of just
	 * this size; what `target` holds is undefined then.
	 */
	decodeJpeg(jpeg: Uint8Array, target: Picture): Promise<void>;

	/**
	 * The image processing of Qwen3-VL: stretches an RGB picture to the layout's size, bilinear with antialiasing (Pillow's BILINEAR, bit
	 * for bit), and fills `rows` [patches, 3 * frames * patch * patch] with (x / 255 - 0.5) / 0.5. The patches that are merged to one token
	 * follow each other, token by token; a column is (channel, frame, y, x).
	 */
	patchRows(picture: Picture, layout: PatchLayout, rows: Float32Array): Promise<void>;

	/**
	 * Flow from `previous` to `next` (RGB, one size) into `flow`: pixel (x, y) of `previous` is found at
	 * (x + flow.x, y + flow.y) of `next`. `farneback` has the parameters of dreamlite-stream (pyr_scale
	 * 0.5, levels 3, winsize 15, iterations 3, poly_n 5, poly_sigma 1.2) at full size; `dis` is OpenCV's
	 * fast preset computed at half the size, and zero where that motion does not explain the change. For `dis` a flow may
	 * be smaller than the pictures: it is computed at its own size, counts in its own pixels, and finds less of what is
	 * slow or small. At 512x288 a quarter takes a third of the time of a half.
	 */
	opticalFlow(previous: Picture, next: Picture, flow: Flow, method: 'dis' | 'farneback'): Promise<void>;

	/** Gathers `target(x, y) = source(x - flow.x, y - flow.y)`, bilinear, borders replicated (RGB). */
	warp(source: Picture, flow: Flow, target: Picture): Promise<void>;

	/**
	 * Moves latents [channels, height, width] along 1 to 64 flows, the oldest first, each of the shape's size or any larger
	 * one: by whole cells into `target`, of the same shape. `offsets` [2, height, width] becomes the rest of the motion, in
	 * cells from -0.5 to 0.5, x then y. Neither may share memory with anything else.
	 */
	moveLatents(
		latents: Float32Array,
		shape: Size & { channels: number },
		flows: readonly Flow[],
		target: Float32Array,
		offsets: Float32Array,
	): Promise<void>;

	/**
	 * Shows a painting (RGB) in `picture`, of any format and size, as `convert` would fit it in, as far as the mask says that lies
	 * over it: 255 shows the painting, 0 leaves `picture` as it is, byte for byte. Alpha stays as it is, too.
	 */
	paintRegion(painting: Picture, mask: Mask, fit: Fit, picture: Picture): Promise<void>;

	/** The alpha of a picture in BGRA or RGBA as a mask of its size, whose memory is the caller's. */
	takeAlpha(picture: Picture, mask: Mask): Promise<void>;

	/**
	 * The mask, inverted or as it is, into `target` of its size: with an edge that is soft over so many of its pixels, all of
	 * them inside, so that what was nothing is nothing still. The edge of the picture is none. Gives what the mask, inverted or
	 * not, shows of the painting.
	 */
	shapeMask(mask: Mask, isInverted: boolean, featherPx: number, target: Mask): Promise<MaskExtent>;

	/**
	 * Blends the last painting, brought along the flow from its frame to this one, into `painting` with this weight, 0 to 1 (RGB,
	 * one size): less where the frames differ along the flow, and nothing of what comes from outside. The flow may be smaller.
	 */
	blend(
		painting: Picture,
		frame: Picture,
		lastPainting: Picture,
		lastFrame: Picture,
		flow: Flow,
		weight: number,
	): Promise<void>;

	/**
	 * Moves noise along a flow of any larger size. `from` and `to` [2, height, width] are, for each cell of the grid, the
	 * place in `field` that is read there, in cells, x then y; `field` never changes and goes on for ever by repetition.
	 * `samples` is what is read: unit variance wherever it falls between cells. Both noises are [channels, height,
	 * width]. Motion below a quarter of a picture pixel is ignored. `to` and `samples` must not share memory with the others.
	 */
	advectNoise(
		field: Float32Array,
		from: Float32Array,
		shape: Size & { channels: number },
		flow: Flow,
		to: Float32Array,
		samples: Float32Array,
	): Promise<void>;

	/** Mean absolute difference of luminance between two RGB pictures, 0..255, on a 32 px wide thumbnail: for scene cuts. */
	thumbnailDifference(a: Picture, b: Picture): Promise<number>;

	/**
	 * The largest mean difference of luminance of a block of 16 x 16 pixels between two RGB pictures, 0..255: for what
	 * changes in one place. Blocks at the right and at the bottom may be smaller.
	 */
	blockDifference(a: Picture, b: Picture): Promise<number>;

	/** Mean length of the vectors, in pixels of the flow. */
	meanMotion(flow: Flow): Promise<number>;

	pictureDifference(a: Picture, b: Picture): Promise<PictureDifference>;
	pictureDetail(picture: Picture): Promise<PictureDetail>;
	/** Flow of the inputs (Farneback as above), applied to the outputs; all RGB of one size. */
	warpingError(inputs: [Picture, Picture], outputs: [Picture, Picture]): Promise<WarpingError>;
}

let addon: NativeAddon | undefined;

/** Loads the addon once a thread. Errors: ERR_NATIVE. */
export const loadNative = (): NativeAddon => {
	if (addon) return addon;
	const path = fileURLToPath(new URL('../native/build/Release/allaprima.node', import.meta.url));
	try {
		addon = createRequire(import.meta.url)(path) as NativeAddon;
		return addon;
	} catch (cause) {
		throw new SidecarError(
			'ERR_NATIVE',
			`The native addon could not be loaded from ${path} (${(cause as Error).message.split('\n')[0]}). Run ./scripts/setup.`,
			{ cause },
		);
	}
};
