#include <doctest/doctest.h>

#include <array>
#include <memory>

#include "pictures.hpp"
#include "pixels.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

constexpr std::array FORMATS{
	PixelFormat::RGB,
	PixelFormat::BGRA,
	PixelFormat::RGBA,
	PixelFormat::NV12,
	PixelFormat::I420,
	PixelFormat::UYVY
};
constexpr std::array YUV_FORMATS{PixelFormat::NV12, PixelFormat::I420, PixelFormat::UYVY};
constexpr std::array MATRICES{ColorMatrix::BT601, ColorMatrix::BT709};
constexpr std::array RANGES{ColorRange::LIMITED, ColorRange::FULL};
const std::array SIZES{
	cv::Size(1, 1),
	cv::Size(2, 2),
	cv::Size(1, 7),
	cv::Size(9, 1),
	cv::Size(3, 5),
	cv::Size(64, 48),
	cv::Size(65, 47),
	cv::Size(66, 33),
	cv::Size(31, 64)
};

using Color = std::array<std::uint8_t, 3>;

PictureLayout layoutOf(
	PixelFormat format,
	cv::Size size,
	ColorMatrix matrix = ColorMatrix::BT709,
	ColorRange range = ColorRange::LIMITED
) {
	return {.format = format, .width = size.width, .height = size.height, .matrix = matrix, .range = range};
}

void convert(const Picture& source, const Picture& target, Fit fit = Fit::STRETCH) {
	PixelConverter().convert(source, target, fit);
}

void fill(const Picture& rgb, const Color& color) {
	for (std::size_t index = 0; index < rgb.data.size(); ++index) rgb.data[index] = color[index % 3];
}

/** Y, U, V of the first pixel. */
Color firstYuv(const Picture& picture) {
	const auto& bytes = picture.data;
	const auto luma = static_cast<std::size_t>(picture.width * picture.height);
	const auto chroma = static_cast<std::size_t>(halfUp(picture.width) * halfUp(picture.height));
	switch (picture.format) {
	case PixelFormat::NV12:
		return {bytes[0], bytes[luma], bytes[luma + 1]};
	case PixelFormat::I420:
		return {bytes[0], bytes[luma], bytes[luma + chroma]};
	default:
		return {bytes[1], bytes[0], bytes[2]};
	}
}

}

TEST_CASE("the colours of the standards") {
	struct Known {
		ColorMatrix matrix;
		ColorRange range;
		Color rgb, yuv;
	};
	using enum ColorMatrix;
	using enum ColorRange;
	// 8-bit values of the colour bars: BT.601-7, BT.709-6 (limited), JFIF 1.02 (full).
	const std::array known{
		Known{BT601, LIMITED, {255, 255, 255}, {235, 128, 128}},
		Known{BT601, LIMITED, {0, 0, 0}, {16, 128, 128}},
		Known{BT601, LIMITED, {255, 0, 0}, {81, 90, 240}},
		Known{BT601, LIMITED, {0, 255, 0}, {145, 54, 34}},
		Known{BT601, LIMITED, {0, 0, 255}, {41, 240, 110}},
		Known{BT709, LIMITED, {255, 255, 255}, {235, 128, 128}},
		Known{BT709, LIMITED, {0, 0, 0}, {16, 128, 128}},
		Known{BT709, LIMITED, {255, 0, 0}, {63, 102, 240}},
		Known{BT709, LIMITED, {0, 255, 0}, {173, 42, 26}},
		Known{BT709, LIMITED, {0, 0, 255}, {32, 240, 118}},
		Known{BT601, FULL, {255, 255, 255}, {255, 128, 128}},
		Known{BT601, FULL, {0, 0, 0}, {0, 128, 128}},
		Known{BT601, FULL, {255, 0, 0}, {76, 85, 255}},
		Known{BT601, FULL, {0, 255, 0}, {150, 44, 21}},
		Known{BT601, FULL, {0, 0, 255}, {29, 255, 107}},
		Known{BT709, FULL, {255, 0, 0}, {54, 99, 255}},
		Known{BT709, FULL, {0, 255, 0}, {182, 30, 12}},
		Known{BT709, FULL, {0, 0, 255}, {18, 255, 116}},
		Known{BT709, LIMITED, {128, 128, 128}, {126, 128, 128}},
	};
	for (const auto& [matrix, range, rgb, yuv] : known) {
		for (const PixelFormat format : YUV_FORMATS) {
			OwnedPicture source(rgbLayout(6, 4)), coded(layoutOf(format, {6, 4}, matrix, range));
			OwnedPicture back(rgbLayout(6, 4));
			fill(source, rgb);
			convert(source, coded);
			CAPTURE(int(matrix));
			CAPTURE(int(range));
			CAPTURE(int(rgb[0]));
			CAPTURE(int(rgb[1]));
			CHECK(differenceMax(firstYuv(coded), yuv) <= 1);
			convert(coded, back);
			CHECK(differenceMax(source.bytes, back.bytes) <= 2);
		}
	}
}

