#include "pixels.hpp"

#include <algorithm>
#include <cmath>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace allaprima {

namespace {

/** An affine map of colours, applied to (c0, c1, c2, 1). */
using ColorMap = cv::Matx34d;

struct Interval {
	int start;
	int length;
};

/** `wanted` of `total` pixels from the middle, on multiples of `step`; all of them if there are no more. */
Interval centred(int total, double wanted, int step) {
	const int length =
		step * std::max(1, static_cast<int>(std::lround(std::min<double>(wanted, total) / step)));
	if (length >= total) return {0, total};
	return {(total - length) / 2 / step * step, length};
}

/** How many pixels share one chroma sample. */
cv::Size chromaStep(PixelFormat format) {
	switch (format) {
	case PixelFormat::NV12:
	case PixelFormat::I420:
		return {2, 2};
	case PixelFormat::UYVY:
		return {2, 1};
	default:
		return {1, 1};
	}
}

cv::Size chromaSize(PixelFormat format, const cv::Size& size) {
	const cv::Size step = chromaStep(format);
	return {(size.width + step.width - 1) / step.width, (size.height + step.height - 1) / step.height};
}

cv::Rect chromaRect(PixelFormat format, const cv::Rect& rect) {
	const cv::Size step = chromaStep(format);
	return {{rect.x / step.width, rect.y / step.height}, chromaSize(format, rect.size())};
}

/** True if the chroma samples cover these pixels and no more. */
bool wholeChroma(PixelFormat format, const cv::Size& size) {
	const cv::Size step = chromaStep(format);
	return size.width % step.width == 0 && size.height % step.height == 0;
}

/** A plane that starts `offset` bytes into the picture. */
cv::Mat planeOf(const Picture& picture, std::size_t offset, const cv::Size& size, int type) {
	return {size, type, picture.data.data() + offset};
}

/** The weights of red and blue in luma: BT.601-7 2.5.1, BT.709-6 3.2. */
std::pair<double, double> lumaWeights(ColorMatrix matrix) {
	return matrix == ColorMatrix::BT601 ? std::pair{0.299, 0.114} : std::pair{0.2126, 0.0722};
}

struct Scales {
	double luma, lumaOffset, chroma;
};

/** 8-bit steps from black to white, of black, and over the range of chroma. */
Scales scalesOf(ColorRange range) {
	return range == ColorRange::LIMITED ? Scales{219.0 / 255, 16, 224.0 / 255} : Scales{1, 0, 1};
}

ColorMap rgbToYuv(const PictureLayout& layout) {
	const auto [red, blue] = lumaWeights(layout.matrix);
	const double green = 1 - red - blue;
	const auto [luma, lumaOffset, chroma] = scalesOf(layout.range);
	const double u = chroma / (2 * (1 - blue)), v = chroma / (2 * (1 - red));
	return {
		luma * red,
		luma * green,
		luma * blue,
		lumaOffset, //
		-u * red,
		-u * green,
		u * (1 - blue),
		128, //
		v * (1 - red),
		-v * green,
		-v * blue,
		128, //
	};
}

ColorMap yuvToRgb(const PictureLayout& layout) {
	const auto [red, blue] = lumaWeights(layout.matrix);
	const double green = 1 - red - blue;
	const auto [luma, lumaOffset, chroma] = scalesOf(layout.range);
	const double y = 1 / luma, u = 2 * (1 - blue) / chroma, v = 2 * (1 - red) / chroma;
	const double greenU = -u * blue / green, greenV = -v * red / green;
	const double black = -y * lumaOffset;
	return {
		y,
		0,
		v,
		black - 128 * v, //
		y,
		greenU,
		greenV,
		black - 128 * (greenU + greenV), //
		y,
		u,
		0,
		black - 128 * u, //
	};
}

/** First `inner`, then `outer`. */
ColorMap compose(const ColorMap& outer, const ColorMap& inner) {
	const cv::Matx44d affine(
		inner(0, 0),
		inner(0, 1),
		inner(0, 2),
		inner(0, 3), //
		inner(1, 0),
		inner(1, 1),
		inner(1, 2),
		inner(1, 3), //
		inner(2, 0),
		inner(2, 1),
		inner(2, 2),
		inner(2, 3), //
		0,
		0,
		0,
		1
	);
	return outer * affine;
}

bool sameEncoding(const PictureLayout& a, const PictureLayout& b) {
	return a.matrix == b.matrix && a.range == b.range;
}

void fillBlack(const Picture& picture) {
	const auto size = static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height);
	const auto black = static_cast<std::uint8_t>(picture.range == ColorRange::LIMITED ? 16 : 0);
	switch (picture.format) {
	case PixelFormat::RGB:
		std::ranges::fill(picture.data, std::uint8_t{0});
		break;
	case PixelFormat::BGRA:
	case PixelFormat::RGBA:
		planeOf(picture, 0, picture.size(), CV_8UC4).setTo(cv::Scalar(0, 0, 0, 255));
		break;
	case PixelFormat::UYVY:
		planeOf(picture, 0, chromaSize(picture.format, picture.size()), CV_8UC4)
			.setTo(cv::Scalar(128, black, 128, black));
		break;
	case PixelFormat::NV12:
	case PixelFormat::I420:
		std::ranges::fill(picture.data.first(size), black);
		std::ranges::fill(picture.data.subspan(size), std::uint8_t{128});
		break;
	}
}

}

