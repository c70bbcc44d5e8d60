#pragma once

#include <span>
#include <utility>
#include <vector>

#include "picture.hpp"

namespace allaprima {

/** [channels, height, width] */
struct NoiseShape {
	int channels = 0;
	int width = 0;
	int height = 0;

	std::size_t count() const {
		return static_cast<std::size_t>(channels) * static_cast<std::size_t>(width) *
			static_cast<std::size_t>(height);
	}
};

/** Motion shorter than this, in pixels of the picture, is taken for the flow's own unrest. */
constexpr float NOISE_MOTION_MIN = 0.25F;

/**
 * How far from its centre, in cells, a sample may fill a neighbouring cell that got none. Ten frames of a 2 %
 * zoom keep 67 % of what they could at this reach, 43 % at 0.8, for each sample lost is a stroke that jumps.
 */
constexpr float NOISE_REACH = 1.5F;

/** Samples on a grid, each somewhere near the centre of its cell. */
template <typename Number>
struct NoiseField {
	/** [channels, height, width] */
	std::span<Number> samples;
	/** [2, height, width]: how far each sample is from the centre of its cell, in cells, x then y. */
	std::span<Number> offsets;
};

/**
 * Carries noise along a flow of the same size or larger, sample by sample: each moves with the picture under
 * it, into the cell where it comes to lie, and remembers how far from the centre that is, so that motion of
 * less than a cell a frame adds up. Where two meet, the one nearer to the centre stays, and the other fills a
 * neighbouring cell that got none. `fresh` fills the rest: what moves in from outside the picture, and what
 * opens where the flow spreads. No sample is ever averaged or doubled, so the noise stays white and of unit
 * variance.
 */
class NoiseCarrier {
public:
	void operator()(
		const NoiseField<const float>& from,
		std::span<const float> fresh,
		const NoiseShape& shape,
		const Flow& flow,
		const NoiseField<float>& to
	);

private:
	/** A sample on its way: the cell that it left, and how far it is from the centre of the cell it goes to.
	 */
	struct Arrival {
		int from;
		float x, y;

		float distance() const { return x * x + y * y; }
	};

	void settle(int cell, int column, int row, const NoiseShape& shape, float x, float y);
	void fillNeighbour(const Arrival& arrival, int column, int row, const NoiseShape& shape);

	/** By the cell that they go to; `from` is below zero where none came. */
	std::vector<Arrival> arrivals_;
	/** Those that found another in their cell, with the cell. */
	std::vector<std::pair<Arrival, int>> late_;
};

}