TEST_CASE("RGB survives the way through every format, matrix and range, at every size") {
	for (const cv::Size size : SIZES) {
		for (const PixelFormat format : FORMATS) {
			for (const ColorMatrix matrix : MATRICES) {
				for (const ColorRange range : RANGES) {
					CAPTURE(size.width);
					CAPTURE(size.height);
					CAPTURE(int(format));
					OwnedPicture source(rgbLayout(size.width, size.height)),
						back(rgbLayout(size.width, size.height));
					OwnedPicture between(layoutOf(format, size, matrix, range));
					drawRamps(source);
					convert(source, between);
					convert(between, back);
					const int most = differenceMax(source.bytes, back.bytes);
					CHECK(most <= (isYuv(format) ? 5 : 0));
				}
			}
		}
	}
}

TEST_CASE("YUV keeps its bytes where only the packing changes") {
	for (const cv::Size size : SIZES) {
		CAPTURE(size.width);
		CAPTURE(size.height);
		OwnedPicture i420(layoutOf(PixelFormat::I420, size)), nv12(layoutOf(PixelFormat::NV12, size));
		OwnedPicture back(layoutOf(PixelFormat::I420, size));
		for (std::size_t index = 0; index < i420.bytes.size(); ++index) {
			i420.bytes[index] = static_cast<std::uint8_t>(index * 89 + index / 7);
		}
		convert(i420, nv12);
		const auto luma = static_cast<std::size_t>(size.area());
		const std::size_t chroma = (i420.bytes.size() - luma) / 2;
		CHECK(std::equal(i420.bytes.begin(), i420.bytes.begin() + size.area(), nv12.bytes.begin()));
		for (std::size_t index = 0; index < chroma; ++index) {
			REQUIRE(nv12.bytes[luma + 2 * index] == i420.bytes[luma + index]);
			REQUIRE(nv12.bytes[luma + 2 * index + 1] == i420.bytes[luma + chroma + index]);
		}
		convert(nv12, back);
		CHECK(back.bytes == i420.bytes);
		OwnedPicture uyvy(layoutOf(PixelFormat::UYVY, size)), again(layoutOf(PixelFormat::UYVY, size));
		convert(i420, uyvy);
		convert(uyvy, again);
		CHECK(again.bytes == uyvy.bytes);
		for (int x = 0; x < size.width; ++x)
			REQUIRE(
				uyvy.bytes[static_cast<std::size_t>(2 * x + 1)] == i420.bytes[static_cast<std::size_t>(x)]
			);
	}
}

TEST_CASE("NV12 and I420 of one picture give the same colours at any size") {
	OwnedPicture source(rgbLayout(65, 47));
	drawTexture(source);
	OwnedPicture i420(layoutOf(PixelFormat::I420, {65, 47})), nv12(layoutOf(PixelFormat::NV12, {65, 47}));
	convert(source, i420);
	convert(source, nv12);
	for (const cv::Size size : {cv::Size(65, 47), cv::Size(30, 20), cv::Size(90, 91), cv::Size(33, 80)}) {
		OwnedPicture a(rgbLayout(size.width, size.height)), b(rgbLayout(size.width, size.height));
		convert(i420, a, Fit::COVER);
		convert(nv12, b, Fit::COVER);
		CHECK(a.bytes == b.bytes);
	}
}

