#include "fuzz-frame-ring.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "rings.hpp"

using namespace allaprima::testing;

std::vector<std::uint8_t> soundRing() {
	const OwnedSlots ring(FUZZED_SLOTS, FUZZED_PAYLOAD_BYTES);
	const std::vector<std::uint8_t> pixels(FUZZED_PAYLOAD_BYTES);
	const std::array formats{
		FRAME_RING_RGB, FRAME_RING_I420, FRAME_RING_NV12, FRAME_RING_UYVY, FRAME_RING_BGRA
	};
	std::uint64_t serial = 0;
	for (const std::uint32_t format : formats) {
		frame_ring_frame frame = frameOf(serial, format, 37, 21);
		if (serial % 2 == 1) {
			frame.payload_bytes = FUZZED_PAYLOAD_BYTES;
			std::uint32_t offset = 0;
			for (auto& plane : frame.planes) {
				plane.offset_bytes = offset;
				plane.stride_bytes += 27;
				offset += 2000;
			}
		}
		ring.write(++serial, frame, pixels.data());
	}
	std::vector<std::uint8_t> input(4);
	const unsigned char* memory = ring.memory.get();
	input.insert(input.end(), memory, memory + sizeof(frame_ring_header));
	for (std::uint32_t slot = 0; slot < FUZZED_SLOTS; ++slot) {
		const unsigned char* at =
			memory + ring.slots.geometry.header_bytes + slot * ring.slots.geometry.slot_stride_bytes;
		input.insert(input.end(), at, at + sizeof(frame_ring_slot));
	}
	return input;
}

/**
 * The memory of the ring and the caller's are to the byte what they are said to be, so that the address
 * sanitizer sees a step beside them; a frame that is given out must be sound.
 */
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
	static const std::vector<std::uint8_t> sound = soundRing();
	std::vector<std::uint8_t> bytes = sound;
	for (std::size_t i = 0; i < std::min(size, bytes.size()); ++i) bytes[i] ^= data[i];

	const OwnedSlots ring(FUZZED_SLOTS, FUZZED_PAYLOAD_BYTES);
	const std::uint8_t* next = bytes.data();
	const auto overlay = [&](void* place, std::size_t count) {
		std::memcpy(place, next, count);
		next += count;
	};
	std::uint32_t wish = 0;
	overlay(&wish, sizeof wish);
	const std::size_t capacity = wish == 0 ? FUZZED_PAYLOAD_BYTES : wish % (2 * FUZZED_PAYLOAD_BYTES);
	overlay(ring.memory.get(), sizeof(frame_ring_header));
	for (std::uint32_t slot = 0; slot < FUZZED_SLOTS; ++slot)
		overlay(frame_ring_slots_at(&ring.slots, slot), sizeof(frame_ring_slot));

	frame_ring_slots opened{};
	if (frame_ring_slots_open(&opened, ring.memory.get(), ring.bytes) != FRAME_RING_OK) return 0;

	std::vector<std::uint8_t> target(capacity);
	frame_ring_taken taken{};
	const auto check = [&](frame_ring_status status) {
		if (status != FRAME_RING_OK) return;
		if (taken.frame.payload_bytes > capacity) std::abort();
		if (frame_ring_frame_check(&taken.frame, capacity) != FRAME_RING_OK) std::abort();
		if (taken.slot >= opened.geometry.slot_count) std::abort();
	};
	frame_ring_cursor cursor{};
	check(frame_ring_slots_read_newest(&opened, &cursor, target.data(), capacity, &taken));
	cursor = frame_ring_slots_cursor(&opened);
	check(frame_ring_slots_read_newest(&opened, &cursor, target.data(), capacity, &taken));
	for (std::uint32_t slot = 0; slot <= opened.geometry.slot_count; ++slot) {
		// The sequence that lies there, so that the read goes on to the picture.
		std::uint64_t sequence = 0;
		if (slot < opened.geometry.slot_count)
			frame_ring_load(&sequence, &frame_ring_slots_at(&opened, slot)->frame.sequence, sizeof sequence);
		check(frame_ring_slots_read(&opened, slot, sequence, target.data(), capacity, &taken));
	}
	return 0;
}
