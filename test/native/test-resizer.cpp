#include <doctest/doctest.h>

#include <opencv2/core.hpp>

#include "pictures.hpp"
#include "resizer.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

/** How much of source pixel `pixel` lies in target pixel `index`, as a share of the latter. */
double overlap(int pixel, int index, int source, int target) {
	const double scale = static_cast<double>(source) / target;
	return std::max(
			   0.0, std::min(pixel + 1.0, (index + 1) * scale) - std::max<double>(pixel, index * scale)
		   ) /
		scale;
}

/** The mean over the area of target pixel (x, y), by definition. */
double meanOver(const Picture& rgb, int x, int y, int channel, cv::Size target) {
	double sum = 0;
	for (int row = 0; row < rgb.height; ++row) {
		const double shareY = overlap(row, y, rgb.height, target.height);
		if (shareY == 0) continue;
		for (int column = 0; column < rgb.width; ++column) {
			const double share = shareY * overlap(column, x, rgb.width, target.width);
			if (share > 0) sum += share * pixelAt(rgb, column, row)[channel];
		}
	}
	return sum;
}

}

TEST_CASE("shrinking gives the mean over the area, to one step of hard black and white") {
	OwnedPicture source(rgbLayout(53, 37));
	std::uint32_t state = 1;
	for (auto& value : source.bytes) {
		state = state * 1664525U + 1013904223U;
		value = state >> 31 ? 255 : 0;
	}
	for (const cv::Size size :
		 {cv::Size(52, 36),
		  cv::Size(40, 29),
		  cv::Size(26, 18),
		  cv::Size(21, 37),
		  cv::Size(53, 7),
		  cv::Size(3, 2),
		  cv::Size(1, 1)}) {
		OwnedPicture target(rgbLayout(size.width, size.height));
		cv::Mat pixels = target.rgb();
		Resizer()(source.rgb(), pixels);
		double most = 0;
		for (int y = 0; y < size.height; ++y) {
			for (int x = 0; x < size.width; ++x) {
				for (int channel = 0; channel < 3; ++channel) {
					const double expected = meanOver(source, x, y, channel, size);
					most = std::max(most, std::abs(expected - pixelAt(target, x, y)[channel]));
				}
			}
		}
		CAPTURE(size.width);
		CHECK(most < 2);
	}
}

TEST_CASE("white stays white and black stays black at any factor") {
	for (const int width : {16384, 1000, 513, 257, 256, 3}) {
		cv::Mat white(3, width, CV_8U, cv::Scalar(255));
		for (const int to : {1, 2, 3, 200}) {
			if (to > width) continue;
			for (const int height : {1, 2, 3}) {
				cv::Mat target(height, to, CV_8U, cv::Scalar(9));
				Resizer resize;
				resize(white, target);
				CHECK(cv::countNonZero(target != 255) == 0);
				resize(255 - white, target);
				CHECK(cv::countNonZero(target) == 0);
			}
		}
	}
}

TEST_CASE("fills a part of a larger picture and nothing beside it") {
	cv::Mat source(30, 40, CV_8UC3, cv::Scalar(200, 100, 50)), whole(20, 20, CV_8UC3, cv::Scalar(1, 2, 3));
	for (const cv::Rect part : {cv::Rect(4, 6, 9, 7), cv::Rect(0, 0, 20, 15), cv::Rect(19, 19, 1, 1)}) {
		whole.setTo(cv::Scalar(1, 2, 3));
		cv::Mat target = whole(part);
		Resizer()(source, target);
		CHECK(cv::sum(target) == cv::Scalar(200, 100, 50) * part.area());
		target.setTo(cv::Scalar(1, 2, 3));
		CHECK(cv::sum(whole) == cv::Scalar(400, 800, 1200));
	}
}
