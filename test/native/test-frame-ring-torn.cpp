#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "rings.hpp"

using namespace allaprima::testing;

// One writer at full speed against several readers in one memory, so that the thread sanitizer sees both
// sides.

namespace {

constexpr auto TIME_LIMIT = std::chrono::seconds(30);

struct Counts {
	std::atomic<std::uint64_t> whole = 0, torn = 0;
};

/** Reads by all ways until `enough` says so; a picture counts as torn when its lines do not agree. */
template <typename Read, typename Enough>
void race(int readerCount, Read read, Enough enough, Counts& counts) {
	const OwnedSlots ring(4, MarkedPicture::BYTES);
	std::atomic<bool> stop = false;
	std::thread writer([&] {
		MarkedPicture picture;
		for (std::uint64_t serial = 1; !stop.load(std::memory_order_relaxed); ++serial) {
			const frame_ring_frame frame = picture.mark(serial);
			ring.write(serial, frame, picture.words.data());
		}
	});
	std::vector<std::thread> readers;
	for (int i = 0; i < readerCount; ++i) {
		readers.emplace_back([&] {
			MarkedPicture picture;
			frame_ring_cursor cursor{};
			while (!stop.load(std::memory_order_relaxed)) {
				const std::uint64_t sequence = read(ring.slots, cursor, picture);
				if (sequence == 0) continue;
				++(picture.isWhole(sequence) ? counts.whole : counts.torn);
			}
		});
	}
	const auto end = std::chrono::steady_clock::now() + TIME_LIMIT;
	while (!enough() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
	stop = true;
	writer.join();
	for (std::thread& reader : readers) reader.join();
}

/** In turn the newest, and the one that the writer comes to next. */
std::uint64_t readChecked(const frame_ring_slots& slots, frame_ring_cursor& cursor, MarkedPicture& picture) {
	frame_ring_taken taken{};
	const std::uint64_t latest = frame_ring_slots_latest(&slots);
	const auto status = latest % 2 == 0 || latest < 4
		? frame_ring_slots_read_newest(&slots, &cursor, picture.words.data(), MarkedPicture::BYTES, &taken)
		: frame_ring_slots_read(
			  &slots, (latest - 2) % 4, latest - 2, picture.words.data(), MarkedPicture::BYTES, &taken
		  );
	return status == FRAME_RING_OK ? taken.frame.sequence : 0;
}

/** The same without a look at the lock. */
std::uint64_t readUnchecked(const frame_ring_slots& slots, frame_ring_cursor&, MarkedPicture& picture) {
	const std::uint64_t latest = frame_ring_slots_latest(&slots);
	if (latest < 4) return 0;
	const auto* slot = reinterpret_cast<const unsigned char*>(frame_ring_slots_at(&slots, latest - 2));
	std::uint64_t sequence = 0;
	frame_ring_load(&sequence, slot + offsetof(frame_ring_slot, frame), sizeof sequence);
	frame_ring_load(picture.words.data(), slot + slots.geometry.slot_header_bytes, MarkedPicture::BYTES);
	return sequence;
}

}

TEST_CASE("no reader ever accepts a torn picture") {
	Counts counts;
	race(3, readChecked, [&] { return counts.whole >= 5000; }, counts);
	CHECK(counts.torn == 0);
	CHECK(counts.whole >= 5000);
}

TEST_CASE("a reader that leaves out the seqlock does, so that the test above can fail") {
	Counts counts;
	race(3, readUnchecked, [&] { return counts.torn > 0; }, counts);
	CHECK(counts.torn > 0);
}
