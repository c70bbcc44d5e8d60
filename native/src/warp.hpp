#pragma once

#include <opencv2/core/mat.hpp>

#include "picture.hpp"

namespace allaprima {

/** Fills `map` with `p + sign * flow(p)`: where to gather pixel p from. */
void gatherMap(const cv::Mat& flow, float sign, cv::Mat& map);

/** Moves RGB pixels along a flow. Keeps its scratch memory; one thread at a time. */
class Warp {
public:
	/** Gathers `target(x, y) = source(x - flow.x, y - flow.y)`, bilinear, borders replicated. */
	void operator()(const Picture& source, const Flow& flow, const Picture& target);

private:
	cv::Mat map_;
};

}