TEST_CASE("matrix and range of YUV change without a detour through clipped RGB") {
	OwnedPicture limited(layoutOf(PixelFormat::I420, {16, 8}, ColorMatrix::BT601, ColorRange::LIMITED));
	OwnedPicture full(layoutOf(PixelFormat::NV12, {16, 8}, ColorMatrix::BT601, ColorRange::FULL));
	std::fill_n(limited.bytes.begin(), 16 * 8, std::uint8_t{235});
	std::fill(limited.bytes.begin() + 16 * 8, limited.bytes.end(), std::uint8_t{128});
	convert(limited, full);
	CHECK(differenceMax(firstYuv(full), Color{255, 128, 128}) <= 1);
}

TEST_CASE("colour stays what it is in every format when the size changes") {
	const Color color{200, 90, 40};
	for (const PixelFormat from : FORMATS) {
		for (const PixelFormat to : FORMATS) {
			for (const cv::Size size : {cv::Size(1, 1), cv::Size(7, 5), cv::Size(40, 9), cv::Size(100, 75)}) {
				for (const Fit fit : {Fit::COVER, Fit::STRETCH}) {
					OwnedPicture plain(rgbLayout(33, 21)), source(layoutOf(from, {33, 21}));
					OwnedPicture target(layoutOf(to, size, ColorMatrix::BT601, ColorRange::FULL));
					OwnedPicture seen(rgbLayout(size.width, size.height)),
						expected(rgbLayout(size.width, size.height));
					fill(plain, color);
					fill(expected, color);
					convert(plain, source);
					convert(source, target, fit);
					convert(target, seen);
					CHECK(differenceMax(seen.bytes, expected.bytes) <= 4);
				}
			}
		}
	}
}

TEST_CASE("targets with alpha are opaque, and BGRA is RGBA in another order") {
	OwnedPicture source(rgbLayout(5, 3));
	drawTexture(source);
	OwnedPicture rgba(layoutOf(PixelFormat::RGBA, {5, 3})), bgra(layoutOf(PixelFormat::BGRA, {5, 3}), 7);
	convert(source, rgba);
	convert(rgba, bgra);
	for (std::size_t pixel = 0; pixel < 15; ++pixel) {
		const auto *rgb = &source.bytes[3 * pixel], *in = &rgba.bytes[4 * pixel],
				   *out = &bgra.bytes[4 * pixel];
		REQUIRE((in[0] == rgb[0] && in[1] == rgb[1] && in[2] == rgb[2] && in[3] == 255));
		REQUIRE((out[0] == rgb[2] && out[1] == rgb[1] && out[2] == rgb[0] && out[3] == 255));
	}
}

TEST_CASE("shrinking takes the mean of the area") {
	OwnedPicture source(rgbLayout(8, 8)), target(rgbLayout(2, 2));
	for (int y = 0; y < 8; ++y) {
		for (int x = 0; x < 8; ++x)
			std::fill_n(pixelAt(source, x, y), 3, static_cast<std::uint8_t>((x + y) % 2 * 200));
	}
	convert(source, target);
	CHECK(std::ranges::all_of(target.bytes, [](int value) { return value == 100; }));
	// One side shrinks, the other grows: still the mean, and no stripes.
	OwnedPicture wide(rgbLayout(24, 2));
	convert(source, wide);
	for (int x = 0; x < 24; ++x) CHECK(pixelAt(wide, x, 0)[0] == 100);
}

TEST_CASE("cover cuts the middle out, contain sets it between black bars") {
	// Left third black, middle third white, right third black.
	OwnedPicture source(rgbLayout(48, 16));
	for (int y = 0; y < 16; ++y) {
		for (int x = 16; x < 32; ++x) std::fill_n(pixelAt(source, x, y), 3, std::uint8_t{255});
	}
	OwnedPicture square(rgbLayout(16, 16));
	convert(source, square, Fit::COVER);
	CHECK(std::ranges::all_of(square.bytes, [](int value) { return value == 255; }));

	OwnedPicture white(rgbLayout(48, 16), 255);
	for (const PixelFormat format : FORMATS) {
		for (const cv::Size size : {cv::Size(48, 48), cv::Size(49, 47)}) {
			CAPTURE(int(format));
			OwnedPicture target(layoutOf(format, size), 93), seen(rgbLayout(size.width, size.height));
			convert(white, target, Fit::CONTAIN);
			convert(target, seen);
			for (const int x : {0, size.width / 2, size.width - 1}) {
				CHECK(pixelAt(seen, x, 0)[0] <= 2);
				CHECK(pixelAt(seen, x, size.height / 2)[1] >= 253);
				CHECK(pixelAt(seen, x, size.height - 1)[2] <= 2);
			}
		}
	}
}

