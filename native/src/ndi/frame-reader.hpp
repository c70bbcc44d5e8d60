#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "abi.hpp"
#include "frame-pool.hpp"
#include "pixels.hpp"

namespace allaprima::ndi {

/** The matrix that NDI means by a height. */
constexpr ColorMatrix matrixOf(int height) {
	return height >= 720 ? ColorMatrix::BT709 : ColorMatrix::BT601;
}

/** The colours of a frame as the stages know them; alpha is not among them. */
inline PictureLayout layoutOf(const FrameFacts& facts) {
	const bool isBgra = facts.kind == FrameKind::BGRA;
	return {
		.format = isBgra ? PixelFormat::BGRA : PixelFormat::UYVY,
		.width = facts.width,
		.height = facts.height,
		.matrix = matrixOf(facts.height),
		.range = isBgra ? ColorRange::FULL : ColorRange::LIMITED,
	};
}

inline Picture pictureOf(const Frame& frame) {
	const PictureLayout layout = layoutOf(frame);
	return {layout, frame.pixels().first(pictureByteLength(layout))};
}

/**
 * Copies what the runtime gives into frames of the pool: as UYVY or UYVA, rows tight, two fields woven into
 * one frame, the first on the even lines. Trusts nothing but that the memory is as large as it is said to be.
 * One thread at a time.
 */
class FrameReader {
public:
	FrameReader(std::shared_ptr<FramePool> pool, bool keepsAlpha)
		: pool_(std::move(pool)), keepsAlpha_(keepsAlpha) {}

	struct Outcome {
		FrameRef frame; // null: dropped, or the first of two fields
		std::string dropReason; // empty: not dropped
		bool isFull = false; // dropped as the pool had no room
		FrameRef lone; // the field before, whose second half never came, with its lines doubled
	};

	Outcome read(const abi::Video& video, std::int64_t arrivedUs);

private:
	enum class Lines { ALL, EVEN, ODD };

	std::string refusal(const abi::Video& video) const;
	void copy(const abi::Video& video, Frame& frame, Lines lines);
	void convert(const abi::Video& video, Frame& frame, Lines lines);
	FrameRef takeLone();

	std::shared_ptr<FramePool> pool_;
	bool keepsAlpha_;
	FrameRef field_; // the first of two, on its lines
	PixelConverter convert_;
	std::unique_ptr<std::uint8_t[]> tight_, converted_;
	std::size_t tightBytes_ = 0, convertedBytes_ = 0;
};

}
