#pragma once

#include <cstddef>

namespace allaprima {

/** [channels, height, width] */
struct LatentShape {
	int channels = 0;
	int width = 0;
	int height = 0;

	std::size_t planeCount() const {
		return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
	}
	std::size_t count() const { return static_cast<std::size_t>(channels) * planeCount(); }
};

}
