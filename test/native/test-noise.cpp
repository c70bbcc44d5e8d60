#include <doctest/doctest.h>

#include <limits>
#include <numeric>

#include "noise.hpp"
#include "pictures.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

/** Noise of distinct numbers, and fresh noise of distinct numbers below zero. */
struct Field {
	explicit Field(const NoiseShape& of)
		: shape(of), noise(of.count()), fresh(of.count()), target(of.count()) {
		std::iota(noise.begin(), noise.end(), 1.0F);
		std::ranges::transform(noise, fresh.begin(), std::negate{});
	}

	std::size_t index(int channel, int x, int y) const {
		return static_cast<std::size_t>((channel * shape.height + y) * shape.width + x);
	}

	NoiseShape shape;
	std::vector<float> noise, fresh, target;
};

}

TEST_CASE("still noise stays, and so does noise in a flow that only trembles") {
	Field field({.channels = 4, .width = 16, .height = 9});
	for (const Motion motion : {Motion{0, 0}, Motion{0.2F, 0.1F}, Motion{-0.17F, 0.17F}}) {
		OwnedFlow flow({128, 72}, motion);
		advectNoise(field.noise, field.fresh, field.shape, flow, field.target);
		CHECK(field.target == field.noise);
	}
}

TEST_CASE("motion over whole cells shifts all channels, and fresh noise enters at the border") {
	Field field({.channels = 2, .width = 16, .height = 9});
	OwnedFlow flow({128, 72}, {16, -8}); // 2 cells to the right, 1 up
	advectNoise(field.noise, field.fresh, field.shape, flow, field.target);
	for (int channel = 0; channel < 2; ++channel) {
		for (int y = 0; y < 9; ++y) {
			for (int x = 0; x < 16; ++x) {
				const bool inside = x >= 2 && y < 8;
				const float expected = inside ? field.noise[field.index(channel, x - 2, y + 1)]
											  : field.fresh[field.index(channel, x, y)];
				REQUIRE(field.target[field.index(channel, x, y)] == expected);
			}
		}
	}
}

TEST_CASE("a picture that is not a multiple of the noise is covered to its last pixel") {
	Field field({.channels = 1, .width = 7, .height = 5});
	for (const cv::Size size : {cv::Size(7, 5), cv::Size(61, 43), cv::Size(1001, 7)}) {
		OwnedFlow still(size);
		advectNoise(field.noise, field.fresh, field.shape, still, field.target);
		CHECK(field.target == field.noise);
		OwnedFlow all(size, {static_cast<float>(-size.width), 0});
		advectNoise(field.noise, field.fresh, field.shape, all, field.target);
		CHECK(field.target == field.fresh);
	}
}

TEST_CASE("motion that is not a number or endless brings fresh noise") {
	Field field({.channels = 1, .width = 4, .height = 4});
	const float none = std::numeric_limits<float>::quiet_NaN(),
				endless = std::numeric_limits<float>::infinity();
	for (const Motion motion :
		 {Motion{none, 0}, Motion{0, none}, Motion{endless, 0}, Motion{none, -endless}}) {
		OwnedFlow flow({32, 32}, motion);
		advectNoise(field.noise, field.fresh, field.shape, flow, field.target);
		CHECK(field.target == field.fresh);
	}
}
