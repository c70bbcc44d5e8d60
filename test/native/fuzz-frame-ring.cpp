#include "fuzz-frame-ring.hpp"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "rings.hpp"

using namespace allaprima::testing;

/**
 * Lays the bytes over everything in a ring that describes something, and reads it by all ways. The memory of
 * the ring and the caller's are to the byte what they are said to be, so that the address sanitizer sees a
 * step beside them; a frame that is given out must be sound.
 */
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
	const OwnedSlots ring(FUZZED_SLOTS, FUZZED_PAYLOAD_BYTES);
	const std::uint64_t stride = ring.slots.geometry.slot_stride_bytes;
	unsigned char* slots = ring.memory.get() + ring.slots.geometry.header_bytes;

	std::size_t capacity = FUZZED_PAYLOAD_BYTES;
	const auto overlay = [&](void* place, std::size_t bytes) {
		const std::size_t taken = std::min(bytes, size);
		if (taken > 0) std::memcpy(place, data, taken);
		data += taken;
		size -= taken;
	};
	std::uint32_t wish = 0;
	overlay(&wish, sizeof wish);
	if (wish != 0) capacity = wish % (2 * FUZZED_PAYLOAD_BYTES);
	overlay(ring.memory.get(), sizeof(frame_ring_header));
	for (std::uint32_t slot = 0; slot < FUZZED_SLOTS; ++slot)
		overlay(slots + slot * stride, sizeof(frame_ring_slot));

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
