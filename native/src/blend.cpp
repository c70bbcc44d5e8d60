#include "blend.hpp"

#include <opencv2/core.hpp>

namespace allaprima {

void blend(const Picture& a, const Picture& b, double alpha, const Picture& target) {
	cv::Mat pixels = target.rgb();
	cv::addWeighted(a.rgb(), alpha, b.rgb(), 1 - alpha, 0, pixels);
}

}