Placement place(const PictureLayout& source, const PictureLayout& target, Fit fit) {
	const cv::Rect allOfSource({0, 0}, source.size()), allOfTarget({0, 0}, target.size());
	const double sourceAspect = static_cast<double>(source.width) / source.height;
	const double targetAspect = static_cast<double>(target.width) / target.height;

	const auto fitted = [](const PictureLayout& layout, double aspect) {
		const cv::Size step = chromaStep(layout.format);
		const Interval x = centred(layout.width, layout.height * aspect, step.width);
		const Interval y = centred(layout.height, layout.width / aspect, step.height);
		return cv::Rect(x.start, y.start, x.length, y.length);
	};
	switch (fit) {
	case Fit::COVER:
		return {fitted(source, targetAspect), allOfTarget};
	case Fit::CONTAIN:
		return {allOfSource, fitted(target, sourceAspect)};
	case Fit::STRETCH:
		break;
	}
	return {allOfSource, allOfTarget};
}

void PixelConverter::convert(const Picture& source, const Picture& target, Fit fit) {
	const Placement placement = place(source, target, fit);
	const cv::Size crop = placement.source.size(), region = placement.target.size();
	if (region != target.size()) fillBlack(target);

	const bool fromYuv = isYuv(source.format), toYuv = isYuv(target.format);
	if (fromYuv && toYuv && sameEncoding(source, target)) {
		copyYuv(source, target, placement);
		return;
	}

	const cv::Size work = region.area() <= crop.area() ? region : crop;
	cv::Mat colors; // [height, width, 3] of the source's encoding, at the size of the work
	if (fromYuv) {
		const Planes source444 = growChroma(openYuv(source, placement.source), source.format, work);
		cv::merge(std::array{source444.luma, source444.u, source444.v}, mixed_);
		colors = mixed_;
	} else {
		colors = openRgb(source, placement.source);
		if (work != crop) {
			resizedRgb_.create(work, CV_8UC3);
			resize_(colors, resizedRgb_);
			colors = resizedRgb_;
		}
	}

	if (!toYuv) {
		if (fromYuv) {
			cv::transform(colors, converted_, yuvToRgb(source));
			colors = converted_;
		}
		closeRgb(colors, target, placement.target);
		return;
	}

	const ColorMap toTarget = rgbToYuv(target);
	cv::transform(colors, converted_, fromYuv ? compose(toTarget, yuvToRgb(source)) : toTarget);
	cv::split(converted_, quad_.data());
	Planes out = targetPlanes(target, placement.target);
	resize_(quad_[0], out.luma);
	shrinkChromaInto(quad_[1], target.format, region, out.u);
	shrinkChromaInto(quad_[2], target.format, region, out.v);
	closeYuv(out, target, placement.target);
}

