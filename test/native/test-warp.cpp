#include <doctest/doctest.h>

#include <limits>

#include "pictures.hpp"
#include "warp.hpp"

using namespace allaprima;
using namespace allaprima::testing;

TEST_CASE("a flow of zero leaves the picture as it is") {
	OwnedPicture source(rgbLayout(33, 21)), target(rgbLayout(33, 21));
	drawTexture(source);
	OwnedFlow still({33, 21});
	Warp warp;
	warp(source, still, target);
	CHECK(source.bytes == target.bytes);
}

TEST_CASE("whole pixels of motion move the picture exactly and repeat its border") {
	OwnedPicture source(rgbLayout(40, 30)), target(rgbLayout(40, 30));
	drawTexture(source);
	OwnedFlow flow({40, 30}, {3, -2});
	Warp warp;
	warp(source, flow, target);
	for (int y = 0; y < 30; ++y) {
		for (int x = 0; x < 40; ++x) {
			const auto* from = pixelAt(source, std::max(x - 3, 0), std::min(y + 2, 29));
			REQUIRE(std::equal(from, from + 3, pixelAt(target, x, y)));
		}
	}
}

TEST_CASE("half a pixel of motion gives the mean of two pixels") {
	OwnedPicture source(rgbLayout(4, 1)), target(rgbLayout(4, 1));
	for (int x = 0; x < 4; ++x) pixelAt(source, x, 0)[0] = static_cast<std::uint8_t>(40 * x);
	OwnedFlow flow({4, 1}, {0.5F, 0});
	Warp warp;
	warp(source, flow, target);
	CHECK(pixelAt(target, 0, 0)[0] == 0);
	CHECK(pixelAt(target, 1, 0)[0] == 20);
	CHECK(pixelAt(target, 3, 0)[0] == 100);
}

TEST_CASE("motion that is not a number or endless stays inside the memory") {
	OwnedPicture source(rgbLayout(16, 16), 77), target(rgbLayout(16, 16));
	const float endless = std::numeric_limits<float>::infinity();
	OwnedFlow flow({16, 16}, {std::numeric_limits<float>::quiet_NaN(), endless});
	flow.vectors[5] = {-endless, 1e30F};
	flow.vectors[6] = {-1e9F, 3e9F};
	Warp warp;
	warp(source, flow, target);
	CHECK(target.bytes == source.bytes);
}
