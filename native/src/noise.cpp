#include "noise.hpp"

#include <algorithm>
#include <cmath>

namespace allaprima {

namespace {

/** The middle of cell `index` of `cells` in pixels, counted from the edge of a picture of `pixels`. */
float cellCentre(int index, int cells, int pixels) {
	return (static_cast<float>(index) + 0.5F) * static_cast<float>(pixels) / static_cast<float>(cells);
}

}

void advectNoise(
	std::span<const float> noise,
	std::span<const float> fresh,
	const NoiseShape& shape,
	const Flow& flow,
	std::span<float> target
) {
	const auto width = static_cast<std::size_t>(shape.width), height = static_cast<std::size_t>(shape.height);
	const std::size_t plane = width * height;
	const auto pictureWidth = static_cast<float>(flow.width), pictureHeight = static_cast<float>(flow.height);

	for (int row = 0; row < shape.height; ++row) {
		const float y = cellCentre(row, shape.height, flow.height);
		const auto* motions =
			flow.data.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(flow.width);
		for (int column = 0; column < shape.width; ++column) {
			const float x = cellCentre(column, shape.width, flow.width);
			const Motion motion = motions[static_cast<std::size_t>(x)];
			const std::size_t here = static_cast<std::size_t>(row) * width + static_cast<std::size_t>(column);

			std::size_t there = here;
			bool arrives = true;
			if (!(std::hypot(motion.x, motion.y) < NOISE_MOTION_MIN)) {
				const float fromX = x - motion.x, fromY = y - motion.y;
				// Said so that motion that is not a number arrives from nowhere.
				arrives = fromX >= 0 && fromX < pictureWidth && fromY >= 0 && fromY < pictureHeight;
				if (arrives) {
					const auto fromColumn =
						static_cast<std::size_t>(fromX / pictureWidth * static_cast<float>(width));
					const auto fromRow =
						static_cast<std::size_t>(fromY / pictureHeight * static_cast<float>(height));
					there = std::min(fromRow, height - 1) * width + std::min(fromColumn, width - 1);
				}
			}
			const auto source = arrives ? noise : fresh;
			for (std::size_t channel = 0; channel < target.size(); channel += plane) {
				target[channel + here] = source[channel + there];
			}
		}
	}
}

}