cv::Mat PixelConverter::openRgb(const Picture& source, const cv::Rect& crop) {
	if (source.format == PixelFormat::RGB) return source.rgb()(crop);
	const cv::Mat pixels = planeOf(source, 0, source.size(), CV_8UC4)(crop);
	cv::cvtColor(pixels, rgb_, source.format == PixelFormat::BGRA ? cv::COLOR_BGRA2RGB : cv::COLOR_RGBA2RGB);
	return rgb_;
}

void PixelConverter::closeRgb(const cv::Mat& rgb, const Picture& target, const cv::Rect& region) {
	if (target.format == PixelFormat::RGB) {
		cv::Mat pixels = target.rgb()(region);
		resize_(rgb, pixels);
		return;
	}
	cv::Mat resized = rgb;
	if (rgb.size() != region.size()) {
		resizedRgb_.create(region.size(), CV_8UC3);
		resize_(rgb, resizedRgb_);
		resized = resizedRgb_;
	}
	cv::Mat pixels = planeOf(target, 0, target.size(), CV_8UC4)(region);
	cv::cvtColor(
		resized, pixels, target.format == PixelFormat::BGRA ? cv::COLOR_RGB2BGRA : cv::COLOR_RGB2RGBA
	);
}

PixelConverter::Planes PixelConverter::openYuv(const Picture& source, const cv::Rect& crop) {
	const cv::Rect chroma = chromaRect(source.format, crop);
	const cv::Size allChroma = chromaSize(source.format, source.size());
	const std::size_t lumaBytes =
		static_cast<std::size_t>(source.width) * static_cast<std::size_t>(source.height);
	const std::size_t chromaBytes =
		static_cast<std::size_t>(allChroma.width) * static_cast<std::size_t>(allChroma.height);

	if (source.format == PixelFormat::UYVY) {
		cv::split(planeOf(source, 0, allChroma, CV_8UC4)(chroma), quad_.data());
		cv::merge(std::array{quad_[1], quad_[3]}, pairs_);
		return {pairs_.reshape(1)(cv::Rect({0, 0}, crop.size())), quad_[0], quad_[2]};
	}
	const cv::Mat luma = planeOf(source, 0, source.size(), CV_8U)(crop);
	if (source.format == PixelFormat::NV12) {
		cv::split(planeOf(source, lumaBytes, allChroma, CV_8UC2)(chroma), quad_.data());
		return {luma, quad_[0], quad_[1]};
	}
	return {
		luma,
		planeOf(source, lumaBytes, allChroma, CV_8U)(chroma),
		planeOf(source, lumaBytes + chromaBytes, allChroma, CV_8U)(chroma),
	};
}

PixelConverter::Planes
PixelConverter::growChroma(const Planes& planes, PixelFormat format, const cv::Size& size) {
	const cv::Size crop = planes.luma.size();
	cv::Mat luma = planes.luma;
	if (crop != size) {
		smallLuma_.create(size, CV_8U);
		resize_(luma, smallLuma_);
		luma = smallLuma_;
	}
	smallU_.create(size, CV_8U);
	smallV_.create(size, CV_8U);
	growChromaInto(planes.u, format, crop, smallU_);
	growChromaInto(planes.v, format, crop, smallV_);
	return {luma, smallU_, smallV_};
}

void PixelConverter::growChromaInto(
	const cv::Mat& chroma, PixelFormat format, const cv::Size& crop, cv::Mat& target
) {
	if (wholeChroma(format, crop)) {
		resize_(chroma, target);
		return;
	}
	// The last samples reach beyond the picture: bring them to the pixels first, then cut.
	const cv::Size step = chromaStep(format);
	doubled_.create(chroma.rows * step.height, chroma.cols * step.width, CV_8U);
	resize_(chroma, doubled_);
	resize_(doubled_(cv::Rect({0, 0}, crop)), target);
}

