#pragma once

#include <opencv2/core/mat.hpp>

#include "picture.hpp"

namespace allaprima {

/** What was painted last, and of which frame. */
struct Painted {
	const Picture& painting;
	const Picture& frame;
};

/** Blends what was painted last into a painting. Keeps its scratch memory; one thread at a time. */
class Blend {
public:
	/**
	 * `painting += share * (last - painting)`, `last` brought along the flow from its frame to this one,
	 * bicubic. `share` is `weight` where the frames agree along the flow, falls off where they don't (what
	 * was hidden, and light that changes) and is 0 for what comes from outside. RGB of one size; the flow may
	 * be smaller, counted in its own pixels.
	 */
	void operator()(
		const Picture& painting, const Picture& frame, const Painted& last, const Flow& flow, double weight
	);

private:
	void bring(const cv::Mat& pixels, const cv::Mat& motion);

	cv::Mat motion_, map_, grey_, greyBefore_, apart_, warped_;
};

}
