#include "warp.hpp"

#include <opencv2/imgproc.hpp>

namespace allaprima {

void gatherMap(const cv::Mat& flow, float sign, cv::Mat& map) {
	map.create(flow.size(), CV_32FC2);
	for (int y = 0; y < flow.rows; ++y) {
		const auto* motion = flow.ptr<Motion>(y);
		auto* from = map.ptr<Motion>(y);
		const auto row = static_cast<float>(y);
		for (int x = 0; x < flow.cols; ++x) {
			from[x].x = static_cast<float>(x) + sign * motion[x].x;
			from[x].y = row + sign * motion[x].y;
		}
	}
}

void Warp::operator()(const Picture& source, const Flow& flow, const Picture& target) {
	gatherMap(flow.mat(), -1, map_);
	cv::Mat pixels = target.rgb();
	cv::remap(source.rgb(), pixels, map_, {}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
}

}
