#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <thread>

#include "frame-ring.h"

namespace allaprima {

/** A ring that is written to, with a thread that sees to its readers. Throws RingError. */
class RingWriter {
public:
	RingWriter(std::uint32_t slotCount, std::uint64_t payloadBytesMax);
	RingWriter(const RingWriter&) = delete;
	RingWriter& operator=(const RingWriter&) = delete;
	/** Tells the readers that there will be no more. */
	~RingWriter();

	void listen(const std::string& path);
	void adopt(int fd);
	std::uint32_t readerCount() const { return frame_ring_writer_reader_count(ring_); }

	/** Copies and publishes a picture, and gives its slot. Of one thread, which never waits. */
	std::uint32_t write(const frame_ring_frame& frame, std::span<const std::uint8_t> data);

private:
	frame_ring_writer* ring_ = nullptr;
	std::thread serving_;
};

}
