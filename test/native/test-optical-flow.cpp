#include <doctest/doctest.h>

#include "metrics.hpp"
#include "optical-flow.hpp"
#include "pictures.hpp"
#include "warp.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

/** The largest distance from `expected` further than `margin` pixels from the border. */
float errorMax(const OwnedFlow& flow, const Motion& expected, int margin) {
	float most = 0;
	for (int y = margin; y < flow.height - margin; ++y) {
		for (int x = margin; x < flow.width - margin; ++x) {
			const Motion motion = flow.at(x, y);
			most = std::max(most, std::hypot(motion.x - expected.x, motion.y - expected.y));
		}
	}
	return most;
}

}

TEST_CASE("finds the motion of a picture that moved as a whole, and warping undoes it") {
	for (const cv::Size size : {cv::Size(320, 180), cv::Size(257, 143)}) {
		OwnedPicture previous(rgbLayout(size.width, size.height)), next(rgbLayout(size.width, size.height));
		OwnedPicture moved(rgbLayout(size.width, size.height));
		drawTexture(previous);
		for (const Motion motion : {Motion{3, 2}, Motion{-4, 1}, Motion{0.5F, -1.5F}}) {
			CAPTURE(motion.x);
			drawTexture(next, static_cast<double>(motion.x), static_cast<double>(motion.y));
			OwnedFlow flow(size);
			OpticalFlow opticalFlow;
			Warp warp;

			opticalFlow.farneback(previous, next, flow);
			CHECK(errorMax(flow, motion, 32) < 0.1F);
			opticalFlow.dis(previous, next, flow);
			CHECK(errorMax(flow, motion, 32) < 0.35F);

			warp(previous, flow, moved);
			double sum = 0;
			int count = 0;
			for (int y = 32; y < size.height - 32; ++y) {
				for (int x = 32; x < size.width - 32; ++x, ++count) {
					sum += std::abs(pixelAt(moved, x, y)[0] - pixelAt(next, x, y)[0]);
				}
			}
			CHECK(sum / count < 1.5);
		}
	}
}

TEST_CASE("a picture that stands still has no motion") {
	OwnedPicture picture(rgbLayout(256, 144));
	drawTexture(picture);
	OwnedFlow flow({256, 144}, {9, 9});
	OpticalFlow opticalFlow;
	opticalFlow.dis(picture, picture, flow);
	CHECK(errorMax(flow, {0, 0}, 0) < 0.05F);
	// Farneback has less than its window to go by at the border.
	opticalFlow.farneback(picture, picture, flow);
	CHECK(errorMax(flow, {0, 0}, 16) < 0.05F);
}

TEST_CASE("a flow smaller than the pictures counts in its own pixels, and asks nothing of the other") {
	OpticalFlow opticalFlow;
	for (const cv::Size size : {cv::Size(512, 288), cv::Size(96, 64)}) {
		CAPTURE(size.width);
		OwnedPicture previous(rgbLayout(size.width, size.height)), next(rgbLayout(size.width, size.height));
		drawTexture(previous);
		drawTexture(next, 4, 3);
		OwnedFlow coarse({size.width / 4, size.height / 4});
		opticalFlow.dis(previous, next, coarse);
		CHECK(meanMotion(coarse) == doctest::Approx(5 / 4.0).epsilon(0.2));
		opticalFlow.dis(previous, previous, coarse);
		CHECK(meanMotion(coarse) < 0.05);
		OwnedFlow alone(size), among(size);
		OpticalFlow().dis(previous, next, alone);
		opticalFlow.dis(previous, next, among);
		CHECK(std::ranges::equal(alone.vectors, among.vectors, [](const Motion& a, const Motion& b) {
			return a.x == b.x && a.y == b.y;
		}));
	}
}

TEST_CASE("the answer does not depend on what was asked before") {
	OpticalFlow used;
	OwnedPicture previous(rgbLayout(256, 144)), next(rgbLayout(256, 144));
	drawTexture(previous);
	drawTexture(next, 3, 1);
	OwnedFlow expected({256, 144}), flow({256, 144}, {-7, 3});
	OpticalFlow().dis(previous, next, expected);

	OwnedPicture other(rgbLayout(40, 300));
	drawTexture(other, 5, 5);
	OwnedFlow otherFlow({40, 300});
	used.dis(next, previous, flow);
	used.dis(other, other, otherFlow);
	used.dis(previous, next, flow);
	CHECK(flow.mat().total() == expected.mat().total());
	CHECK(std::ranges::equal(flow.vectors, expected.vectors, [](const Motion& a, const Motion& b) {
		return a.x == b.x && a.y == b.y;
	}));
}

TEST_CASE("takes pictures of any size, down to one pixel") {
	for (const cv::Size size :
		 {cv::Size(1, 1),
		  cv::Size(2, 3),
		  cv::Size(11, 11),
		  cv::Size(1, 200),
		  cv::Size(300, 1),
		  cv::Size(31, 65),
		  cv::Size(127, 129),
		  cv::Size(129, 128),
		  cv::Size(640, 16)}) {
		CAPTURE(size.width);
		CAPTURE(size.height);
		OwnedPicture previous(rgbLayout(size.width, size.height)), next(rgbLayout(size.width, size.height));
		drawTexture(previous);
		drawTexture(next, 1, 0);
		OwnedFlow flow(size);
		OpticalFlow opticalFlow;
		opticalFlow.dis(previous, next, flow);
		opticalFlow.farneback(previous, next, flow);
		opticalFlow.dis(next, previous, flow);
		OwnedFlow coarse({(size.width + 3) / 4, (size.height + 3) / 4});
		opticalFlow.dis(previous, next, coarse);
		CHECK(std::isfinite(meanMotion(coarse)));
		CHECK(std::ranges::all_of(flow.vectors, [](const Motion& motion) {
			return std::isfinite(motion.x) && std::isfinite(motion.y);
		}));
	}
}
