#pragma once

#include <array>

#include <opencv2/core/mat.hpp>

#include "picture.hpp"
#include "resizer.hpp"

namespace allaprima {

enum class Fit { COVER, CONTAIN, STRETCH };

/** Where the pixels of the source come from and where those of the target go. */
struct Placement {
	cv::Rect source;
	cv::Rect target;
};

/**
 * Rectangles lie on whole chroma samples, so that chroma needs no shift: their starts are even, and so are
 * their ends unless they reach the end of the picture.
 */
Placement place(const PictureLayout& source, const PictureLayout& target, Fit fit);

/**
 * Converts colour and resizes in one go. Colour is converted at the smaller of both sizes. Chroma samples are
 * taken as centred on their pixels; targets with alpha come out opaque. Keeps its scratch memory; one thread
 * at a time.
 */
class PixelConverter {
public:
	void convert(const Picture& source, const Picture& target, Fit fit);

private:
	/** Luma and both chroma planes; headers of memory that lies elsewhere. */
	struct Planes {
		cv::Mat luma, u, v;
	};

	cv::Mat openRgb(const Picture& source, const cv::Rect& crop);
	Planes openYuv(const Picture& source, const cv::Rect& crop);
	/** All three planes at `size`. */
	Planes growChroma(const Planes& planes, PixelFormat format, const cv::Size& size);
	void growChromaInto(const cv::Mat& chroma, PixelFormat format, const cv::Size& crop, cv::Mat& target);
	void shrinkChromaInto(const cv::Mat& full, PixelFormat format, cv::Size region, cv::Mat& target);

	void closeRgb(const cv::Mat& rgb, const Picture& target, const cv::Rect& region);
	/** The planes to fill: the target's own memory where its format has planes, scratch memory otherwise. */
	Planes targetPlanes(const Picture& target, const cv::Rect& region);
	void closeYuv(const Planes& planes, const Picture& target, const cv::Rect& region);

	void copyYuv(const Picture& source, const Picture& target, const Placement& placement);

	// Scratch memory. Nothing here may become a header of the caller's pixels: the next call would write
	// there.
	cv::Mat rgb_, resizedRgb_, mixed_, converted_, doubled_, full_, padded_;
	cv::Mat pairs_, luma_, u_, v_, smallLuma_, smallU_, smallV_;
	std::array<cv::Mat, 4> quad_;
	Resizer resize_;
};

}
