#include "frame-reader.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

namespace allaprima::ndi {
namespace {

constexpr std::size_t METADATA_BYTES_MAX = 1 << 20;
constexpr int RATE_MAX = 1'000'000;
constexpr std::int64_t PERIOD_US_MIN = 1000, PERIOD_US_MAX = 60'000'000;

bool isUyvy(std::uint32_t fourcc) {
	return fourcc == abi::UYVY || fourcc == abi::UYVA;
}

bool hasAlphaOf(std::uint32_t fourcc) {
	return fourcc == abi::UYVA || fourcc == abi::BGRA || fourcc == abi::RGBA;
}

/** What the other formats are to the stages. */
PixelFormat formatOf(std::uint32_t fourcc) {
	switch (fourcc) {
	case abi::BGRA:
	case abi::BGRX:
		return PixelFormat::BGRA;
	case abi::RGBA:
	case abi::RGBX:
		return PixelFormat::RGBA;
	case abi::NV12:
		return PixelFormat::NV12;
	case abi::I420:
		return PixelFormat::I420;
	default:
		return PixelFormat::UYVY;
	}
}

bool isKnown(std::uint32_t fourcc) {
	return isUyvy(fourcc) || formatOf(fourcc) != PixelFormat::UYVY;
}

std::size_t rowBytesOf(std::uint32_t fourcc, int width) {
	switch (formatOf(fourcc)) {
	case PixelFormat::BGRA:
	case PixelFormat::RGBA:
		return 4 * static_cast<std::size_t>(width);
	case PixelFormat::NV12:
	case PixelFormat::I420:
		return static_cast<std::size_t>(width);
	default:
		return 4 * ((static_cast<std::size_t>(width) + 1) / 2);
	}
}

/** Printable characters as they are, for a log. */
std::string nameOf(std::uint32_t fourcc) {
	std::string name;
	for (int i = 0; i < 4; ++i) {
		const auto character = static_cast<unsigned char>(fourcc >> 8 * i);
		if (character >= 0x20 && character < 0x7f) {
			name += static_cast<char>(character);
		} else {
			constexpr char DIGITS[] = "0123456789abcdef";
			name += std::string("\\x") + DIGITS[character >> 4] + DIGITS[character & 15];
		}
	}
	return name;
}

void copyRows(
	const std::uint8_t* source,
	std::size_t stride,
	std::uint8_t* target,
	std::size_t targetStride,
	std::size_t bytes,
	int rows
) {
	if (stride == bytes && targetStride == bytes) {
		std::memcpy(target, source, bytes * static_cast<std::size_t>(rows));
		return;
	}
	for (int row = 0; row < rows; ++row, source += stride, target += targetStride)
		std::memcpy(target, source, bytes);
}

std::span<std::uint8_t>
atLeast(std::unique_ptr<std::uint8_t[]>& memory, std::size_t& size, std::size_t bytes) {
	if (size < bytes) {
		memory = std::make_unique_for_overwrite<std::uint8_t[]>(bytes);
		size = bytes;
	}
	return {memory.get(), bytes};
}

}

std::string FrameReader::refusal(const abi::Video& video) const {
	const auto sizeText = [&] { return std::to_string(video.width) + "x" + std::to_string(video.height); };
	if (!isKnown(video.fourcc)) return "pixels of the unknown format " + nameOf(video.fourcc);
	if (video.format < abi::INTERLEAVED || video.format > abi::FIELD_1)
		return "the unknown frame format " + std::to_string(video.format);
	const int heightMax = video.format >= abi::FIELD_0 ? PICTURE_SIDE_MAX / 2 : PICTURE_SIDE_MAX;
	if (video.width < 1 || video.width > PICTURE_SIDE_MAX || video.height < 1 || video.height > heightMax)
		return "the size " + sizeText();
	if (!video.data) return "no pixels at all";
	const auto rowBytes = static_cast<std::int64_t>(rowBytesOf(video.fourcc, video.width));
	if (video.strideBytes != 0 && (video.strideBytes < rowBytes || video.strideBytes > 8 * PICTURE_SIDE_MAX))
		return "rows of " + std::to_string(video.strideBytes) + " bytes for the size " + sizeText();
	return {};
}

FrameReader::Outcome FrameReader::read(const abi::Video& video, std::int64_t arrivedUs) {
	Outcome outcome;
	outcome.dropReason = refusal(video);
	if (!outcome.dropReason.empty()) return outcome;

	const bool isField = video.format >= abi::FIELD_0;
	FrameFacts facts;
	facts.width = video.width;
	facts.height = isField ? 2 * video.height : video.height;
	facts.kind = keepsAlpha_ && hasAlphaOf(video.fourcc) ? FrameKind::UYVA : FrameKind::UYVY;
	facts.isInterlaced = video.format != abi::PROGRESSIVE;
	const bool isRate =
		video.rateNum > 0 && video.rateNum <= RATE_MAX && video.rateDen > 0 && video.rateDen <= RATE_MAX;
	if (isRate) {
		facts.rateNum = video.rateNum;
		facts.rateDen = video.rateDen;
		// A period of nonsense would stop the output's clock.
		if (facts.periodUs() < PERIOD_US_MIN || facts.periodUs() > PERIOD_US_MAX)
			facts.rateNum = 30, facts.rateDen = 1;
	}
	const bool isAspect = std::isfinite(video.aspect) && video.aspect > 0 && video.aspect < 1000;
	facts.aspect = isAspect ? video.aspect : 0;
	facts.timecode = video.timecode;
	facts.arrivedUs = arrivedUs;
	if (video.metadata) facts.metadata.assign(video.metadata, strnlen(video.metadata, METADATA_BYTES_MAX));

	if (video.format == abi::FIELD_1 && field_) {
		const bool fits =
			field_->width == facts.width && field_->height == facts.height && field_->kind == facts.kind;
		if (fits) {
			copy(video, *field_, Lines::ODD);
			if (field_->metadata.empty()) field_->metadata = facts.metadata;
			field_->arrivedUs = arrivedUs;
			outcome.frame = std::exchange(field_, {});
			return outcome;
		}
	}
	outcome.lone = takeLone();
	FrameRef frame = pool_->take(facts.byteLength());
	if (!frame) {
		outcome.dropReason = "no memory left for frames";
		outcome.isFull = true;
		return outcome;
	}
	static_cast<FrameFacts&>(*frame) = std::move(facts);
	if (video.format == abi::FIELD_0) {
		copy(video, *frame, Lines::EVEN);
		field_ = std::move(frame);
	} else if (video.format == abi::FIELD_1) {
		// The first half never came.
		copy(video, *frame, Lines::EVEN);
		field_ = std::move(frame);
		outcome.frame = takeLone();
	} else {
		copy(video, *frame, Lines::ALL);
		outcome.frame = std::move(frame);
	}
	return outcome;
}

FrameRef FrameReader::takeLone() {
	FrameRef frame = std::exchange(field_, {});
	if (!frame) return frame;
	const auto double_ = [&](std::uint8_t* plane, std::size_t rowBytes) {
		for (int row = 0; row + 1 < frame->height; row += 2, plane += 2 * rowBytes)
			std::memcpy(plane + rowBytes, plane, rowBytes);
	};
	std::uint8_t* const pixels = frame->pixels().data();
	double_(pixels, rowBytesOf(abi::UYVY, frame->width));
	if (frame->kind == FrameKind::UYVA)
		double_(pixels + uyvyByteLength(frame->width, frame->height), alphaRowBytes(frame->width));
	return frame;
}

void FrameReader::copy(const abi::Video& video, Frame& frame, Lines lines) {
	if (!isUyvy(video.fourcc)) {
		convert(video, frame, lines);
		return;
	}
	const std::size_t rowBytes = rowBytesOf(abi::UYVY, video.width);
	const std::size_t stride = video.strideBytes ? static_cast<std::size_t>(video.strideBytes) : rowBytes;
	const std::size_t step = lines == Lines::ALL ? 1 : 2, first = lines == Lines::ODD ? 1 : 0;
	std::uint8_t* const target = frame.pixels().data();
	copyRows(video.data, stride, target + first * rowBytes, step * rowBytes, rowBytes, video.height);
	if (frame.kind != FrameKind::UYVA) return;
	const std::uint8_t* const alpha = video.data + stride * static_cast<std::size_t>(video.height);
	const auto alphaBytes = static_cast<std::size_t>(video.width);
	std::uint8_t* const plane = target + uyvyByteLength(frame.width, frame.height);
	const std::size_t planeStride = alphaRowBytes(video.width);
	copyRows(alpha, stride / 2, plane + first * planeStride, step * planeStride, alphaBytes, video.height);
}

void FrameReader::convert(const abi::Video& video, Frame& frame, Lines lines) {
	const std::size_t rowBytes = rowBytesOf(video.fourcc, video.width);
	const std::size_t stride = video.strideBytes ? static_cast<std::size_t>(video.strideBytes) : rowBytes;
	const auto height = static_cast<std::size_t>(video.height);
	Picture source;
	source.format = formatOf(video.fourcc);
	source.width = video.width;
	source.height = video.height;
	source.matrix = matrixOf(frame.height);
	source.range = isYuv(source.format) ? ColorRange::LIMITED : ColorRange::FULL;
	source.data = atLeast(tight_, tightBytes_, pictureByteLength(source));
	std::uint8_t* tight = source.data.data();
	copyRows(video.data, stride, tight, rowBytes, rowBytes, video.height);
	const std::size_t halfWidth = (static_cast<std::size_t>(video.width) + 1) / 2;
	const int halfHeight = halfUp(video.height);
	const std::uint8_t* chroma = video.data + stride * height;
	if (source.format == PixelFormat::NV12) {
		// An odd width has a pair of chroma more than the row of luma is long.
		const std::size_t bytes = std::min(2 * halfWidth, stride);
		copyRows(chroma, stride, tight + rowBytes * height, 2 * halfWidth, bytes, halfHeight);
	} else if (source.format == PixelFormat::I420) {
		std::uint8_t* target = tight + rowBytes * height;
		const std::size_t halfStride = std::max(stride / 2, halfWidth);
		for (int plane = 0; plane < 2; ++plane) {
			copyRows(chroma, halfStride, target, halfWidth, halfWidth, halfHeight);
			chroma += halfStride * static_cast<std::size_t>(halfHeight);
			target += halfWidth * static_cast<std::size_t>(halfHeight);
		}
	}

	Picture target;
	target.format = PixelFormat::UYVY;
	target.width = video.width;
	target.height = video.height;
	target.matrix = source.matrix;
	target.range = ColorRange::LIMITED;
	target.data = atLeast(converted_, convertedBytes_, pictureByteLength(target));
	convert_.convert(source, target, Fit::STRETCH);

	const std::size_t step = lines == Lines::ALL ? 1 : 2, first = lines == Lines::ODD ? 1 : 0;
	const std::size_t uyvyBytes = rowBytesOf(abi::UYVY, video.width);
	std::uint8_t* const pixels = frame.pixels().data();
	copyRows(
		target.data.data(), uyvyBytes, pixels + first * uyvyBytes, step * uyvyBytes, uyvyBytes, video.height
	);
	if (frame.kind != FrameKind::UYVA) return;
	const auto width = static_cast<std::size_t>(video.width);
	const std::size_t planeStride = alphaRowBytes(video.width);
	std::uint8_t* plane = pixels + uyvyByteLength(frame.width, frame.height) + first * planeStride;
	for (std::size_t row = 0; row < height; ++row, plane += step * planeStride) {
		for (std::size_t x = 0; x < width; ++x) plane[x] = tight[4 * (row * width + x) + 3];
	}
}

}
