#pragma once

#include <span>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "latent-shape.hpp"
#include "picture.hpp"

namespace allaprima {

/** Moves latents along flows. Keeps its scratch memory; one thread at a time. */
class LatentMotion {
public:
	/**
	 * Gathers `to` from `latents` along one flow after the other, the oldest first, each of the shape's size
	 * or larger and counted in its own pixels: by whole cells, from inside the picture. `offsets` [2, height,
	 * width] is the rest of the motion, in cells from -0.5 to 0.5, x then y: how far from what was taken.
	 */
	void operator()(
		std::span<const float> latents,
		const LatentShape& shape,
		std::span<const Flow> flows,
		std::span<float> to,
		std::span<float> offsets
	);

private:
	/** In cells. */
	void toCells(const Flow& flow, const cv::Size& grid);

	cv::Mat cells_, followed_, places_;
	/** For each cell, which one it is taken from. */
	std::vector<int> taken_;
};

}