void PixelConverter::shrinkChromaInto(
	const cv::Mat& full, PixelFormat format, cv::Size region, cv::Mat& target
) {
	if (wholeChroma(format, region)) {
		resize_(full, target);
		return;
	}
	full_.create(region, CV_8U);
	resize_(full, full_);
	const cv::Size step = chromaStep(format);
	const int right = target.cols * step.width - region.width,
			  bottom = target.rows * step.height - region.height;
	cv::copyMakeBorder(full_, padded_, 0, bottom, 0, right, cv::BORDER_REPLICATE);
	resize_(padded_, target);
}

PixelConverter::Planes PixelConverter::targetPlanes(const Picture& target, const cv::Rect& region) {
	const cv::Rect chroma = chromaRect(target.format, region);
	if (target.format == PixelFormat::I420) {
		const cv::Size allChroma = chromaSize(target.format, target.size());
		const std::size_t lumaBytes =
			static_cast<std::size_t>(target.width) * static_cast<std::size_t>(target.height);
		const std::size_t chromaBytes =
			static_cast<std::size_t>(allChroma.width) * static_cast<std::size_t>(allChroma.height);
		return {
			planeOf(target, 0, target.size(), CV_8U)(region),
			planeOf(target, lumaBytes, allChroma, CV_8U)(chroma),
			planeOf(target, lumaBytes + chromaBytes, allChroma, CV_8U)(chroma),
		};
	}
	u_.create(chroma.size(), CV_8U);
	v_.create(chroma.size(), CV_8U);
	if (target.format == PixelFormat::NV12) return {planeOf(target, 0, target.size(), CV_8U)(region), u_, v_};
	luma_.create(region.height, chroma.width * 2, CV_8U);
	return {luma_(cv::Rect({0, 0}, region.size())), u_, v_};
}

void PixelConverter::closeYuv(const Planes& planes, const Picture& target, const cv::Rect& region) {
	const cv::Rect chroma = chromaRect(target.format, region);
	const cv::Size allChroma = chromaSize(target.format, target.size());
	if (target.format == PixelFormat::NV12) {
		const std::size_t lumaBytes =
			static_cast<std::size_t>(target.width) * static_cast<std::size_t>(target.height);
		cv::Mat interleaved = planeOf(target, lumaBytes, allChroma, CV_8UC2)(chroma);
		cv::merge(std::array{planes.u, planes.v}, interleaved);
	} else if (target.format == PixelFormat::UYVY) {
		// An odd width leaves half a group of four bytes: it repeats the last pixel.
		if (luma_.cols > region.width) luma_.col(region.width - 1).copyTo(luma_.col(region.width));
		cv::split(luma_.reshape(2), quad_.data());
		cv::Mat interleaved = planeOf(target, 0, allChroma, CV_8UC4)(chroma);
		cv::merge(std::array{planes.u, quad_[0], planes.v, quad_[1]}, interleaved);
	}
}

void PixelConverter::copyYuv(const Picture& source, const Picture& target, const Placement& placement) {
	const cv::Size crop = placement.source.size(), region = placement.target.size();
	const Planes in = openYuv(source, placement.source);
	Planes out = targetPlanes(target, placement.target);
	resize_(in.luma, out.luma);

	const bool alike = crop == region && chromaStep(source.format) == chromaStep(target.format);
	if (alike || (wholeChroma(source.format, crop) && wholeChroma(target.format, region))) {
		resize_(in.u, out.u);
		resize_(in.v, out.v);
	} else {
		smallU_.create(region, CV_8U);
		smallV_.create(region, CV_8U);
		growChromaInto(in.u, source.format, crop, smallU_);
		growChromaInto(in.v, source.format, crop, smallV_);
		shrinkChromaInto(smallU_, target.format, region, out.u);
		shrinkChromaInto(smallV_, target.format, region, out.v);
	}
	closeYuv(out, target, placement.target);
}

}
