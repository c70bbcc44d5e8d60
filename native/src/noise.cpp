#include "noise.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <opencv2/imgproc.hpp>

namespace allaprima {

namespace {

/** Coordinates beyond this have lost the part of a cell; they start anew. At 30 pixels a second that takes a
 * day. */
constexpr float COORDINATE_MAX = 1e6F;

/** Four neighbours of a place between cells. */
struct Neighbours {
	std::array<std::size_t, 4> cells;
	std::array<float, 4> weights;
};

/** `wrap` gives the cell of any whole coordinates. */
template <typename Wrap>
Neighbours neighboursOf(float x, float y, Wrap wrap) {
	const float left = std::floor(x), top = std::floor(y);
	const float right = x - left, low = y - top;
	const auto column = static_cast<int>(left), row = static_cast<int>(top);
	return {
		{wrap(column, row), wrap(column + 1, row), wrap(column, row + 1), wrap(column + 1, row + 1)},
		{(1 - right) * (1 - low), right * (1 - low), (1 - right) * low, right * low},
	};
}

float weighted(const Neighbours& at, std::span<const float> plane) {
	float sum = 0;
	for (std::size_t i = 0; i < at.cells.size(); ++i) sum += at.weights[i] * plane[at.cells[i]];
	return sum;
}

/** Also false for what is not a number. */
bool isUsable(float coordinate) {
	return std::abs(coordinate) < COORDINATE_MAX;
}

/** Motion in cells; none where it is too small to be trusted, or not a number. */
Motion toCells(const Motion& pixels, float scaleX, float scaleY) {
	const float length = std::hypot(pixels.x, pixels.y);
	if (!(length >= NOISE_MOTION_MIN) || !isUsable(length)) return {0, 0};
	return {pixels.x * scaleX, pixels.y * scaleY};
}

}

void NoiseCarrier::operator()(
	std::span<const float> field,
	std::span<const float> from,
	const LatentShape& shape,
	const Flow& flow,
	std::span<float> to,
	std::span<float> samples
) {
	const int width = shape.width, height = shape.height;
	const auto columns = static_cast<std::size_t>(width);
	const std::size_t plane = columns * static_cast<std::size_t>(height);
	const auto indexOf = [columns](int column, int row) {
		return static_cast<std::size_t>(row) * columns + static_cast<std::size_t>(column);
	};
	const auto clamped = [&](int column, int row) {
		return indexOf(std::clamp(column, 0, width - 1), std::clamp(row, 0, height - 1));
	};
	const auto repeated = [&](int column, int row) {
		return indexOf(((column % width) + width) % width, ((row % height) + height) % height);
	};
	const float scaleX = static_cast<float>(width) / static_cast<float>(flow.width);
	const float scaleY = static_cast<float>(height) / static_cast<float>(flow.height);
	const auto lastX = static_cast<float>(width - 1), lastY = static_cast<float>(height - 1);

	cv::resize(flow.mat(), motions_, {width, height}, 0, 0, cv::INTER_AREA);
	for (int row = 0; row < height; ++row) {
		const auto* motions = motions_.ptr<Motion>(row);
		for (int column = 0; column < width; ++column) {
			const Motion motion = toCells(motions[column], scaleX, scaleY);
			const float x = static_cast<float>(column) - motion.x, y = static_cast<float>(row) - motion.y;
			const float insideX = std::clamp(x, 0.0F, lastX), insideY = std::clamp(y, 0.0F, lastY);
			const Neighbours origin = neighboursOf(insideX, insideY, clamped);
			// What enters from outside continues the coordinates of the border.
			float atX = weighted(origin, from.first(plane)) + (x - insideX);
			float atY = weighted(origin, from.subspan(plane, plane)) + (y - insideY);
			if (!isUsable(atX) || !isUsable(atY)) {
				atX = static_cast<float>(column);
				atY = static_cast<float>(row);
			}
			const std::size_t here = indexOf(column, row);
			to[here] = atX;
			to[plane + here] = atY;

			const Neighbours at = neighboursOf(atX, atY, repeated);
			float squares = 0;
			for (const float weight : at.weights) squares += weight * weight;
			const float scale = 1 / std::sqrt(squares);
			for (std::size_t channel = 0; channel < samples.size(); channel += plane) {
				samples[channel + here] = scale * weighted(at, field.subspan(channel, plane));
			}
		}
	}
}

}
