#include <doctest/doctest.h>

#include <vector>

#include "patch-rows.hpp"
#include "pictures.hpp"

using namespace allaprima;
using namespace allaprima::testing;

TEST_CASE("patches that are merged follow each other, and a column is channel, frame, y, x") {
	// Each pixel says where it is, in 4 x 6 patches of 2 x 2.
	OwnedPicture picture(rgbLayout(12, 8));
	for (int y = 0; y < 8; ++y) {
		for (int x = 0; x < 12; ++x) {
			for (int c = 0; c < 3; ++c)
				pixelAt(picture, x, y)[c] = static_cast<std::uint8_t>(c * 80 + y * 10 + x % 10 * (x < 10));
		}
	}
	const PatchLayout layout{.width = 12, .height = 8, .patch = 2, .merge = 2, .frames = 2};
	std::vector<float> rows(layout.rows() * layout.columns());
	PatchRows()(picture, layout, rows);
	std::size_t i = 0;
	for (const int top : {0, 4}) {
		for (const int left : {0, 4, 8}) {
			for (const auto& [down, across] : {std::pair(0, 0), {0, 2}, {2, 0}, {2, 2}}) {
				for (int c = 0; c < 3; ++c) {
					for (int frame = 0; frame < 2; ++frame) {
						for (const auto& [y, x] : {std::pair(0, 0), {0, 1}, {1, 0}, {1, 1}}) {
							const int value = pixelAt(picture, left + across + x, top + down + y)[c];
							CHECK(rows[i++] == doctest::Approx((value / 255.0 - 0.5) / 0.5).epsilon(1e-6));
						}
					}
				}
			}
		}
	}
	CHECK(i == rows.size());
}

TEST_CASE("black, white and grey keep their value at any size, larger and smaller") {
	PatchRows patchRows;
	for (const cv::Size size :
		 {cv::Size(1, 1), cv::Size(7, 300), cv::Size(301, 5), cv::Size(64, 64), cv::Size(513, 287)}) {
		for (const int value : {0, 128, 255}) {
			OwnedPicture picture(rgbLayout(size.width, size.height), static_cast<std::uint8_t>(value));
			const PatchLayout layout{.width = 64, .height = 32, .patch = 16, .merge = 2, .frames = 1};
			std::vector<float> rows(layout.rows() * layout.columns(), 9);
			patchRows(picture, layout, rows);
			for (const float found : rows) {
				REQUIRE(found == doctest::Approx((value / 255.0 - 0.5) / 0.5).epsilon(1e-6));
			}
		}
	}
}
