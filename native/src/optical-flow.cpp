#include "optical-flow.hpp"

#include <algorithm>

#include <opencv2/imgproc.hpp>

#include "warp.hpp"

namespace allaprima {

namespace {

/** Below this many pixels half the size loses the motion: DIS starts from patches of 8 pixels. */
constexpr int HALVED_SIDE_MIN = 128;

/** DIS refuses pictures of less than 12 pixels; smaller ones are extended to this. */
constexpr int DIS_SIDE_MIN = 32;

/**
 * The preset stops at a quarter of what it is given (2). One level further, at 512x288, is 2.9 instead of
 * 1.0 ms and warps video with an error of 0.67 instead of 0.81; Farneback's is 0.65 in 27 ms.
 */
constexpr int DIS_FINEST_SCALE = 1;

/** A motion is kept where it leaves at most this share of the difference between the frames, ... */
constexpr double EXPLAINED_SHARE = 0.6;
/** ... and takes away this much of it, in grey levels, ... */
constexpr double EXPLAINED_LEAST = 0.5;
/** ... both around a pixel of the size at which the flow is computed. */
constexpr double EXPLAINED_SIGMA = 2;

}

void farneback(const cv::Mat& previous, const cv::Mat& next, cv::Mat& flow) {
	cv::calcOpticalFlowFarneback(previous, next, flow, 0.5, 3, 15, 3, 5, 1.2, 0);
}

void OpticalFlow::farneback(const Picture& previous, const Picture& next, const Flow& flow) {
	cv::cvtColor(previous.rgb(), previous_, cv::COLOR_RGB2GRAY);
	cv::cvtColor(next.rgb(), next_, cv::COLOR_RGB2GRAY);
	cv::Mat motion = flow.mat();
	allaprima::farneback(previous_, next_, motion);
}

void OpticalFlow::dis(const Picture& previous, const Picture& next, const Flow& flow) {
	const cv::Size size = flow.size();
	const bool whole = size == previous.rgb().size();
	const bool halved = whole && std::min(size.width, size.height) >= HALVED_SIDE_MIN;
	const cv::Size work = halved ? cv::Size(halfUp(size.width), halfUp(size.height)) : size;
	cv::Mat motion = calculate(previous, next, work, whole ? fine_ : coarse_);
	cv::Mat target = flow.mat();
	if (halved) {
		const cv::Scalar scale(
			static_cast<double>(size.width) / work.width, static_cast<double>(size.height) / work.height
		);
		cv::multiply(motion, scale, motion);
		cv::resize(motion, target, size, 0, 0, cv::INTER_LINEAR);
	} else {
		motion.copyTo(target);
	}
}

cv::Mat
OpticalFlow::calculate(const Picture& previous, const Picture& next, const cv::Size& work, Search& search) {
	prepare(previous, work, previous_);
	prepare(next, work, next_);

	// For a small picture the object changes its own preset, so it serves one size only.
	if (!search.dis || search.size != previous_.size()) {
		search.dis = cv::DISOpticalFlow::create(cv::DISOpticalFlow::PRESET_FAST);
		search.dis->setFinestScale(DIS_FINEST_SCALE);
		search.size = previous_.size();
	}
	cv::Mat motion; // not kept: DIS takes what it finds here as its first guess
	search.dis->calc(previous_, next_, motion);
	keepExplained(motion);

	return motion(cv::Rect({0, 0}, work));
}

/**
 * Zero where the motion does not explain the change: on the plain walls before a still camera DIS finds
 * motion in the sensor's noise, and everything that is carried along would crawl.
 */
void OpticalFlow::keepExplained(cv::Mat& motion) {
	// The flow is read where it arrives, as the warp does.
	gatherMap(motion, -1, map_);
	cv::remap(previous_, warped_, map_, {}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
	const auto differenceTo = [this](const cv::Mat& picture, cv::Mat& difference) {
		cv::absdiff(picture, next_, difference);
		difference.convertTo(difference, CV_32F);
		cv::GaussianBlur(difference, difference, {}, EXPLAINED_SIGMA);
	};
	differenceTo(previous_, still_);
	differenceTo(warped_, moved_);
	still_.convertTo(still_, CV_32F, EXPLAINED_SHARE, -EXPLAINED_LEAST);
	motion.setTo(cv::Scalar(0, 0), moved_ > still_);
}

void OpticalFlow::prepare(const Picture& picture, const cv::Size& size, cv::Mat& prepared) {
	cv::cvtColor(picture.rgb(), grey_, cv::COLOR_RGB2GRAY);
	cv::resize(grey_, small_, size, 0, 0, cv::INTER_AREA);
	const int right = std::max(0, DIS_SIDE_MIN - size.width),
			  bottom = std::max(0, DIS_SIDE_MIN - size.height);
	cv::copyMakeBorder(small_, prepared, 0, bottom, 0, right, cv::BORDER_REPLICATE);
}

}