TEST_CASE("places lie in the middle and on whole chroma samples") {
	const auto rgb = [](int width, int height) { return rgbLayout(width, height); };
	CHECK(place(rgb(1280, 720), rgb(512, 512), Fit::COVER).source == cv::Rect(280, 0, 720, 720));
	CHECK(place(rgb(720, 1280), rgb(512, 288), Fit::COVER).source == cv::Rect(0, 437, 720, 405));
	CHECK(place(rgb(512, 512), rgb(1280, 720), Fit::CONTAIN).target == cv::Rect(280, 0, 720, 720));
	CHECK(place(rgb(1280, 720), rgb(512, 288), Fit::COVER).source == cv::Rect(0, 0, 1280, 720));
	CHECK(place(rgb(16384, 1), rgb(1, 16384), Fit::COVER).source == cv::Rect(8191, 0, 1, 1));
	CHECK(place(rgb(16384, 1), rgb(1, 16384), Fit::CONTAIN).target == cv::Rect(0, 8191, 1, 1));

	for (const int width : {1, 2, 3, 17, 64, 301}) {
		for (const int height : {1, 2, 5, 33, 90}) {
			for (const auto& [format, step] : {std::pair{PixelFormat::NV12, 2}, {PixelFormat::UYVY, 1}}) {
				for (const PictureLayout& other : {rgb(7, 3), rgb(3, 7), rgb(1, 100), rgb(33, 33)}) {
					const PictureLayout layout = layoutOf(format, {width, height});
					const cv::Rect all(0, 0, width, height);
					for (const cv::Rect rect :
						 {place(layout, other, Fit::COVER).source, place(other, layout, Fit::CONTAIN).target
						 }) {
						CHECK((rect & all) == rect);
						CHECK(rect.area() > 0);
						CHECK(rect.x % 2 == 0);
						CHECK(rect.y % step == 0);
						CHECK((rect.width % 2 == 0 || rect.br().x == width));
						CHECK((rect.height % step == 0 || rect.br().y == height));
					}
				}
			}
		}
	}
}

TEST_CASE("a converter in use never writes to pictures of earlier calls") {
	PixelConverter converter;
	std::vector<std::unique_ptr<OwnedPicture>> pictures;
	std::vector<std::vector<std::uint8_t>> copies;
	for (int round = 0; round < 3; ++round) {
		for (const PixelFormat from : FORMATS) {
			for (const PixelFormat to : FORMATS) {
				for (const cv::Size size : {cv::Size(24, 16), cv::Size(25, 17), cv::Size(12, 40)}) {
					OwnedPicture rgb(rgbLayout(24, 16));
					drawTexture(rgb, round);
					auto source = std::make_unique<OwnedPicture>(layoutOf(from, {24, 16}));
					auto target = std::make_unique<OwnedPicture>(
						layoutOf(to, size, round == 1 ? ColorMatrix::BT601 : ColorMatrix::BT709)
					);
					PixelConverter().convert(rgb, *source, Fit::COVER);
					converter.convert(*source, *target, round == 2 ? Fit::CONTAIN : Fit::COVER);
					OwnedPicture fresh(static_cast<const PictureLayout&>(*target));
					PixelConverter().convert(*source, fresh, round == 2 ? Fit::CONTAIN : Fit::COVER);
					REQUIRE(fresh.bytes == target->bytes);
					copies.push_back(source->bytes);
					copies.push_back(target->bytes);
					pictures.push_back(std::move(source));
					pictures.push_back(std::move(target));
				}
			}
		}
	}
	for (std::size_t index = 0; index < pictures.size(); ++index)
		REQUIRE(pictures[index]->bytes == copies[index]);
}
