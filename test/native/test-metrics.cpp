#include <doctest/doctest.h>

#include <complex>
#include <numbers>

#include "metrics.hpp"
#include "pictures.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

void drawGrey(const Picture& rgb, auto value) {
	for (int y = 0; y < rgb.height; ++y) {
		for (int x = 0; x < rgb.width; ++x) {
			std::fill_n(pixelAt(rgb, x, y), 3, static_cast<std::uint8_t>(value(x, y)));
		}
	}
}

/** The definition in numpy's words, by the sum itself. */
double hfFftByDefinition(const Picture& rgb) {
	const int width = rgb.width, height = rgb.height, radius = std::min(width, height) / 4;
	double sum = 0;
	int count = 0;
	for (int row = 0; row < height; ++row) {
		for (int column = 0; column < width; ++column) {
			const int v = row - height / 2, u = column - width / 2;
			if (u * u + v * v <= radius * radius) continue;
			std::complex<double> value = 0;
			for (int y = 0; y < height; ++y) {
				for (int x = 0; x < width; ++x) {
					const double turn =
						static_cast<double>(u * x) / width + static_cast<double>(v * y) / height;
					value += std::polar<double>(pixelAt(rgb, x, y)[0], -2 * std::numbers::pi * turn);
				}
			}
			sum += std::abs(value);
			++count;
		}
	}
	return sum / count;
}

}

TEST_CASE("equal pictures do not differ") {
	OwnedPicture picture(rgbLayout(64, 48));
	drawTexture(picture);
	const PictureDifference difference = pictureDifference(picture, picture);
	CHECK(difference.meanAbsolute == 0);
	CHECK(std::isinf(difference.psnrDb));
	CHECK(difference.ssim == doctest::Approx(1));
	CHECK(thumbnailDifference(picture, picture) == 0);
}

TEST_CASE("a step of 10 everywhere is 10, and 28.13 dB") {
	OwnedPicture a(rgbLayout(50, 30), 100), b(rgbLayout(50, 30), 110);
	const PictureDifference difference = pictureDifference(a, b);
	CHECK(difference.meanAbsolute == doctest::Approx(10));
	CHECK(difference.psnrDb == doctest::Approx(28.1308).epsilon(1e-5));
	// Without structure only the means count: (2ab + c1) / (a2 + b2 + c1).
	CHECK(difference.ssim == doctest::Approx((22000 + 6.5025) / (22100 + 6.5025)).epsilon(1e-4));
	CHECK(thumbnailDifference(a, b) == doctest::Approx(10));
}

TEST_CASE("only one channel differs: the mean is over all three, luminance takes its share") {
	OwnedPicture a(rgbLayout(64, 64), 100), b(rgbLayout(64, 64), 100);
	for (std::size_t index = 1; index < b.bytes.size(); index += 3) b.bytes[index] = 130;
	CHECK(pictureDifference(a, b).meanAbsolute == doctest::Approx(10));
	CHECK(thumbnailDifference(a, b) == doctest::Approx(30 * 0.587).epsilon(0.03));
}

TEST_CASE("what changes in one block counts by itself, and noise cancels out") {
	OwnedPicture a(rgbLayout(50, 34), 100), b(rgbLayout(50, 34), 100);
	CHECK(blockDifference(a, b) == 0);
	// A fifth of a block in the last, narrow column: 2 x 16 pixels, of which 8 change by 80.
	for (int y = 16; y < 20; ++y) {
		for (int channel = 0; channel < 6; ++channel) b.bytes[(y * 50 + 48) * 3 + channel] = 20;
	}
	CHECK(blockDifference(a, b) == doctest::Approx(20));
	CHECK(blockDifference(b, a) == doctest::Approx(20));
	CHECK(thumbnailDifference(a, b) < 1);
	for (int y = 0; y < 34; ++y) {
		for (int x = 0; x < 150; ++x) b.bytes[y * 150 + x] = (y + x / 3) % 2 == 0 ? 90 : 110;
	}
	CHECK(blockDifference(a, b) == doctest::Approx(0));
}

TEST_CASE("a plain picture has no detail") {
	OwnedPicture plain(rgbLayout(64, 48), 90);
	const PictureDetail detail = pictureDetail(plain);
	CHECK(detail.sobel == 0);
	CHECK(detail.hfFft == doctest::Approx(0).epsilon(1e-3));
}

