#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "blend.hpp"
#include "pictures.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

int at(const OwnedPicture& picture, int width, int x, int y) {
	return picture.bytes[static_cast<std::size_t>(3 * (y * width + x))];
}

bool areAll(const OwnedPicture& picture, int level) {
	return std::ranges::all_of(picture.bytes, [level](int value) { return value == level; });
}

}

TEST_CASE("where nothing changes the weight is the share of the last painting") {
	OwnedPicture frame(rgbLayout(17, 9), 60), last(rgbLayout(17, 9), 100);
	for (const cv::Size& size : {cv::Size(17, 9), cv::Size(5, 3)}) {
		OwnedFlow flow(size, {0, 0});
		for (const auto& [weight, expected] : {std::pair{0.0, 200}, {0.25, 175}, {0.5, 150}, {1.0, 100}}) {
			OwnedPicture painting(rgbLayout(17, 9), 200);
			Blend()(painting, frame, {last, frame}, flow, weight);
			CHECK(areAll(painting, expected));
		}
	}
}

TEST_CASE("the last painting comes along the flow, and nothing from outside") {
	OwnedPicture frame(rgbLayout(24, 8), 60), painting(rgbLayout(24, 8), 200), last(rgbLayout(24, 8), 100);
	for (int y = 0; y < 8; ++y) std::fill_n(last.bytes.begin() + 3 * (24 * y + 10), 3, std::uint8_t{40});
	OwnedFlow flow({6, 2}, {1, 0}); // In its own pixels, which are four wide.
	Blend()(painting, frame, {last, frame}, flow, 0.5);
	CHECK(at(painting, 24, 3, 4) == 200);
	CHECK(at(painting, 24, 4, 4) == 150);
	CHECK(at(painting, 24, 14, 4) == 120);
	CHECK(at(painting, 24, 10, 4) == 150);
}

TEST_CASE("a place that moves beside one that stands brings its own past along") {
	OwnedPicture frame(rgbLayout(100, 60), 60), painting(rgbLayout(100, 60), 200), last(rgbLayout(100, 60));
	for (std::size_t i = 0; i < last.bytes.size(); ++i) {
		last.bytes[i] = static_cast<std::uint8_t>(2 * (i / 3 % 100));
	}
	OwnedFlow flow({100, 60}, {0, 0});
	for (int y = 0; y < 60; ++y) {
		for (int x = 50; x < 100; ++x) flow.vectors[static_cast<std::size_t>(100 * y + x)] = {3, 0};
	}
	Blend()(painting, frame, {last, frame}, flow, 1);
	for (const int y : {0, 30, 59}) {
		for (const int x : {0, 20, 47, 48, 49}) CHECK(at(painting, 100, x, y) == 2 * x);
		for (const int x : {50, 70, 95, 96, 99}) CHECK(at(painting, 100, x, y) == 2 * (x - 3));
	}
}

TEST_CASE("what shows another thing than before keeps its own painting") {
	OwnedPicture frame(rgbLayout(64, 16), 60), before(rgbLayout(64, 16), 60);
	for (int y = 0; y < 16; ++y) std::fill_n(before.bytes.begin() + 3 * 64 * y, 3 * 24, std::uint8_t{90});
	OwnedPicture painting(rgbLayout(64, 16), 200), last(rgbLayout(64, 16), 100);
	OwnedFlow flow({64, 16}, {0, 0});
	Blend()(painting, frame, {last, before}, flow, 0.5);
	CHECK(at(painting, 64, 8, 8) == 200);
	CHECK(at(painting, 64, 40, 8) == 150);

	// Half as much where the frames are half way between the same and another.
	OwnedPicture nearly(rgbLayout(64, 16), 72), again(rgbLayout(64, 16), 200);
	Blend()(again, frame, {last, nearly}, flow, 0.5);
	CHECK(areAll(again, 175));
}

TEST_CASE("a flow that is no number blends nothing") {
	OwnedPicture frame(rgbLayout(16, 8), 60), painting(rgbLayout(16, 8), 200), last(rgbLayout(16, 8), 100);
	OwnedFlow flow({4, 2}, {std::numeric_limits<float>::quiet_NaN(), 0});
	Blend()(painting, frame, {last, frame}, flow, 0.5);
	CHECK(areAll(painting, 200));
}
