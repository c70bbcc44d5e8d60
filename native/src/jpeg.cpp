#include "jpeg.hpp"

#include <stdexcept>
#include <string>

#include <turbojpeg.h>

namespace allaprima {
namespace {

/** Of the markers that jpeg(7) calls segments: those that say how the picture is coded. */
enum Marker : std::uint8_t {
	BASELINE = 0xc0,
	EXTENDED = 0xc1,
	HUFFMAN_TABLES = 0xc4,
	ARITHMETIC_TABLES = 0xcc,
	LAST_FRAME = 0xcf,
	START = 0xd8,
	SCAN = 0xda
};

/**
 * A progressive picture of a few bytes can ask for hundreds of passes over all of it: only what is decoded in
 * one pass is taken. The library would find out no sooner than while it decodes.
 */
bool isSequential(std::span<const std::uint8_t> jpeg) {
	if (jpeg.size() < 2 || jpeg[0] != 0xff || jpeg[1] != START) return false;
	for (std::size_t at = 2; at + 4 <= jpeg.size();) {
		if (jpeg[at] != 0xff) return false;
		const std::uint8_t marker = jpeg[at + 1];
		if (marker == BASELINE || marker == EXTENDED) return true;
		const bool isFrame = marker > EXTENDED && marker <= LAST_FRAME;
		if ((isFrame && marker != HUFFMAN_TABLES) || marker == SCAN) return false;
		at += 2 + (std::size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
	}
	return false;
}

[[noreturn]] void fail(tjhandle handle) {
	throw std::runtime_error(tjGetErrorStr2(handle));
}

void decodeWith(tjhandle handle, std::span<const std::uint8_t> jpeg, const Picture& target) {
	const auto length = static_cast<unsigned long>(jpeg.size());
	int width = 0, height = 0, subsampling = 0, colorspace = 0;
	if (tjDecompressHeader3(handle, jpeg.data(), length, &width, &height, &subsampling, &colorspace) != 0) {
		fail(handle);
	}
	if (width != target.width || height != target.height) {
		const auto text = [](int w, int h) { return std::to_string(w) + "x" + std::to_string(h); };
		throw std::runtime_error(
			"it is " + text(width, height) + ", expected " + text(target.width, target.height)
		);
	}
	if (colorspace != TJCS_YCbCr) throw std::runtime_error("it is not in YCbCr");
	constexpr int flags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS | TJFLAG_FASTDCT | TJFLAG_FASTUPSAMPLE;
	unsigned char* pixels = target.data.data();
	if (tjDecompress2(handle, jpeg.data(), length, pixels, width, 0, height, TJPF_RGB, flags) != 0)
		fail(handle);
}

}

void JpegCodec::Destroy::operator()(void* handle) const {
	tjDestroy(handle);
}

std::span<const std::uint8_t> JpegCodec::encode(const Picture& source, int quality) {
	if (!compressor_) compressor_.reset(tjInitCompress());
	if (!compressor_) throw std::bad_alloc();
	bytes_.resize(tjBufSize(source.width, source.height, TJSAMP_420));
	unsigned char* target = bytes_.data();
	unsigned long length = static_cast<unsigned long>(bytes_.size());
	constexpr int flags = TJFLAG_NOREALLOC | TJFLAG_FASTDCT;
	const int code = tjCompress2(
		compressor_.get(),
		source.data.data(),
		source.width,
		0,
		source.height,
		TJPF_RGB,
		&target,
		&length,
		TJSAMP_420,
		quality,
		flags
	);
	if (code != 0) fail(compressor_.get());
	return {bytes_.data(), length};
}

void JpegCodec::decode(std::span<const std::uint8_t> jpeg, const Picture& target) {
	if (!isSequential(jpeg)) throw std::runtime_error("it is no baseline JPEG");
	if (!decompressor_) decompressor_.reset(tjInitDecompress());
	if (!decompressor_) throw std::bad_alloc();
	try {
		decodeWith(decompressor_.get(), jpeg, target);
	} catch (...) {
		// One that failed once may go on to fail: what it had read of the bad picture is not forgotten.
		decompressor_.reset();
		throw;
	}
}

}
