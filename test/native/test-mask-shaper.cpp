#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "mask-shaper.hpp"

using namespace allaprima;

TEST_CASE("masks of any size are shaped, down to one pixel, and nothing grows") {
	MaskShaper shape;
	for (const cv::Size size :
		 {cv::Size(1, 1), cv::Size(1, 40), cv::Size(40, 1), cv::Size(2, 3), cv::Size(65, 33)}) {
		CAPTURE(size.width);
		CAPTURE(size.height);
		std::vector<std::uint8_t> shares(static_cast<std::size_t>(size.area()));
		for (std::size_t i = 0; i < shares.size(); ++i)
			shares[i] = static_cast<std::uint8_t>(i % 5 ? 255 - i : 0);
		std::vector<std::uint8_t> soft(shares.size());
		for (const double feather : {0.0, 0.5, 16384.0}) {
			shape({size, shares}, false, feather, {size, soft});
			CHECK(std::ranges::equal(soft, shares, [](auto a, auto b) { return a <= b; }));
		}
		shape({size, shares}, true, 0, {size, soft});
		CHECK(std::ranges::equal(soft, shares, [](auto a, auto b) { return a == 255 - b; }));
	}
}

TEST_CASE("what a mask shows is told") {
	MaskShaper shape;
	std::vector<std::uint8_t> shares{255, 255, 255, 255}, target(4);
	const cv::Size size(2, 2);
	CHECK(shape({size, shares}, false, 3, {size, target}) == MaskExtent::ALL);
	CHECK(shape({size, shares}, true, 3, {size, target}) == MaskExtent::NOTHING);
	shares[2] = 254;
	CHECK(shape({size, shares}, false, 3, {size, target}) == MaskExtent::SOME);
}

TEST_CASE("an edge is soft inside the mask, evenly over its pixels") {
	std::vector<std::uint8_t> shares(11 * 11, 255), soft(11 * 11);
	shares[5 * 11 + 5] = 0;
	const cv::Size size(11, 11);
	CHECK(MaskShaper()({size, shares}, false, 3, {size, soft}) == MaskExtent::SOME);
	const std::vector<std::uint8_t> rise{0, 63, 127, 191, 255, 255};
	CHECK(std::equal(rise.begin(), rise.end(), soft.begin() + 5 * 11 + 5));
}
