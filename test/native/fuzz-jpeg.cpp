#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "jpeg.hpp"

// What another machine may send as a picture: whatever it is, it is refused or fills just the picture that it
// is for.

using namespace allaprima;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
	static JpegCodec codec;
	PictureLayout layout;
	layout.width = 32, layout.height = 16;
	std::vector<std::uint8_t> pixels(pictureByteLength(layout));
	try {
		codec.decode({data, size}, {layout, pixels});
	} catch (const std::runtime_error&) {
	}
	return 0;
}
