#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "latent-motion.hpp"
#include "pictures.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

struct Moved {
	std::vector<float> latents, offsets;
};

Moved move(const std::vector<float>& latents, const LatentShape& shape, const std::vector<Flow>& flows) {
	Moved moved{std::vector<float>(shape.count(), 99.0F), std::vector<float>(2 * shape.planeCount(), 99.0F)};
	LatentMotion()(latents, shape, flows, moved.latents, moved.offsets);
	return moved;
}

std::vector<float> counted(const LatentShape& shape) {
	std::vector<float> latents(shape.count());
	for (std::size_t i = 0; i < latents.size(); ++i) latents[i] = static_cast<float>(i) - 30.5F;
	return latents;
}

}

TEST_CASE("latents move by whole cells, every plane of them, and repeat their border") {
	const LatentShape shape{.channels = 3, .width = 10, .height = 6};
	const auto latents = counted(shape);
	OwnedFlow flow({10, 6}, {2, -1});
	const Moved moved = move(latents, shape, {flow});
	for (int channel = 0; channel < 3; ++channel) {
		for (int y = 0; y < 6; ++y) {
			for (int x = 0; x < 10; ++x) {
				const int from = 60 * channel + 10 * std::min(y + 1, 5) + std::max(x - 2, 0);
				REQUIRE(
					moved.latents[static_cast<std::size_t>(60 * channel + 10 * y + x)] ==
					latents[static_cast<std::size_t>(from)]
				);
			}
		}
	}
	CHECK(std::ranges::all_of(moved.offsets, [](float offset) { return offset == 0; }));
}

TEST_CASE("what is left of the motion is told, from where it was taken") {
	const LatentShape shape{.channels = 1, .width = 4, .height = 3};
	OwnedFlow flow({16, 12}, {1, -3}); // of four times the size: a quarter and three quarters of a cell
	const Moved moved = move(counted(shape), shape, {flow});
	CHECK(
		moved.latents ==
		std::vector<float>{-26.5, -25.5, -24.5, -23.5, -22.5, -21.5, -20.5, -19.5, -22.5, -21.5, -20.5, -19.5}
	);
	// At the left and at the bottom border there is nothing to come from.
	CHECK(moved.offsets == std::vector<float>{0,     -0.25, -0.25, -0.25, 0,     -0.25, -0.25, -0.25,
											  0,     -0.25, -0.25, -0.25, -0.25, -0.25, -0.25, -0.25,
											  -0.25, -0.25, -0.25, -0.25, 0,     0,     0,     0});
}

TEST_CASE("several flows add up, each read where things were") {
	const LatentShape shape{.channels = 1, .width = 8, .height = 1};
	OwnedFlow first({8, 1}, {0, 0}), second({8, 1}, {2, 0});
	for (std::size_t x = 0; x < 4; ++x) first.vectors[x] = {1, 0};
	const auto latents = counted(shape);
	const Moved moved = move(latents, shape, {first, second});
	std::vector<float> expected(8);
	for (int x = 0; x < 8; ++x) {
		const int between = std::max(x - 2, 0);
		expected[static_cast<std::size_t>(x)] =
			latents[static_cast<std::size_t>(std::max(between - (between < 4), 0))];
	}
	CHECK(moved.latents == expected);
}

TEST_CASE("motion of latents that is no number or endless stays inside the memory") {
	const LatentShape shape{.channels = 2, .width = 16, .height = 16};
	const std::vector<float> latents(shape.count(), 1.5F);
	const float endless = std::numeric_limits<float>::infinity();
	OwnedFlow flow({16, 16}, {std::numeric_limits<float>::quiet_NaN(), endless});
	flow.vectors[5] = {-endless, 1e30F};
	flow.vectors[6] = {-1e9F, 3e9F};
	OwnedFlow large({64, 64}, {1e30F, std::numeric_limits<float>::quiet_NaN()});
	for (const std::vector<Flow>& flows : {std::vector<Flow>{flow}, {flow, flow}, {large, flow}}) {
		const Moved moved = move(latents, shape, flows);
		CHECK(moved.latents == latents);
		CHECK(std::ranges::all_of(moved.offsets, [](float offset) { return std::abs(offset) <= 0.5F; }));
	}
}
