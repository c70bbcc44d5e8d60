import type { NativeAddon } from '../../sidecar/native.ts';

/** The addon's contract over a world where nothing moves and pixels do not matter: for tests of the scheduler alone. */
export const stillNative: NativeAddon = {
	opencvVersion: 'none',
	convert: async () => {},
	opticalFlow: async () => {},
	warp: async () => {},
	blend: async () => {},
	advectNoise: async (noise, _fresh, _shape, _flow, target) => target.set(noise),
	thumbnailDifference: async () => 0,
	meanMotion: async () => 0,
	pictureDifference: async () => ({ meanAbsolute: 0, psnrDb: Infinity, ssim: 1 }),
	pictureDetail: async () => ({ sobel: 0, hfFft: 0 }),
	warpingError: async () => ({ all: 0, visible: 0, visibleFraction: 1 }),
};
