#include "noise.hpp"

#include <algorithm>
#include <cmath>

namespace allaprima {

namespace {

/** The pixel at the middle of cell `index` of `cells`, in a picture of `pixels`. */
std::size_t pixelOf(int index, int cells, int pixels) {
	return static_cast<std::size_t>(
		(static_cast<float>(index) + 0.5F) * static_cast<float>(pixels) / static_cast<float>(cells)
	);
}

/** Written so that motion that is not a number counts as motion, and then leads nowhere. */
bool isMotion(const Motion& motion) {
	return !(std::hypot(motion.x, motion.y) < NOISE_MOTION_MIN);
}

}

void NoiseCarrier::operator()(
	const NoiseField<const float>& from,
	std::span<const float> fresh,
	const NoiseShape& shape,
	const Flow& flow,
	const NoiseField<float>& to
) {
	const auto plane = static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(shape.height);
	const float toCellsX = static_cast<float>(shape.width) / static_cast<float>(flow.width);
	const float toCellsY = static_cast<float>(shape.height) / static_cast<float>(flow.height);

	arrivals_.assign(plane, {-1, 0, 0});
	late_.clear();
	for (int row = 0, cell = 0; row < shape.height; ++row) {
		const auto* motions =
			flow.data.data() + pixelOf(row, shape.height, flow.height) * static_cast<std::size_t>(flow.width);
		for (int column = 0; column < shape.width; ++column, ++cell) {
			const auto index = static_cast<std::size_t>(cell);
			float x = from.offsets[index], y = from.offsets[plane + index];
			if (const Motion& motion = motions[pixelOf(column, shape.width, flow.width)]; isMotion(motion)) {
				x += motion.x * toCellsX;
				y += motion.y * toCellsY;
			}
			settle(cell, column, row, shape, x, y);
		}
	}
	for (const auto& [arrival, cell] : late_)
		fillNeighbour(arrival, cell % shape.width, cell / shape.width, shape);

	for (std::size_t cell = 0; cell < plane; ++cell) {
		const Arrival& arrival = arrivals_[cell];
		const bool came = arrival.from >= 0;
		to.offsets[cell] = arrival.x;
		to.offsets[plane + cell] = arrival.y;
		const auto source = came ? from.samples : fresh;
		const std::size_t taken = came ? static_cast<std::size_t>(arrival.from) : cell;
		for (std::size_t channel = 0; channel < to.samples.size(); channel += plane) {
			to.samples[channel + cell] = source[channel + taken];
		}
	}
}

/** Puts the sample that leaves `cell` for (column + x, row + y) into the cell it comes to lie in. */
void NoiseCarrier::settle(int cell, int column, int row, const NoiseShape& shape, float x, float y) {
	const float toX = static_cast<float>(column) + x, toY = static_cast<float>(row) + y;
	const float homeX = std::round(toX), homeY = std::round(toY);
	const bool isInside = homeX >= 0 && homeX < static_cast<float>(shape.width) && homeY >= 0 &&
		homeY < static_cast<float>(shape.height);
	if (!isInside) return;
	const int home = static_cast<int>(homeY) * shape.width + static_cast<int>(homeX);
	Arrival arrival{cell, toX - homeX, toY - homeY};
	Arrival& settled = arrivals_[static_cast<std::size_t>(home)];
	if (settled.from < 0) {
		settled = arrival;
		return;
	}
	if (arrival.distance() < settled.distance()) std::swap(arrival, settled);
	late_.emplace_back(arrival, home);
}

/** Gives a sample that came too late for its own cell to the nearest empty one beside it, if that is within
 * reach. */
void NoiseCarrier::fillNeighbour(const Arrival& arrival, int column, int row, const NoiseShape& shape) {
	Arrival* nearest = nullptr;
	Arrival moved{-1, NOISE_REACH, 0};
	for (int y = std::max(0, row - 1); y <= std::min(shape.height - 1, row + 1); ++y) {
		for (int x = std::max(0, column - 1); x <= std::min(shape.width - 1, column + 1); ++x) {
			Arrival& cell = arrivals_[static_cast<std::size_t>(y * shape.width + x)];
			const Arrival there{
				arrival.from,
				arrival.x + static_cast<float>(column - x),
				arrival.y + static_cast<float>(row - y)
			};
			if (cell.from < 0 && there.distance() < moved.distance()) {
				nearest = &cell;
				moved = there;
			}
		}
	}
	if (nearest) *nearest = moved;
}

}
