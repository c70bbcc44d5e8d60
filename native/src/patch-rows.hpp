#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "picture.hpp"

namespace allaprima {

/** How a picture is cut for a transformer of Qwen's: `patch` pixels a side, `merge` patches a side make a
 * token. */
struct PatchLayout {
	int width = 0; // of the picture that is cut, a multiple of patch * merge
	int height = 0;
	int patch = 0;
	int merge = 0;
	int frames = 0; // of the video that the picture stands for, all alike

	std::size_t columns() const {
		return 3 * static_cast<std::size_t>(frames) * static_cast<std::size_t>(patch) *
			static_cast<std::size_t>(patch);
	}
	std::size_t rows() const {
		return static_cast<std::size_t>(width / patch) * static_cast<std::size_t>(height / patch);
	}
};

/**
 * The image processing of Qwen3-VL: a picture of any size to `pixel_values`, as dreamlite-stream makes them
 * by Pillow's BILINEAR and transformers' Qwen2VLImageProcessor. Keeps its scratch memory; one thread at a
 * time.
 */
class PatchRows {
public:
	/**
	 * Stretches `rgb` to the layout's size and fills `target` [rows, columns] with (x / 255 - 0.5) / 0.5. The
	 * patches that are merged to one token follow each other, token by token; a column is (channel, frame, y,
	 * x).
	 */
	void operator()(const Picture& rgb, const PatchLayout& layout, std::span<float> target);

private:
	/** The triangle over the source pixels that each target pixel of one axis is a mean of. */
	struct Triangles {
		void lay(int source, int target);

		std::size_t taps = 0; // shares of one target pixel, zeros behind the last
		std::vector<std::size_t> first; // [target], its first source pixel
		std::vector<std::size_t> count; // [target]
		std::vector<std::int32_t> share; // [target, taps], in 2^22ths
	};

	Triangles columns_, rows_;
	std::vector<std::uint8_t> narrow_, small_;
};

}
