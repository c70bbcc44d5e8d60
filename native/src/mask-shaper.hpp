#pragma once

#include <span>

#include <opencv2/core/mat.hpp>

#include "picture.hpp"
#include "region.hpp"

namespace allaprima {

/** What a mask shows of the painting. */
enum class MaskExtent { NOTHING, SOME, ALL };

/** Copies the alpha of a picture in BGRA or RGBA. */
void takeAlpha(const Picture& picture, const Mask& target);

/** Keeps its scratch memory; one thread at a time. */
class MaskShaper {
public:
	/**
	 * Writes the mask, inverted or as it is, with an edge that is soft over `feather` pixels, all of them
	 * inside: what was nothing is nothing still, and the edge of the picture is none. Gives the extent before
	 * that. `target` is of the same size.
	 */
	MaskExtent operator()(const Mask& mask, bool inverted, double feather, const Mask& target);

private:
	cv::Mat distance_;
};

}