TEST_CASE("the Sobel value is the mixed derivative: stripes have none, checks do") {
	OwnedPicture picture(rgbLayout(64, 64));
	drawGrey(picture, [](int x, int) { return x % 2 * 100; });
	CHECK(pictureDetail(picture).sobel == 0);
	// v = xy has d2/dxdy = 1, and the kernel weighs it by 4. Mirrored borders count as none.
	drawGrey(picture, [](int x, int y) { return x * y / 16; });
	OwnedPicture small(rgbLayout(16, 16));
	drawGrey(small, [](int x, int y) { return x * y; });
	CHECK(pictureDetail(small).sobel == doctest::Approx(4.0 * 14 * 14 / (16 * 16)));
	// Blocks of 2x2: at a corner of four blocks the kernel sees +a -b -b +a.
	drawGrey(picture, [](int x, int y) { return (x / 2 + y / 2) % 2 * 100; });
	CHECK(pictureDetail(picture).sobel == doctest::Approx(200.0 * 62 * 62 / (64 * 64)));
}

TEST_CASE("HF-FFT follows its definition, for even and odd sizes") {
	for (const auto& [width, height] : {std::pair{16, 12}, {15, 9}, {8, 21}}) {
		OwnedPicture picture(rgbLayout(width, height));
		drawGrey(picture, [](int x, int y) { return (x * 37 + y * 91 + x * y * 13) % 256; });
		CHECK(pictureDetail(picture).hfFft == doctest::Approx(hfFftByDefinition(picture)).epsilon(1e-4));
	}
}

TEST_CASE("a checkerboard has all of its HF-FFT in one coefficient") {
	OwnedPicture picture(rgbLayout(32, 32));
	drawGrey(picture, [](int x, int y) { return (x + y) % 2 * 200; });
	int count = 0; // coefficients outside the radius
	for (int v = -16; v < 16; ++v) {
		for (int u = -16; u < 16; ++u) count += u * u + v * v > 64;
	}
	CHECK(pictureDetail(picture).hfFft == doctest::Approx(100.0 * 32 * 32 / count).epsilon(1e-3));
}

TEST_CASE("the mean motion is the mean length") {
	OwnedFlow flow({20, 10}, {3, -4});
	CHECK(meanMotion(flow) == doctest::Approx(5));
	std::fill_n(flow.vectors.begin(), 100, Motion{0, 0});
	CHECK(meanMotion(flow) == doctest::Approx(2.5));
}

TEST_CASE("a painting that moves with its input has next to no warping error") {
	const PictureLayout layout = rgbLayout(256, 144);
	OwnedPicture input0(layout), input1(layout), output0(layout), output1(layout);
	drawTexture(input0);
	drawTexture(input1, 2, 1);
	const auto paint = [](const OwnedPicture& input, OwnedPicture& output) {
		std::ranges::transform(input.bytes, output.bytes.begin(), [](int value) { return 255 - value; });
	};
	paint(input0, output0);
	paint(input1, output1);
	const WarpingError moving = warpingError({input0, input1}, {output0, output1});
	CHECK(moving.all < 1.2);
	CHECK(moving.visible < 1);
	CHECK(moving.visible <= moving.all);
	CHECK(moving.visibleFraction > 0.95);
	CHECK(moving.visibleFraction <= 1);

	// A painting that stays while its input moves is charged for it.
	const WarpingError frozen = warpingError({input0, input1}, {output0, output0});
	CHECK(frozen.all > 8 * moving.all);
}

TEST_CASE("what leaves no trace in the next picture is not visible") {
	const PictureLayout layout = rgbLayout(160, 120);
	OwnedPicture input0(layout), input1(layout);
	drawTexture(input0);
	drawTexture(input1);
	// A patch of other texture appears, moved: the flows there cannot agree.
	OwnedPicture patch(layout);
	drawTexture(patch, 60, 35);
	for (int y = 40; y < 80; ++y) {
		for (int x = 50; x < 100; ++x) std::copy_n(pixelAt(patch, x, y), 3, pixelAt(input1, x, y));
	}
	const WarpingError error = warpingError({input0, input1}, {input0, input1});
	CHECK(error.visibleFraction < 0.97);
	CHECK(error.visibleFraction > 0.5);
	CHECK(error.visible < error.all);
}

TEST_CASE("every metric takes a picture of one pixel and of one line") {
	for (const auto& [width, height] : {std::pair{1, 1}, {1, 40}, {40, 1}, {3, 2}}) {
		OwnedPicture a(rgbLayout(width, height), 10), b(rgbLayout(width, height), 30);
		CHECK(pictureDifference(a, b).meanAbsolute == doctest::Approx(20));
		CHECK(thumbnailDifference(a, b) == doctest::Approx(20));
		CHECK(pictureDetail(a).sobel == 0);
		CHECK(std::isfinite(pictureDetail(a).hfFft));
		CHECK(warpingError({a, a}, {a, b}).all == doctest::Approx(20));
	}
}
