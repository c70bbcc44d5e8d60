#pragma once

#include <opencv2/core/mat.hpp>
#include <opencv2/video/tracking.hpp>

#include "picture.hpp"

namespace allaprima {

/** Farneback's flow between two grey pictures, with the parameters of dreamlite-stream. */
void farneback(const cv::Mat& previous, const cv::Mat& next, cv::Mat& flow);

/**
 * Motion from `previous` to `next`, RGB of one size: pixel (x, y) of `previous` is found at
 * (x + flow.x, y + flow.y) of `next`. Keeps its scratch memory; one thread at a time.
 */
class OpticalFlow {
public:
	/**
	 * OpenCV's fast preset, one level finer, at half the size; at full size where half is too little to
	 * search. Zero where it does not explain how the picture changed. A flow that is smaller than the
	 * pictures is computed at its size, and counts in its pixels.
	 */
	void dis(const Picture& previous, const Picture& next, const Flow& flow);
	void farneback(const Picture& previous, const Picture& next, const Flow& flow);

private:
	/** What the search keeps for pictures of one size. */
	struct Search {
		cv::Ptr<cv::DISOpticalFlow> dis;
		cv::Size size;
	};

	/** At the size `work`, in its pixels. */
	cv::Mat calculate(const Picture& previous, const Picture& next, const cv::Size& work, Search& search);
	void prepare(const Picture& picture, const cv::Size& size, cv::Mat& prepared);
	void keepExplained(cv::Mat& motion);

	Search fine_, coarse_;
	cv::Mat grey_, small_, previous_, next_;
	cv::Mat map_, warped_, still_, moved_;
};

}
