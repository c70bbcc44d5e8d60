#pragma once

#include <array>

#include <opencv2/core/mat.hpp>

#include "picture.hpp"

namespace allaprima {

/** On the 0..255 scale. */
struct PictureDifference {
	/** Over all channels. */
	double meanAbsolute;
	/** Infinite for equal pictures. */
	double psnrDb;
	/** Of luminance, Gaussian window of 11 pixels and sigma 1.5: Wang et al. 2004. */
	double ssim;
};

struct PictureDetail {
	/** Mean |d2/dxdy| of luminance, 3x3 Sobel: the mixed derivative, not the length of the gradient. */
	double sobel;
	/** Mean |FFT| of luminance at frequencies above a quarter of the shorter side, not normalised. */
	double hfFft;
};

struct WarpingError {
	double all;
	/** Over visible pixels; 0 if there are none. */
	double visible;
	double visibleFraction;
};

/** Mean absolute difference of luminance, 0..255, on thumbnails 32 pixels wide. */
double thumbnailDifference(const Picture& a, const Picture& b);

/**
 * The largest difference of mean luminance of a block of 16 x 16 pixels, 0..255. Blocks at the right and at
 * the bottom may be smaller.
 */
double blockDifference(const Picture& a, const Picture& b);

/** Mean length of the vectors, in pixels. */
double meanMotion(const Flow& flow);

PictureDifference pictureDifference(const Picture& a, const Picture& b);
PictureDetail pictureDetail(const Picture& picture);

/**
 * Mean |out_t - out_{t+1} gathered along the flow of the inputs| over all channels. A pixel is visible iff
 * |Ff + Fb(x + Ff)|^2 <= 0.01 (|Ff|^2 + |Fb|^2) + 0.5, with Fb taken at x + Ff: Sundaram et al. 2010.
 */
WarpingError warpingError(const std::array<Picture, 2>& inputs, const std::array<Picture, 2>& outputs);

}
