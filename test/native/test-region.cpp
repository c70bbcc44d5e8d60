#include <doctest/doctest.h>

#include <random>

#include "pictures.hpp"
#include "region.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

constexpr PixelFormat FORMATS[] = {
	PixelFormat::RGB,
	PixelFormat::BGRA,
	PixelFormat::RGBA,
	PixelFormat::NV12,
	PixelFormat::I420,
	PixelFormat::UYVY,
};

PictureLayout layoutOf(PixelFormat format, int width, int height) {
	return {
		.format = format,
		.width = width,
		.height = height,
		.matrix = ColorMatrix::BT601,
		.range = isYuv(format) ? ColorRange::LIMITED : ColorRange::FULL,
	};
}

void fillRandomly(std::vector<std::uint8_t>& bytes, std::minstd_rand& random) {
	for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random() >> 7);
}

/** Of one byte of a picture: the pixels that it belongs to. */
std::vector<std::pair<int, int>> pixelsOf(const PictureLayout& layout, std::size_t at) {
	const auto width = static_cast<std::size_t>(layout.width),
			   height = static_cast<std::size_t>(layout.height);
	std::vector<std::pair<int, int>> pixels;
	const auto add = [&](std::size_t x, std::size_t y) {
		if (x < width && y < height) pixels.emplace_back(x, y);
	};
	if (!isYuv(layout.format)) {
		const std::size_t pixel = at / (layout.format == PixelFormat::RGB ? 3 : 4);
		add(pixel % width, pixel / width);
	} else if (layout.format == PixelFormat::UYVY) {
		const std::size_t row = 4 * ((width + 1) / 2), x = at % row / 4 * 2, y = at / row;
		if (at % 2 == 1) {
			add(std::min(x + (at % 4) / 2, width - 1), y);
		} else {
			add(x, y);
			add(x + 1, y);
		}
	} else if (at < width * height) {
		add(at % width, at / width);
	} else {
		const std::size_t halfWidth = (width + 1) / 2, planeBytes = halfWidth * ((height + 1) / 2);
		std::size_t sample = at - width * height;
		sample = layout.format == PixelFormat::NV12 ? sample / 2 : sample % planeBytes;
		for (const std::size_t dy : {0, 1})
			for (const std::size_t dx : {0, 1})
				add(2 * (sample % halfWidth) + dx, 2 * (sample / halfWidth) + dy);
	}
	return pixels;
}

bool isAlpha(const PictureLayout& layout, std::size_t at) {
	return !isYuv(layout.format) && layout.format != PixelFormat::RGB && at % 4 == 3;
}

}

TEST_CASE("outside a region every format keeps its bytes, and inside it has those of the painting") {
	std::minstd_rand random(7);
	PixelConverter convert;
	RegionPainter region;
	for (const auto format : FORMATS) {
		for (const auto& [width, height] : {std::pair{16, 10}, {17, 11}, {1, 1}, {64, 1}}) {
			const PictureLayout layout = layoutOf(format, width, height);
			OwnedPicture source(layout), painted(layout), expected(layout);
			fillRandomly(source.bytes, random);
			painted.bytes = source.bytes;
			painted.data = painted.bytes;
			OwnedPicture painting(rgbLayout(width, height));
			fillRandomly(painting.bytes, random);
			convert.convert(painting, expected, Fit::STRETCH);
			std::vector<std::uint8_t> shares(static_cast<std::size_t>(width * height));
			for (auto& share : shares) share = (random() >> 9) % 3 ? 255 : 0;

			region.paint(convert, painting, {{width, height}, shares}, Fit::STRETCH, painted);
			for (std::size_t at = 0; at < painted.bytes.size(); ++at) {
				const auto pixels = pixelsOf(layout, at);
				const bool isInside = std::ranges::all_of(pixels, [&](const auto& pixel) {
					return shares[static_cast<std::size_t>(pixel.second * width + pixel.first)] == 255;
				});
				CAPTURE(static_cast<int>(format));
				CAPTURE(at);
				REQUIRE(
					painted.bytes[at] == (isInside && !isAlpha(layout, at) ? expected : source).bytes[at]
				);
			}
		}
	}
}

TEST_CASE("a soft edge lies between the picture and the painting, rounded") {
	RegionPainter region;
	PixelConverter convert;
	OwnedPicture painting(rgbLayout(256, 1), 255), picture(rgbLayout(256, 1), 10);
	std::vector<std::uint8_t> shares(256);
	for (std::size_t share = 0; share < 256; ++share) shares[share] = static_cast<std::uint8_t>(share);
	region.paint(convert, painting, {{256, 1}, shares}, Fit::STRETCH, picture);
	for (std::size_t share = 0; share < 256; ++share) {
		const double exact =
			(static_cast<double>(share) * 255 + (255 - static_cast<double>(share)) * 10) / 255;
		CHECK(picture.bytes[3 * share] == std::lround(exact));
	}
}

TEST_CASE("a painting that was cropped leaves the rest of the picture alone, and one with bars is cropped") {
	RegionPainter region;
	PixelConverter convert;
	std::vector<std::uint8_t> all(9 * 9, 255);
	OwnedPicture painting(rgbLayout(32, 32), 200), wide(rgbLayout(64, 32), 10);
	region.paint(convert, painting, {{9, 9}, all}, Fit::CONTAIN, wide);
	for (int x = 0; x < 64; ++x) CHECK(*pixelAt(wide, x, 7) == (x >= 16 && x < 48 ? 200 : 10));

	// The upper half of the painting is its upper bar and what is above the middle of the picture.
	std::vector<std::uint8_t> upper(8, 0);
	std::fill_n(upper.begin(), 4, std::uint8_t{255});
	OwnedPicture other(rgbLayout(64, 32), 10);
	region.paint(convert, painting, {{1, 8}, upper}, Fit::COVER, other);
	CHECK(*pixelAt(other, 30, 0) == 200);
	CHECK(*pixelAt(other, 30, 31) == 10);
}

TEST_CASE("a coarse mask grows to the picture, and stays nothing where it and its neighbours are nothing") {
	RegionPainter region;
	PixelConverter convert;
	std::vector<std::uint8_t> coarse(16 * 9, 0);
	coarse[4 * 16 + 8] = 255;
	OwnedPicture painting(rgbLayout(32, 18), 200), picture(rgbLayout(320, 180), 10);
	region.paint(convert, painting, {{16, 9}, coarse}, Fit::STRETCH, picture);
	for (int y = 0; y < 180; ++y) {
		for (int x = 0; x < 320; ++x) {
			const bool isFar = x < 150 || x >= 190 || y < 70 || y >= 110;
			if (isFar) REQUIRE(*pixelAt(picture, x, y) == 10);
		}
	}
	CHECK(*pixelAt(picture, 170, 90) > 180);
}
