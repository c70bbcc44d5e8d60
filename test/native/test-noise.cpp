#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "noise.hpp"
#include "pictures.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

/** White noise, and coordinates that have not moved. */
struct Field {
	explicit Field(const LatentShape& of)
		: shape(of),
		  cells(of.count() / static_cast<std::size_t>(of.channels)),
		  noise(of.count()),
		  samples(of.count()),
		  at(2 * cells),
		  to(2 * cells) {
		std::mt19937 random(7);
		std::normal_distribution<float> normal;
		std::ranges::generate(noise, [&] { return normal(random); });
		for (std::size_t cell = 0; cell < cells; ++cell) {
			at[cell] = static_cast<float>(cell % static_cast<std::size_t>(shape.width));
			at[cells + cell] = static_cast<float>(cell / static_cast<std::size_t>(shape.width));
		}
	}

	float expected(int channel, int x, int y) const {
		const int column = (x % shape.width + shape.width) % shape.width;
		const int row = (y % shape.height + shape.height) % shape.height;
		return noise[static_cast<std::size_t>((channel * shape.height + row) * shape.width + column)];
	}

	void advect(const OwnedFlow& flow) {
		carrier(noise, at, shape, flow, to, samples);
		at = to;
	}

	LatentShape shape;
	std::size_t cells;
	NoiseCarrier carrier;
	std::vector<float> noise, samples, at, to;
};

void checkShifted(const Field& field, int byX, int byY) {
	std::size_t index = 0;
	for (int channel = 0; channel < field.shape.channels; ++channel)
		for (int y = 0; y < field.shape.height; ++y)
			for (int x = 0; x < field.shape.width; ++x, ++index)
				REQUIRE(
					field.samples[index] ==
					doctest::Approx(field.expected(channel, x - byX, y - byY)).epsilon(0.01)
				);
}

}

TEST_CASE("still noise stays, and so does noise in a flow that only trembles") {
	Field field({.channels = 4, .width = 16, .height = 9});
	for (const Motion motion : {Motion{0, 0}, Motion{0.2F, 0.1F}, Motion{-0.17F, 0.17F}}) {
		field.advect(OwnedFlow({128, 72}, motion));
		CHECK(field.samples == field.noise);
	}
}

TEST_CASE("motion over whole cells shifts all channels, and the field goes on beyond the border") {
	Field field({.channels = 2, .width = 16, .height = 9});
	field.advect(OwnedFlow({128, 72}, {16, -8})); // 2 cells to the right, 1 up
	checkShifted(field, 2, -1);
}

TEST_CASE("motion of a part of a cell adds up from frame to frame, over any distance") {
	Field field({.channels = 1, .width = 16, .height = 9});
	for (int frame = 0; frame < 1000; ++frame)
		field.advect(OwnedFlow({128, 72}, {2, 0})); // a quarter of a cell
	checkShifted(field, 250, 0);
}

TEST_CASE("noise between cells has the variance of noise, and differs little from a part of a cell before") {
	Field field({.channels = 8, .width = 64, .height = 36});
	for (int frame = 0; frame < 8; ++frame) {
		const std::vector<float> before = field.samples;
		field.advect(OwnedFlow({256, 144}, {0.6F, 0.4F}));
		double squares = 0, change = 0;
		for (std::size_t i = 0; i < field.samples.size(); ++i) {
			squares += static_cast<double>(field.samples[i]) * static_cast<double>(field.samples[i]);
			change += std::abs(static_cast<double>(field.samples[i]) - static_cast<double>(before[i]));
		}
		const auto count = static_cast<double>(field.samples.size());
		CHECK(squares / count == doctest::Approx(1).epsilon(0.1));
		if (frame > 0) CHECK(change / count < 0.4); // two fields without relation differ by 1.13
	}
}

TEST_CASE("a picture that is not a multiple of the noise is covered to its last pixel") {
	Field field({.channels = 1, .width = 7, .height = 5});
	for (const cv::Size size : {cv::Size(7, 5), cv::Size(61, 43), cv::Size(1001, 7)}) {
		field.advect(OwnedFlow(size));
		CHECK(field.samples == field.noise);
	}
}

TEST_CASE("motion and coordinates that are not a number or endless stay where they are") {
	const float none = std::numeric_limits<float>::quiet_NaN(),
				endless = std::numeric_limits<float>::infinity();
	for (const float bad : {none, endless, -endless, 1e30F}) {
		Field field({.channels = 1, .width = 4, .height = 4});
		field.advect(OwnedFlow({32, 32}, {bad, 0}));
		CHECK(field.samples == field.noise);
		field.advect(OwnedFlow({32, 32}, {0, bad}));
		CHECK(field.samples == field.noise);
		std::ranges::fill(field.at, bad);
		field.advect(OwnedFlow({32, 32}));
		CHECK(field.samples == field.noise);
	}
}
