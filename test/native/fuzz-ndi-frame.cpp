#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "ndi/frame-reader.hpp"

// What a sender of NDI may say of its pictures: descriptions of 40 bytes, one after the other, each with its
// metadata. The pixels are as many as the description says, as the runtime promises, to the byte.

using namespace allaprima;
using namespace allaprima::ndi;

namespace {

struct Description {
	std::int32_t width, height;
	std::uint32_t fourcc;
	std::int32_t rateNum, rateDen;
	float aspect;
	std::int32_t format, strideBytes;
	std::uint32_t metadataBytes, hasPixels;
};
static_assert(sizeof(Description) == 40);

/** What is read of larger pictures is more of the same. */
constexpr std::int64_t PIXEL_BYTES_MAX = 1 << 20;

/** As many bytes as the runtime has behind `data`; 0: too many to try. */
std::size_t pixelBytes(const Description& said) {
	const std::int64_t width = said.width, height = said.height;
	if (width < 1 || height < 1 || width > 1 << 20 || height > 1 << 20) return 1;
	const bool isPlanar = said.fourcc == abi::NV12 || said.fourcc == abi::I420;
	const bool isUyvy = said.fourcc == abi::UYVY || said.fourcc == abi::UYVA;
	const std::int64_t row = isPlanar ? width : isUyvy ? 4 * ((width + 1) / 2) : 4 * width;
	const std::int64_t stride = said.strideBytes > 0 ? said.strideBytes : row;
	std::int64_t bytes = stride * height;
	if (isPlanar) bytes += 2 * ((stride + 1) / 2) * ((height + 1) / 2);
	if (said.fourcc == abi::UYVA) bytes += (stride / 2) * height;
	return bytes > 0 && bytes <= PIXEL_BYTES_MAX ? static_cast<std::size_t>(bytes) : 0;
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
	if (size < 1) return 0;
	const auto pool = std::make_shared<FramePool>(4, std::size_t{8} << 20);
	FrameReader reader(pool, (data[0] & 1) != 0);
	++data, --size;
	for (std::int64_t arrivedUs = 0; size >= sizeof(Description); arrivedUs += 40'000) {
		Description said;
		std::memcpy(&said, data, sizeof said);
		data += sizeof said, size -= sizeof said;
		// Ends with a zero, as C has it, and is not longer than what was sent.
		const std::size_t noteBytes = std::min<std::size_t>(said.metadataBytes % 256, size);
		std::vector<char> note(data, data + noteBytes);
		note.push_back('\0');
		data += noteBytes, size -= noteBytes;

		const std::size_t bytes = pixelBytes(said);
		if (bytes == 0) continue;
		std::vector<std::uint8_t> pixels(bytes, 128);
		const abi::Video video{
			.width = said.width,
			.height = said.height,
			.fourcc = said.fourcc,
			.rateNum = said.rateNum,
			.rateDen = said.rateDen,
			.aspect = said.aspect,
			.format = said.format,
			.timecode = arrivedUs,
			.data = said.hasPixels % 16 == 15 ? nullptr : pixels.data(),
			.strideBytes = said.strideBytes,
			.metadata = noteBytes == 0 ? nullptr : note.data(),
			.timestamp = arrivedUs,
		};
		const auto outcome = reader.read(video, arrivedUs);
		if (!outcome.frame) continue;
		const Frame& frame = *outcome.frame;
		if (frame.width != said.width || frame.pixels().size() != frame.byteLength()) std::abort();
		if (frame.periodUs() <= 0 || frame.metadata.size() > 255) std::abort();
		// All of them were written: the sanitizer of memory would see it, and the one of addresses the step
		// beside.
		std::uint8_t sum = 0;
		for (const std::uint8_t byte : frame.pixels()) sum = static_cast<std::uint8_t>(sum + byte);
		volatile std::uint8_t seen = sum;
		(void)seen;
	}
	return 0;
}
