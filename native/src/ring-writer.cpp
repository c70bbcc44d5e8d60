#include "ring-writer.hpp"

#include "ring-status.hpp"

namespace allaprima {

RingWriter::RingWriter(std::uint32_t slotCount, std::uint64_t payloadBytesMax) {
	checkRing(frame_ring_writer_create(slotCount, payloadBytesMax, &ring_));
	try {
		serving_ = std::thread([ring = ring_] { frame_ring_writer_serve(ring, -1); });
	} catch (...) {
		frame_ring_writer_close(ring_);
		throw;
	}
}

RingWriter::~RingWriter() {
	frame_ring_writer_interrupt(ring_);
	serving_.join();
	frame_ring_writer_close(ring_);
}

void RingWriter::listen(const std::string& path) {
	checkRing(frame_ring_writer_listen(ring_, path.c_str()));
}

void RingWriter::adopt(int fd) {
	checkRing(frame_ring_writer_adopt(ring_, fd));
}

std::uint32_t RingWriter::write(const frame_ring_frame& frame, std::span<const std::uint8_t> data) {
	if (frame.payload_bytes != data.size())
		throw RingError(FRAME_RING_BAD_FRAME, "The picture has other bytes.");
	std::uint32_t slot = 0;
	checkRing(frame_ring_writer_write(ring_, &frame, data.data(), &slot));
	return slot;
}

}
