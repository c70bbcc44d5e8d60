#include "latent-motion.hpp"

#include <algorithm>
#include <cmath>

#include <opencv2/imgproc.hpp>

#include "warp.hpp"

namespace allaprima {

namespace {

/** Inside the side; where that is no number, `otherwise`. */
float inside(float place, int side, int otherwise) {
	if (std::isnan(place)) return static_cast<float>(otherwise);
	return std::clamp(place, 0.0F, static_cast<float>(side - 1));
}

}

void LatentMotion::operator()(
	std::span<const float> latents,
	const LatentShape& shape,
	std::span<const Flow> flows,
	std::span<float> to,
	std::span<float> offsets
) {
	// Back in time, from where things are to where they were.
	for (std::size_t i = flows.size(); i-- > 0;) {
		toCells(flows[i], {shape.width, shape.height});
		if (i + 1 == flows.size()) {
			gatherMap(cells_, -1, places_);
			continue;
		}
		cv::remap(cells_, followed_, places_, {}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
		cv::subtract(places_, followed_, places_);
	}

	const std::size_t plane = shape.planeCount();
	taken_.resize(plane);
	for (int y = 0, cell = 0; y < shape.height; ++y) {
		const auto* places = places_.ptr<Motion>(y);
		for (int x = 0; x < shape.width; ++x, ++cell) {
			const float placeX = inside(places[x].x, shape.width, x);
			const float placeY = inside(places[x].y, shape.height, y);
			const float column = std::floor(placeX + 0.5F), row = std::floor(placeY + 0.5F);
			const auto here = static_cast<std::size_t>(cell);
			offsets[here] = placeX - column;
			offsets[plane + here] = placeY - row;
			taken_[here] = static_cast<int>(row) * shape.width + static_cast<int>(column);
		}
	}
	for (std::size_t channel = 0; channel < to.size(); channel += plane) {
		const float* from = latents.data() + channel;
		float* target = to.data() + channel;
		for (std::size_t cell = 0; cell < plane; ++cell) target[cell] = from[taken_[cell]];
	}
}

void LatentMotion::toCells(const Flow& flow, const cv::Size& grid) {
	cv::resize(flow.mat(), cells_, grid, 0, 0, cv::INTER_AREA);
	if (flow.size() == grid) return;
	const cv::Scalar scale(
		static_cast<double>(grid.width) / flow.width, static_cast<double>(grid.height) / flow.height
	);
	cv::multiply(cells_, scale, cells_);
}

}
