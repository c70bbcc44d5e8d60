#include "blend.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include <opencv2/imgproc.hpp>

#include "warp.hpp"

namespace allaprima {

namespace {

/** Frames that are this many levels of grey apart agree, ... */
constexpr double AGREES = 6;
/** ... and of these and more they show different things. */
constexpr double DIFFERS = 18;
/** What is compared is the neighbourhood: sensors' noise is not motion. */
constexpr double AROUND_SIGMA = 1.5;

/** What moves is told from what does not in squares of so many pixels. */
constexpr int TILE = 48;

/** Shares are fractions of this. */
constexpr int WHOLE = 256;

using Shares = std::array<int, 256>;

/** For each difference of the frames, how much of the last painting is kept. */
Shares sharesOf(double weight) {
	Shares shares{};
	for (int apart = 0; apart < static_cast<int>(shares.size()); ++apart) {
		const double agreement = std::clamp((DIFFERS - apart) / (DIFFERS - AGREES), 0.0, 1.0);
		shares[static_cast<std::size_t>(apart)] = cvRound(WHOLE * weight * agreement);
	}
	return shares;
}

}

void Blend::operator()(
	const Picture& painting, const Picture& frame, const Painted& last, const Flow& flow, double weight
) {
	cv::Mat pixels = painting.rgb();
	const cv::Size size = pixels.size();
	cv::Mat motion = flow.mat();
	if (flow.size() != size) {
		cv::resize(motion, motion_, size, 0, 0, cv::INTER_LINEAR);
		const cv::Scalar scale(
			static_cast<double>(size.width) / flow.width, static_cast<double>(size.height) / flow.height
		);
		cv::multiply(motion_, scale, motion_);
		motion = motion_;
	}
	gatherMap(motion, -1, map_);

	cv::cvtColor(last.frame.rgb(), grey_, cv::COLOR_RGB2GRAY);
	cv::remap(grey_, greyBefore_, map_, {}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
	cv::cvtColor(frame.rgb(), grey_, cv::COLOR_RGB2GRAY);
	cv::absdiff(grey_, greyBefore_, apart_);
	cv::GaussianBlur(apart_, apart_, {}, AROUND_SIGMA);
	bring(last.painting.rgb(), motion);

	const Shares shares = sharesOf(weight);
	const auto right = static_cast<float>(size.width - 1), bottom = static_cast<float>(size.height - 1);
	for (int y = 0; y < size.height; ++y) {
		const auto* from = map_.ptr<Motion>(y);
		const auto* apart = apart_.ptr<std::uint8_t>(y);
		const auto* warped = warped_.ptr<std::uint8_t>(y);
		auto* painted = pixels.ptr<std::uint8_t>(y);
		for (int x = 0; x < size.width; ++x, painted += 3, warped += 3) {
			const bool isInside =
				from[x].x >= 0 && from[x].x <= right && from[x].y >= 0 && from[x].y <= bottom;
			const int share = isInside ? shares[apart[x]] : 0;
			for (int c = 0; c < 3; ++c) {
				const int sum = painted[c] * (WHOLE - share) + warped[c] * share;
				painted[c] = static_cast<std::uint8_t>((sum + WHOLE / 2) / WHOLE);
			}
		}
	}
}

/** Into `warped_`. Most of a still camera's picture does not move, and is copied. */
void Blend::bring(const cv::Mat& pixels, const cv::Mat& motion) {
	warped_.create(pixels.size(), pixels.type());
	for (int y = 0; y < pixels.rows; y += TILE) {
		for (int x = 0; x < pixels.cols; x += TILE) {
			const cv::Rect tile(x, y, std::min(TILE, pixels.cols - x), std::min(TILE, pixels.rows - y));
			cv::Mat target = warped_(tile);
			if (cv::norm(motion(tile), cv::NORM_INF) == 0) {
				pixels(tile).copyTo(target);
			} else {
				cv::remap(pixels, target, map_(tile), {}, cv::INTER_CUBIC, cv::BORDER_REPLICATE);
			}
		}
	}
}

}
