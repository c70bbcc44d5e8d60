#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "picture.hpp"

namespace allaprima {

/** Pictures as JPEG, by libjpeg-turbo: baseline, 4:2:0 where we write it. One thread at a time. */
class JpegCodec {
public:
	/** An RGB picture; `quality` is 1 to 100. The bytes are good until the next call. */
	std::span<const std::uint8_t> encode(const Picture& source, int quality);

	/**
	 * Fills an RGB picture from whatever bytes came. Throws std::runtime_error where they are no whole
	 * baseline JPEG in colour of just this size; `target` is undefined then.
	 */
	void decode(std::span<const std::uint8_t> jpeg, const Picture& target);

private:
	struct Destroy {
		void operator()(void* handle) const;
	};
	using Handle = std::unique_ptr<void, Destroy>;

	Handle compressor_;
	Handle decompressor_;
	std::vector<std::uint8_t> bytes_;
};

}
