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
		: shape(of),
		  noise(of.count()),
		  fresh(of.count()),
		  target(of.count()),
		  offsets(2 * cells()),
		  targetOffsets(2 * cells()) {
		std::iota(noise.begin(), noise.end(), 1.0F);
		std::ranges::transform(noise, fresh.begin(), std::negate{});
	}

	std::size_t cells() const { return shape.count() / static_cast<std::size_t>(shape.channels); }

	std::size_t index(int channel, int x, int y) const {
		return static_cast<std::size_t>((channel * shape.height + y) * shape.width + x);
	}

	void advect(const OwnedFlow& flow) {
		carrier({noise, offsets}, fresh, shape, flow, {target, targetOffsets});
	}

	/** Makes the result the start of the next frame. */
	void settle() {
		noise = target;
		offsets = targetOffsets;
	}

	NoiseShape shape;
	NoiseCarrier carrier;
	std::vector<float> noise, fresh, target, offsets, targetOffsets;
};

}

TEST_CASE("still noise stays, and so does noise in a flow that only trembles") {
	Field field({.channels = 4, .width = 16, .height = 9});
	for (const Motion motion : {Motion{0, 0}, Motion{0.2F, 0.1F}, Motion{-0.17F, 0.17F}}) {
		field.advect(OwnedFlow({128, 72}, motion));
		CHECK(field.target == field.noise);
		CHECK(std::ranges::count(field.targetOffsets, 0.0F) == std::ssize(field.targetOffsets));
	}
}

TEST_CASE("motion over whole cells shifts all channels, and fresh noise enters at the border") {
	Field field({.channels = 2, .width = 16, .height = 9});
	field.advect(OwnedFlow({128, 72}, {16, -8})); // 2 cells to the right, 1 up
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

TEST_CASE("motion of a part of a cell adds up from frame to frame") {
	Field field({.channels = 1, .width = 16, .height = 9});
	const std::vector<float> start = field.noise;
	for (int frame = 0; frame < 10; ++frame) {
		field.advect(OwnedFlow({128, 72}, {2.4F, 0})); // 0.3 cells of 8 pixels
		field.settle();
	}
	// Three cells in ten frames.
	for (int y = 0; y < 9; ++y)
		for (int x = 4; x < 16; ++x)
			REQUIRE(field.noise[field.index(0, x, y)] == start[field.index(0, x - 3, y)]);
}

TEST_CASE("a flow that spreads opens cells for fresh noise, one that narrows closes some, and neither "
		  "doubles a sample") {
	constexpr int side = 32;
	for (const float zoom : {0.06F, -0.06F}) {
		Field field({.channels = 1, .width = side, .height = side});
		OwnedFlow flow({4 * side, 4 * side});
		for (int y = 0; y < 4 * side; ++y)
			for (int x = 0; x < 4 * side; ++x)
				flow.vectors[static_cast<std::size_t>(y * 4 * side + x)] = {
					zoom * static_cast<float>(x - 2 * side), zoom * static_cast<float>(y - 2 * side)
				};
		for (int frame = 0; frame < 10; ++frame) {
			for (float& sample : field.fresh) sample -= side * side; // never the same again
			field.advect(flow);
			field.settle();
		}
		std::vector<float> kept = field.noise;
		std::ranges::sort(kept);
		const auto repeated = side * side - std::distance(kept.begin(), std::ranges::unique(kept).begin());
		CHECK(repeated == 0); // no sample stands in two cells
		CHECK(std::ranges::count_if(kept, [](float sample) { return sample > 0; }) > side * side / 5);
	}
}

TEST_CASE("a picture that is not a multiple of the noise is covered to its last pixel") {
	Field field({.channels = 1, .width = 7, .height = 5});
	for (const cv::Size size : {cv::Size(7, 5), cv::Size(61, 43), cv::Size(1001, 7)}) {
		field.advect(OwnedFlow(size));
		CHECK(field.target == field.noise);
		field.advect(OwnedFlow(size, {static_cast<float>(-size.width), 0}));
		CHECK(field.target == field.fresh);
	}
}

TEST_CASE("motion that is not a number or endless, and offsets that are, bring fresh noise") {
	Field field({.channels = 1, .width = 4, .height = 4});
	const float none = std::numeric_limits<float>::quiet_NaN(),
				endless = std::numeric_limits<float>::infinity();
	for (const Motion motion :
		 {Motion{none, 0}, Motion{0, none}, Motion{endless, 0}, Motion{none, -endless}}) {
		field.advect(OwnedFlow({32, 32}, motion));
		CHECK(field.target == field.fresh);
	}
	std::ranges::fill(field.offsets, none);
	field.advect(OwnedFlow({32, 32}));
	CHECK(field.target == field.fresh);
}
