#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "picture.hpp"
#include "pixels.hpp"

namespace allaprima {

/** Where a painting is shown, of any size, laid over the painting: 255 shows it, 0 does not. */
struct Mask {
	cv::Size size;
	std::span<std::uint8_t> data;
};

/**
 * Shows a painting in a part of a picture. What the mask leaves out stays byte for byte, and so does a chroma
 * sample of which the mask leaves out one pixel; alpha stays the picture's own. Keeps its scratch memory; one
 * thread at a time.
 */
class RegionPainter {
public:
	/** The share of the painting in each pixel of a picture: none where the fitted painting does not reach.
	 */
	void
	lay(const Mask& mask,
		const PictureLayout& painting,
		const PictureLayout& picture,
		Fit fit,
		std::vector<std::uint8_t>& shares);

	/** `painting` has the layout of `picture`, into which it goes. */
	void blend(std::span<const std::uint8_t> shares, const Picture& painting, const Picture& picture);

	/** All of it, for a painting in RGB that is fitted into the picture. */
	void paint(
		PixelConverter& convert, const Picture& painting, const Mask& mask, Fit fit, const Picture& picture
	);

private:
	/** Blends rows of planes in which each byte has its share. */
	void blendRow(const std::uint8_t* painting, std::uint8_t* picture, std::span<const std::uint8_t> shares);

	Resizer resize_;
	std::vector<std::uint8_t> shares_, fitted_, row_, chromaRow_;
};

}
