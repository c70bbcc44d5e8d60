#pragma once

#include <span>

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
 * Carries noise along a flow of the same size or larger. Gathers the nearest sample, never a mean of several,
 * so that the noise stays white and of unit variance; `fresh` fills what moves in from outside the picture.
 */
void advectNoise(
	std::span<const float> noise,
	std::span<const float> fresh,
	const NoiseShape& shape,
	const Flow& flow,
	std::span<float> target
);

}
