#include "region.hpp"

#include <algorithm>
#include <cmath>

namespace allaprima {

namespace {

/** The same part of another picture of the same view. */
cv::Rect scaled(const cv::Rect& rect, const cv::Size& from, const cv::Size& to) {
	const auto along = [](int start, int length, int total, int wanted) {
		const auto at = [&](int place) {
			return static_cast<int>(std::lround(static_cast<double>(place) * wanted / total));
		};
		const int first = std::min(at(start), wanted - 1);
		return std::pair{first, std::max(at(start + length) - first, 1)};
	};
	const auto [x, width] = along(rect.x, rect.width, from.width, to.width);
	const auto [y, height] = along(rect.y, rect.height, from.height, to.height);
	return {x, y, width, height};
}

bool isNothing(std::span<const std::uint8_t> shares) {
	std::uint8_t any = 0;
	for (const std::uint8_t share : shares) any |= share;
	return any == 0;
}

/** The least share of the pixels that have a chroma sample in common, over one row or two. */
void leastOfPairs(
	std::span<const std::uint8_t> upper, std::span<const std::uint8_t> lower, std::vector<std::uint8_t>& least
) {
	const std::size_t pairs = upper.size() / 2;
	least.resize((upper.size() + 1) / 2);
	for (std::size_t i = 0; i < pairs; ++i) {
		least[i] =
			std::min(std::min(upper[2 * i], upper[2 * i + 1]), std::min(lower[2 * i], lower[2 * i + 1]));
	}
	if (least.size() > pairs) least[pairs] = std::min(upper.back(), lower.back());
}

}

void RegionPainter::lay(
	const Mask& mask,
	const PictureLayout& painting,
	const PictureLayout& picture,
	Fit fit,
	std::vector<std::uint8_t>& shares
) {
	const Placement placement = place(painting, picture, fit);
	const std::size_t pixels =
		static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height);
	if (placement.target.size() == picture.size())
		shares.resize(pixels);
	else
		shares.assign(pixels, 0);
	const cv::Mat whole(mask.size, CV_8U, mask.data.data());
	cv::Mat target = cv::Mat(picture.size(), CV_8U, shares.data())(placement.target);
	resize_(whole(scaled(placement.source, painting.size(), mask.size)), target);
}

void RegionPainter::blendRow(
	const std::uint8_t* painting, std::uint8_t* picture, std::span<const std::uint8_t> shares
) {
	const std::uint8_t* share = shares.data();
	const std::size_t count = shares.size();
	for (std::size_t i = 0; i < count; ++i) {
		// Divides by 255 and rounds; with a share of 0 or 255 what comes out is what went in.
		const auto sum =
			static_cast<std::uint16_t>(share[i] * painting[i] + (255 - share[i]) * picture[i] + 128);
		picture[i] = static_cast<std::uint8_t>((sum + (sum >> 8)) >> 8);
	}
}

void RegionPainter::blend(
	std::span<const std::uint8_t> shares, const Picture& painting, const Picture& picture
) {
	const auto width = static_cast<std::size_t>(picture.width),
			   height = static_cast<std::size_t>(picture.height);
	const std::size_t halfWidth = (width + 1) / 2;
	const auto rowOf = [&](std::size_t y) { return shares.subspan(y * width, width); };
	const std::uint8_t* const from = painting.data.data();
	std::uint8_t* const to = picture.data.data();

	switch (picture.format) {
	case PixelFormat::RGB:
	case PixelFormat::BGRA:
	case PixelFormat::RGBA: {
		const std::size_t channels = picture.format == PixelFormat::RGB ? 3 : 4;
		row_.assign(channels * width, 0); // alpha has no share
		for (std::size_t y = 0; y < height; ++y) {
			const auto row = rowOf(y);
			if (isNothing(row)) continue;
			for (std::size_t x = 0; x < width; ++x) std::fill_n(&row_[channels * x], 3, row[x]);
			blendRow(from + y * row_.size(), to + y * row_.size(), row_);
		}
		return;
	}
	case PixelFormat::UYVY:
		row_.assign(4 * halfWidth, 0);
		for (std::size_t y = 0; y < height; ++y) {
			const auto row = rowOf(y);
			if (isNothing(row)) continue;
			leastOfPairs(row, row, chromaRow_);
			for (std::size_t pair = 0; pair < halfWidth; ++pair) {
				row_[4 * pair] = row_[4 * pair + 2] = chromaRow_[pair];
				row_[4 * pair + 1] = row[2 * pair];
				// An odd width ends with the last pixel once more.
				row_[4 * pair + 3] = row[std::min(2 * pair + 1, width - 1)];
			}
			blendRow(from + y * row_.size(), to + y * row_.size(), row_);
		}
		return;
	case PixelFormat::NV12:
	case PixelFormat::I420:
		break;
	}

	const std::size_t chroma = width * height;
	const std::size_t planeBytes = halfWidth * ((height + 1) / 2);
	for (std::size_t y = 0; y < height; y += 2) {
		const auto upper = rowOf(y), lower = rowOf(std::min(y + 1, height - 1));
		if (isNothing(upper) && isNothing(lower)) continue;
		blendRow(from + y * width, to + y * width, upper);
		if (y + 1 < height) blendRow(from + (y + 1) * width, to + (y + 1) * width, lower);
		leastOfPairs(upper, lower, chromaRow_);
		if (picture.format == PixelFormat::NV12) {
			row_.resize(2 * halfWidth);
			for (std::size_t pair = 0; pair < halfWidth; ++pair)
				row_[2 * pair] = row_[2 * pair + 1] = chromaRow_[pair];
			const std::size_t at = chroma + y / 2 * row_.size();
			blendRow(from + at, to + at, row_);
		} else {
			for (const std::size_t at : {chroma + y / 2 * halfWidth, chroma + planeBytes + y / 2 * halfWidth})
				blendRow(from + at, to + at, chromaRow_);
		}
	}
}

void RegionPainter::paint(
	PixelConverter& convert, const Picture& painting, const Mask& mask, Fit fit, const Picture& picture
) {
	lay(mask, painting, picture, fit, shares_);
	if (isNothing(shares_)) return;
	fitted_.resize(pictureByteLength(picture));
	const Picture fitted{picture, fitted_};
	convert.convert(painting, fitted, fit);
	blend(shares_, fitted, picture);
}

}
