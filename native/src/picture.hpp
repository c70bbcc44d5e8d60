#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <opencv2/core/mat.hpp>

// What sidecar/frame/frame.ts and sidecar/native.ts say of pictures and flows, for C++.
namespace allaprima {

enum class PixelFormat { RGB, BGRA, RGBA, NV12, I420, UYVY };
enum class ColorMatrix { BT601, BT709 };
enum class ColorRange { LIMITED, FULL };

/** The longest side of a picture: OpenCV's remap counts in 16 bits. */
constexpr int PICTURE_SIDE_MAX = 16384;

struct PictureLayout {
	PixelFormat format = PixelFormat::RGB;
	int width = 0;
	int height = 0;
	ColorMatrix matrix = ColorMatrix::BT709;
	ColorRange range = ColorRange::FULL;

	cv::Size size() const { return {width, height}; }
};

/** A picture in memory of the caller, tightly packed, top row first. */
struct Picture : PictureLayout {
	std::span<std::uint8_t> data;

	/** The pixels of an RGB picture, not copied. */
	cv::Mat rgb() const { return {height, width, CV_8UC3, data.data()}; }
};

/** Motion in pixels, x to the right and y down. */
struct Motion {
	float x;
	float y;
};
static_assert(sizeof(Motion) == 2 * sizeof(float), "Flow.data is [height, width, 2], x then y");

/** A dense flow in memory of the caller. */
struct Flow {
	int width = 0;
	int height = 0;
	std::span<Motion> data;

	cv::Size size() const { return {width, height}; }
	cv::Mat mat() const { return {height, width, CV_32FC2, data.data()}; }
};

/** Half of a length, rounded up: the chroma of 4:2:0 and 4:2:2. */
constexpr int halfUp(int length) {
	return (length + 1) / 2;
}

constexpr bool isYuv(PixelFormat format) {
	return format >= PixelFormat::NV12;
}

constexpr std::size_t pictureByteLength(const PictureLayout& layout) {
	const auto width = static_cast<std::size_t>(layout.width),
			   height = static_cast<std::size_t>(layout.height);
	const std::size_t halfWidth = (width + 1) / 2, halfHeight = (height + 1) / 2;
	switch (layout.format) {
	case PixelFormat::RGB:
		return 3 * width * height;
	case PixelFormat::BGRA:
	case PixelFormat::RGBA:
		return 4 * width * height;
	case PixelFormat::UYVY:
		return 4 * halfWidth * height;
	case PixelFormat::NV12:
	case PixelFormat::I420:
		return width * height + 2 * halfWidth * halfHeight;
	}
	return 0;
}

}
