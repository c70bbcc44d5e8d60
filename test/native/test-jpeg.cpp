#include <cstring>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include "jpeg.hpp"
#include "pictures.hpp"

using namespace allaprima;
using namespace allaprima::testing;

namespace {

using Bytes = std::vector<std::uint8_t>;

void paintGradient(OwnedPicture& picture) {
	for (int y = 0; y < picture.height; y++)
		for (int x = 0; x < picture.width; x++)
			for (int c = 0; c < 3; c++)
				picture.bytes[static_cast<std::size_t>(3 * (y * picture.width + x) + c)] =
					static_cast<std::uint8_t>(
						40 + (x * 100) / picture.width + (y * 60) / picture.height + 10 * c
					);
}

Bytes encoded(JpegCodec& codec, const Picture& picture, int quality = 85) {
	const auto bytes = codec.encode(picture, quality);
	return {bytes.begin(), bytes.end()};
}

std::string refusal(JpegCodec& codec, std::span<const std::uint8_t> jpeg, const Picture& target) {
	try {
		codec.decode(jpeg, target);
	} catch (const std::runtime_error& error) {
		return error.what();
	}
	return {};
}

/** The first byte of a segment's content; SOF0 is 0xc0. */
std::size_t segmentOf(const Bytes& jpeg, std::uint8_t marker) {
	for (std::size_t at = 2; at + 4 <= jpeg.size(); at += 2 + (jpeg[at + 2] << 8 | jpeg[at + 3]))
		if (jpeg[at + 1] == marker) return at + 4;
	FAIL("no such segment");
	return 0;
}

}

TEST_CASE("a picture comes back as it was but for a little, also of odd size") {
	JpegCodec codec;
	for (const auto& [width, height] : {std::pair{64, 48}, {17, 5}, {1, 1}, {512, 288}}) {
		OwnedPicture source(rgbLayout(width, height)), target(rgbLayout(width, height));
		paintGradient(source);
		const Bytes jpeg = encoded(codec, source);
		codec.decode(jpeg, target);
		int worst = 0;
		for (std::size_t i = 0; i < source.bytes.size(); i++)
			worst = std::max(worst, std::abs(source.bytes[i] - target.bytes[i]));
		CHECK(worst <= 12);
	}
}

TEST_CASE("noise at the best quality has room, too") {
	JpegCodec codec;
	OwnedPicture source(rgbLayout(33, 31)), target(rgbLayout(33, 31));
	std::uint32_t state = 1;
	for (auto& byte : source.bytes)
		byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
	codec.decode(encoded(codec, source, 100), target);
}

TEST_CASE("another size is refused before anything is decoded, and named") {
	JpegCodec codec;
	OwnedPicture source(rgbLayout(64, 48)), target(rgbLayout(48, 64));
	const Bytes jpeg = encoded(codec, source);
	CHECK(refusal(codec, jpeg, target) == "it is 64x48, expected 48x64");
	Bytes huge = jpeg;
	const std::size_t frame = segmentOf(huge, 0xc0);
	for (std::size_t i = 1; i <= 4; i += 2) huge[frame + i] = 0xff, huge[frame + i + 1] = 0xdc;
	CHECK(refusal(codec, huge, target) == "it is 65500x65500, expected 48x64");
}

TEST_CASE("what is cut off anywhere is refused, and the codec goes on") {
	JpegCodec codec;
	OwnedPicture source(rgbLayout(64, 48)), target(rgbLayout(64, 48));
	paintGradient(source);
	const Bytes jpeg = encoded(codec, source);
	for (std::size_t length = 0; length + 2 < jpeg.size(); length += 7) {
		const Bytes cut(jpeg.begin(), jpeg.begin() + static_cast<std::ptrdiff_t>(length));
		CAPTURE(length);
		CHECK(refusal(codec, cut, target) != "");
	}
	codec.decode(jpeg, target);
}

TEST_CASE("progressive and lossless pictures, grey ones and what is no JPEG are refused") {
	JpegCodec codec;
	OwnedPicture source(rgbLayout(64, 48)), target(rgbLayout(64, 48));
	const Bytes jpeg = encoded(codec, source);
	for (const int marker : {0xc2, 0xc3, 0xc5, 0xc9, 0xca}) {
		Bytes other = jpeg;
		other[segmentOf(jpeg, 0xc0) - 3] = static_cast<std::uint8_t>(marker);
		CHECK(refusal(codec, other, target) == "it is no baseline JPEG");
	}
	CHECK(refusal(codec, {}, target) == "it is no baseline JPEG");
	CHECK(refusal(codec, Bytes(4096, 0xff), target) == "it is no baseline JPEG");
	CHECK(refusal(codec, source.bytes, target) == "it is no baseline JPEG");
	Bytes wrong = jpeg;
	wrong[segmentOf(jpeg, 0xc0) + 5] = 1; // one component in the room of three
	CHECK(refusal(codec, wrong, target) != "");
}
