import type { Picture } from '../frame/frame.ts';
import type { NativeAddon, PictureDetail } from '../native.ts';

/**
 * What a painted clip is like against its source, on the 0..255 scale, means over the clip. The definitions are those
 * of dreamlite-stream's evaluation, so numbers compare with its paper (arXiv 2606.05981):
 *
 * - `warpingError`: Farneback flow between consecutive inputs, the later output brought back along it, mean absolute
 *   difference to the earlier output, over all pixels. `warpingErrorVisible` leaves out the pixels that fail the
 *   forward-backward check `|Ff + Fb(x + Ff)|^2 > 0.01 (|Ff|^2 + |Fb|^2) + 0.5`.
 * - `consecutiveL1`: mean absolute difference of consecutive outputs; `consistencyRatio` = warpingError / consecutiveL1.
 * - `sobel`: mean absolute mixed derivative d2/dxdy (3x3) of the grey picture.
 * - `hfFft`: mean magnitude of the spectrum outside a radius of min(width, height) / 4; it depends on the size.
 * - `psnrDb`, `ssim`: output against input; identical pictures count as 100 dB.
 *
 * A low warping error alone is no merit: a blur has one too. Read it beside `sobel` and `hfFft`.
 */
export interface PictureMetrics {
	frames: number;
	warpingError: number;
	warpingErrorVisible: number;
	visibleFraction: number;
	consecutiveL1: number;
	consistencyRatio: number;
	input: PictureDetail;
	output: PictureDetail;
	/** ln(hfFft of the output / hfFft of the input): below 0 is smoother than the source. */
	hfLogRatio: number;
	psnrDb: number;
	ssim: number;
}

const IDENTICAL_DB = 100;

class Mean {
	#sum = 0;
	#count = 0;

	add(value: number): void {
		this.#sum += value;
		this.#count++;
	}

	/** 0 of nothing: a clip of one frame has no motion to err in. */
	get value(): number {
		return this.#count ? this.#sum / this.#count : 0;
	}
}

/** Measures pairs [input, output] of RGB pictures of one size. A pair must stay untouched until the next but one is asked for. */
export const measurePictures = async (
	pairs: AsyncIterable<[input: Picture, output: Picture]>,
	native: NativeAddon,
): Promise<PictureMetrics> => {
	const names = ['all', 'visible', 'fraction', 'l1', 'inSobel', 'inHf', 'outSobel', 'outHf', 'psnr', 'ssim'] as const;
	const mean = Object.fromEntries(names.map((name) => [name, new Mean()])) as Record<(typeof names)[number], Mean>;
	let previous: [Picture, Picture] | undefined;
	let frames = 0;
	for await (const pair of pairs) {
		const [input, output] = pair;
		const [inputDetail, outputDetail, difference, motion, step] = await Promise.all([
			native.pictureDetail(input),
			native.pictureDetail(output),
			native.pictureDifference(input, output),
			previous && native.warpingError([previous[0], input], [previous[1], output]),
			previous && native.pictureDifference(previous[1], output),
		]);
		mean.inSobel.add(inputDetail.sobel);
		mean.inHf.add(inputDetail.hfFft);
		mean.outSobel.add(outputDetail.sobel);
		mean.outHf.add(outputDetail.hfFft);
		mean.psnr.add(Math.min(difference.psnrDb, IDENTICAL_DB));
		mean.ssim.add(difference.ssim);
		if (motion && step) {
			mean.all.add(motion.all);
			mean.visible.add(motion.visible);
			mean.fraction.add(motion.visibleFraction);
			mean.l1.add(step.meanAbsolute);
		}
		previous = pair;
		frames++;
	}
	return {
		frames,
		warpingError: mean.all.value,
		warpingErrorVisible: mean.visible.value,
		visibleFraction: mean.fraction.value,
		consecutiveL1: mean.l1.value,
		consistencyRatio: mean.l1.value > 0 ? mean.all.value / mean.l1.value : 0,
		input: { sobel: mean.inSobel.value, hfFft: mean.inHf.value },
		output: { sobel: mean.outSobel.value, hfFft: mean.outHf.value },
		hfLogRatio: mean.inHf.value > 0 && mean.outHf.value > 0 ? Math.log(mean.outHf.value / mean.inHf.value) : 0,
		psnrDb: mean.psnr.value,
		ssim: mean.ssim.value,
	};
};
