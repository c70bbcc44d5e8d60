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
	/** OpenCV's fast preset, one level finer, at half the size; at full size where half is too little to
	 * search. Zero where it does not explain how the picture changed. */
	void dis(const Picture& previous, const Picture& next, const Flow& flow);
	void farneback(const Picture& previous, const Picture& next, const Flow& flow);

private:
	void prepare(const Picture& picture, const cv::Size& size, cv::Mat& prepared);
	void keepExplained(cv::Mat& motion);

	cv::Ptr<cv::DISOpticalFlow> dis_;
	cv::Size disSize_;
	cv::Mat grey_, small_, previous_, next_;
	cv::Mat map_, warped_, still_, moved_;
};

}
