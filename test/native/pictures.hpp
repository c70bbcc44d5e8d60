#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "picture.hpp"

/** Pictures with memory of their own, drawn from formulas. */
namespace allaprima::testing {

struct OwnedPicture : Picture {
	explicit OwnedPicture(const PictureLayout& layout, std::uint8_t fill = 0)
		: Picture{layout, {}}, bytes(pictureByteLength(layout), fill) {
		data = bytes;
	}
	OwnedPicture(const OwnedPicture&) = delete;
	OwnedPicture& operator=(const OwnedPicture&) = delete;

	std::vector<std::uint8_t> bytes;
};

struct OwnedFlow : Flow {
	explicit OwnedFlow(cv::Size size, Motion fill = {0, 0})
		: Flow{size.width, size.height, {}}, vectors(static_cast<std::size_t>(size.area()), fill) {
		data = vectors;
	}
	OwnedFlow(const OwnedFlow&) = delete;
	OwnedFlow& operator=(const OwnedFlow&) = delete;

	const Motion& at(int x, int y) const {
		return vectors
			[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
	}

	std::vector<Motion> vectors;
};

inline PictureLayout rgbLayout(int width, int height) {
	return {.format = PixelFormat::RGB, .width = width, .height = height};
}

inline std::uint8_t* pixelAt(const Picture& rgb, int x, int y) {
	return rgb.data.data() +
		3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(rgb.width) + static_cast<std::size_t>(x));
}

/** Soft texture of several scales that can be drawn at any shift, so that motion is known exactly. */
inline void drawTexture(const Picture& rgb, double shiftX = 0, double shiftY = 0) {
	for (int y = 0; y < rgb.height; ++y) {
		for (int x = 0; x < rgb.width; ++x) {
			const double u = x - shiftX, v = y - shiftY;
			const double waves = std::sin(u * 0.31 + v * 0.11) + std::sin(v * 0.27 - u * 0.07) +
				std::sin(u * 0.083) * std::sin(v * 0.097) + std::sin((u + v) * 0.041);
			auto* pixel = pixelAt(rgb, x, y);
			pixel[0] = static_cast<std::uint8_t>(128 + 30 * waves);
			pixel[1] = static_cast<std::uint8_t>(128 + 25 * waves);
			pixel[2] = static_cast<std::uint8_t>(118 - 20 * waves);
		}
	}
}

/** Slow ramps of all three channels: what chroma at half the size can carry. */
inline void drawRamps(const Picture& rgb) {
	for (int y = 0; y < rgb.height; ++y) {
		for (int x = 0; x < rgb.width; ++x) {
			auto* pixel = pixelAt(rgb, x, y);
			pixel[0] = static_cast<std::uint8_t>(60 + 120 * x / std::max(rgb.width, 64));
			pixel[1] = static_cast<std::uint8_t>(90 + 60 * y / std::max(rgb.height, 64));
			pixel[2] = static_cast<std::uint8_t>(150 - 70 * x / std::max(rgb.width, 64));
		}
	}
}

inline int differenceMax(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
	int most = 0;
	for (std::size_t index = 0; index < a.size(); ++index)
		most = std::max(most, std::abs(a[index] - b[index]));
	return most;
}

}
