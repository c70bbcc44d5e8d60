#include "mask-shaper.hpp"

#include <algorithm>

#include <opencv2/imgproc.hpp>

namespace allaprima {

namespace {

cv::Mat matOf(const Mask& mask) {
	return {mask.size, CV_8UC1, mask.data.data()};
}

MaskExtent extentOf(const cv::Mat& mask) {
	double least = 0, most = 0;
	cv::minMaxLoc(mask, &least, &most);
	if (most == 0) return MaskExtent::NOTHING;
	return least == 255 ? MaskExtent::ALL : MaskExtent::SOME;
}

}

void takeAlpha(const Picture& picture, const Mask& target) {
	const cv::Mat pixels(picture.size(), CV_8UC4, picture.data.data());
	cv::Mat alpha = matOf(target);
	cv::extractChannel(pixels, alpha, 3);
}

MaskExtent MaskShaper::operator()(const Mask& mask, bool inverted, double feather, const Mask& target) {
	const cv::Mat source = matOf(mask);
	cv::Mat shape = matOf(target);
	if (inverted)
		cv::bitwise_not(source, shape);
	else
		source.copyTo(shape);
	const MaskExtent extent = extentOf(shape);
	if (feather <= 0 || extent != MaskExtent::SOME) return extent;

	cv::distanceTransform(shape, distance_, cv::DIST_L2, cv::DIST_MASK_5);
	const auto rise = static_cast<float>(1 / (feather + 1));
	for (int y = 0; y < shape.rows; ++y) {
		auto* shares = shape.ptr<std::uint8_t>(y);
		const auto* distances = distance_.ptr<float>(y);
		for (int x = 0; x < shape.cols; ++x) {
			const float share = static_cast<float>(shares[x]) * std::min(1.0F, distances[x] * rise);
			shares[x] = static_cast<std::uint8_t>(share);
		}
	}
	return extent;
}

}
