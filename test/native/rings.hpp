#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "frame-ring-slots.h"
#include "frame-ring.h"

// Rings in memory of their own, and pictures that tell when they are torn.
namespace allaprima::testing {

inline frame_ring_frame
frameOf(std::uint64_t sequence, std::uint32_t format, std::uint32_t width, std::uint32_t height) {
	frame_ring_frame frame{};
	frame.sequence = sequence;
	frame.captured_us = static_cast<std::int64_t>(sequence) * 1000 + 7;
	frame.timestamp_us = static_cast<std::int64_t>(sequence) * 40'000;
	frame.duration_us = 40'000;
	frame.format = format;
	frame.width = width;
	frame.height = height;
	frame.matrix = FRAME_RING_BT709;
	frame.range = FRAME_RING_LIMITED;
	frame_ring_frame_pack(&frame);
	return frame;
}

/** A picture with its number in every word of every line. */
struct MarkedPicture {
	static constexpr std::uint32_t WIDTH = 160, HEIGHT = 90;
	static constexpr std::size_t BYTES = 4 * WIDTH * HEIGHT;

	MarkedPicture() : words(BYTES / sizeof(std::uint64_t)) {}

	frame_ring_frame mark(std::uint64_t sequence) {
		std::ranges::fill(words, sequence * 0x9E3779B97F4A7C15U);
		return frameOf(sequence, FRAME_RING_BGRA, WIDTH, HEIGHT);
	}

	bool isWhole(std::uint64_t sequence) const {
		return std::ranges::all_of(words, [mark = sequence * 0x9E3779B97F4A7C15U](std::uint64_t word) {
			return word == mark;
		});
	}

	std::vector<std::uint64_t> words;
};

struct Free {
	void operator()(void* memory) const { std::free(memory); }
};

/** A ring in this process's own memory, to the byte, so that a step beside it is seen. */
struct OwnedSlots {
	OwnedSlots(std::uint32_t slotCount, std::uint64_t payloadBytesMax)
		: bytes(static_cast<std::size_t>(frame_ring_slots_bytes(slotCount, payloadBytesMax))),
		  memory(static_cast<unsigned char*>(std::aligned_alloc(4096, bytes))) {
		std::memset(memory.get(), 0, bytes);
		frame_ring_slots_format(&slots, memory.get(), slotCount, payloadBytesMax, 1);
	}

	void write(std::uint64_t serial, const frame_ring_frame& frame, const void* data) const {
		frame_ring_slots_begin(&slots, serial);
		frame_ring_slots_put(&slots, serial, 0, data, static_cast<std::size_t>(frame.payload_bytes));
		frame_ring_slots_commit(&slots, serial, &frame);
	}

	frame_ring_header& header() const { return *reinterpret_cast<frame_ring_header*>(memory.get()); }

	std::size_t bytes;
	std::unique_ptr<unsigned char, Free> memory;
	frame_ring_slots slots{};
};

}
