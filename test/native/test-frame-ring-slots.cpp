#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <numeric>

#include "rings.hpp"

using namespace allaprima::testing;

namespace {

constexpr std::uint32_t FORMATS[] = {
	FRAME_RING_RGB, FRAME_RING_BGRA, FRAME_RING_RGBA, FRAME_RING_NV12, FRAME_RING_I420, FRAME_RING_UYVY
};

std::vector<std::uint8_t> bytesOf(std::size_t count) {
	std::vector<std::uint8_t> bytes(count);
	std::iota(bytes.begin(), bytes.end(), std::uint8_t{1});
	return bytes;
}

frame_ring_status readNewest(
	const OwnedSlots& ring,
	frame_ring_cursor& cursor,
	std::vector<std::uint8_t>& target,
	frame_ring_taken& taken
) {
	return frame_ring_slots_read_newest(&ring.slots, &cursor, target.data(), target.size(), &taken);
}

}

TEST_CASE("every format crosses with all that is known about it, odd sizes too") {
	const OwnedSlots ring(4, 10'000);
	std::vector<std::uint8_t> target(10'000);
	frame_ring_cursor cursor{};
	frame_ring_taken taken{};
	std::uint64_t serial = 0;
	for (const std::uint32_t format : FORMATS) {
		for (const auto& [width, height] : {std::pair(32U, 18U), std::pair(33U, 17U), std::pair(1U, 1U)}) {
			frame_ring_frame frame = frameOf(100 + serial, format, width, height);
			frame.flags = FRAME_RING_DISCONTINUITY;
			frame.timestamp_us = -5;
			const auto pixels = bytesOf(static_cast<std::size_t>(frame.payload_bytes));
			ring.write(++serial, frame, pixels.data());
			std::ranges::fill(target, std::uint8_t{0});
			REQUIRE(readNewest(ring, cursor, target, taken) == FRAME_RING_OK);
			CHECK(std::memcmp(&taken.frame, &frame, sizeof frame) == 0);
			CHECK(taken.slot == serial % 4);
			CHECK(taken.missed == 0);
			CHECK(std::equal(pixels.begin(), pixels.end(), target.begin()));
			CHECK(
				std::count(target.begin() + std::ssize(pixels), target.end(), 0) ==
				10'000 - std::ssize(pixels)
			);
		}
	}
}

TEST_CASE("rows and planes that lie apart come out tight") {
	const OwnedSlots ring(4, 20'000);
	const auto pixels = bytesOf(20'000);
	std::vector<std::uint8_t> target(20'000);
	frame_ring_cursor cursor{};
	frame_ring_taken taken{};
	std::uint64_t serial = 0;
	for (const std::uint32_t format : FORMATS) {
		const frame_ring_frame tight = frameOf(serial, format, 33, 17);
		frame_ring_frame loose = tight;
		loose.payload_bytes = pixels.size();
		std::vector<std::uint8_t> expected;
		for (std::uint32_t plane = 0; plane < 3 && tight.planes[plane].stride_bytes > 0; ++plane) {
			loose.planes[plane] = {
				.offset_bytes = plane * 6001 + 3, .stride_bytes = tight.planes[plane].stride_bytes + 13
			};
			const std::uint32_t rows = plane > 0 ? (loose.height + 1) / 2 : loose.height;
			for (std::uint32_t row = 0; row < rows; ++row) {
				const auto from = pixels.begin() + loose.planes[plane].offset_bytes +
					row * loose.planes[plane].stride_bytes;
				expected.insert(expected.end(), from, from + tight.planes[plane].stride_bytes);
			}
		}
		ring.write(++serial, loose, pixels.data());
		REQUIRE(readNewest(ring, cursor, target, taken) == FRAME_RING_OK);
		CHECK(std::memcmp(&taken.frame, &tight, sizeof tight) == 0);
		REQUIRE(expected.size() == tight.payload_bytes);
		CHECK(std::equal(expected.begin(), expected.end(), target.begin()));
	}
}

TEST_CASE("newest wins, what was missed is counted, and nothing is given twice") {
	const OwnedSlots ring(4, 4096);
	const auto pixels = bytesOf(4096);
	std::vector<std::uint8_t> target(4096);
	frame_ring_cursor cursor{};
	frame_ring_taken taken{};
	CHECK(readNewest(ring, cursor, target, taken) == FRAME_RING_NO_FRAME);
	for (std::uint64_t serial = 1; serial <= 9; ++serial)
		ring.write(serial, frameOf(serial + 50, FRAME_RING_RGB, 8, 8), pixels.data());
	REQUIRE(readNewest(ring, cursor, target, taken) == FRAME_RING_OK);
	CHECK(taken.frame.sequence == 59);
	CHECK(taken.missed == 8);
	CHECK(readNewest(ring, cursor, target, taken) == FRAME_RING_NO_FRAME);

	SUBCASE("by its slot, a picture is found until it is written over") {
		const auto read = [&](std::uint32_t slot, std::uint64_t sequence) {
			return frame_ring_slots_read(&ring.slots, slot, sequence, target.data(), target.size(), &taken);
		};
		CHECK(read(6 % 4, 56) == FRAME_RING_OK);
		CHECK(taken.slot == 6 % 4);
		CHECK(read(9 % 4, 55) == FRAME_RING_NO_FRAME); // 59 lies there
		CHECK(read(4, 56) == FRAME_RING_BAD_ARGUMENT);
		frame_ring_slots_begin(&ring.slots, 10);
		CHECK(read(6 % 4, 56) == FRAME_RING_NO_FRAME);
	}
	SUBCASE("a new reader gets the newest picture and has missed nothing") {
		cursor = frame_ring_slots_cursor(&ring.slots);
		REQUIRE(readNewest(ring, cursor, target, taken) == FRAME_RING_OK);
		CHECK(taken.missed == 0);
	}
	SUBCASE("the newest picture stays whole while the next ones are begun") {
		for (std::uint64_t serial = 10; serial < 13; ++serial) {
			frame_ring_slots_begin(&ring.slots, serial);
			cursor = frame_ring_slots_cursor(&ring.slots);
			REQUIRE(readNewest(ring, cursor, target, taken) == FRAME_RING_OK);
			CHECK(taken.frame.sequence == 59);
		}
	}
	SUBCASE("memory that is too small is said to be, and the picture stays to be read") {
		ring.write(10, frameOf(60, FRAME_RING_RGB, 8, 8), pixels.data());
		std::vector<std::uint8_t> small(191);
		CHECK(readNewest(ring, cursor, small, taken) == FRAME_RING_TOO_SMALL);
		CHECK(taken.frame.payload_bytes == 192);
		CHECK(readNewest(ring, cursor, target, taken) == FRAME_RING_OK);
	}
}

TEST_CASE("a description that contradicts itself is refused by the writer and is no picture to a reader") {
	using Change = std::function<void(frame_ring_frame&)>;
	const std::pair<const char*, Change> changes[] = {
		{"format", [](auto& frame) { frame.format = FRAME_RING_FOURCC('Y', 'V', '1', '2'); }},
		{"no width", [](auto& frame) { frame.width = 0; }},
		{"no height", [](auto& frame) { frame.height = 0; }},
		{"a width too large", [](auto& frame) { frame.width = 16'385; }},
		{"a height that wraps", [](auto& frame) { frame.height = 0x8000'0001; }},
		{"matrix", [](auto& frame) { frame.matrix = 0; }},
		{"range", [](auto& frame) { frame.range = 3; }},
		{"sequence", [](auto& frame) { frame.sequence = std::uint64_t{1} << 53; }},
		{"captured", [](auto& frame) { frame.captured_us = std::int64_t{1} << 53; }},
		{"timestamp", [](auto& frame) { frame.timestamp_us = std::numeric_limits<std::int64_t>::min(); }},
		{"duration", [](auto& frame) { frame.duration_us = std::numeric_limits<std::int64_t>::max(); }},
		{"payload over the slot", [](auto& frame) { frame.payload_bytes = 4097; }},
		{"payload under the picture", [](auto& frame) { frame.payload_bytes -= 1; }},
		{"stride under the row", [](auto& frame) { frame.planes[0].stride_bytes -= 1; }},
		{"stride past the slot", [](auto& frame) { frame.planes[1].stride_bytes = 0xFFFF'FFFF; }},
		{"offset past the slot", [](auto& frame) { frame.planes[2].offset_bytes = 4096; }},
		{"offset that wraps", [](auto& frame) { frame.planes[2].offset_bytes = 0xFFFF'FFFF; }},
		{"a plane that is missing", [](auto& frame) { frame.planes[1] = {}; }},
	};
	const OwnedSlots ring(4, 4096);
	const auto pixels = bytesOf(4096);
	std::vector<std::uint8_t> target(4096);
	frame_ring_cursor cursor{};
	frame_ring_taken taken{};
	std::uint64_t serial = 0;
	for (const auto& [name, change] : changes) {
		CAPTURE(name);
		frame_ring_frame frame = frameOf(serial, FRAME_RING_I420, 32, 18);
		REQUIRE(frame_ring_frame_check(&frame, 4096) == FRAME_RING_OK);
		change(frame);
		CHECK(frame_ring_frame_check(&frame, 4096) == FRAME_RING_BAD_FRAME);
		++serial;
		frame_ring_slots_begin(&ring.slots, serial);
		frame_ring_slots_put(&ring.slots, serial, 0, pixels.data(), 32);
		frame_ring_slots_commit(&ring.slots, serial, &frame);
		CHECK(readNewest(ring, cursor, target, taken) == FRAME_RING_NO_FRAME);
		CHECK(cursor.seen == serial); // and is not looked at again
	}
	frame_ring_frame frame = frameOf(1, FRAME_RING_FOURCC('?', '?', '?', '?'), 2, 2);
	CHECK(frame_ring_frame_pack(&frame) == FRAME_RING_BAD_FRAME);
	for (const auto& [width, height] :
		 {std::pair(FRAME_RING_SIDE_MAX + 1, 1U), std::pair(1U, FRAME_RING_SIDE_MAX + 1)}) {
		frame_ring_frame wide = frameOf(1, FRAME_RING_RGB, width, height);
		CHECK(frame_ring_frame_pack(&wide) == FRAME_RING_BAD_FRAME);
	}
}

TEST_CASE("memory that has no room for a header is not looked at") {
	const std::vector<unsigned char> little(16);
	frame_ring_slots opened{};
	CHECK(
		frame_ring_slots_open(&opened, const_cast<unsigned char*>(little.data()), little.size()) ==
		FRAME_RING_BAD_HEADER
	);
}

TEST_CASE("a geometry that does not fit into its memory is refused") {
	using Change = std::function<void(frame_ring_geometry&)>;
	const std::pair<const char*, Change> changes[] = {
		{"magic", [](auto& geometry) { geometry.magic ^= 1; }},
		{"header too short", [](auto& geometry) { geometry.header_bytes = 128; }},
		{"header too long", [](auto& geometry) { geometry.header_bytes = 0xFFFF'FFC0; }},
		{"header not aligned", [](auto& geometry) { geometry.header_bytes -= 8; }},
		{"three slots", [](auto& geometry) { geometry.slot_count = 3; }},
		{"no slots", [](auto& geometry) { geometry.slot_count = 0; }},
		{"a slot more", [](auto& geometry) { geometry.slot_count = 5; }},
		{"slots without end", [](auto& geometry) { geometry.slot_count = 0xFFFF'FFFF; }},
		{"slot header too short", [](auto& geometry) { geometry.slot_header_bytes = 64; }},
		{"slot header past the slot", [](auto& geometry) { geometry.slot_header_bytes = 8192; }},
		{"no stride", [](auto& geometry) { geometry.slot_stride_bytes = 0; }},
		{"stride that wraps", [](auto& geometry) { geometry.slot_stride_bytes = std::uint64_t{1} << 62; }},
		{"stride past the memory", [](auto& geometry) { geometry.slot_stride_bytes += 64; }},
		{"no payload", [](auto& geometry) { geometry.payload_bytes_max = 0; }},
		{"payload past the slot", [](auto& geometry) { geometry.payload_bytes_max = 9000; }},
		{"payload that wraps", [](auto& geometry) { geometry.payload_bytes_max = ~std::uint64_t{191}; }},
	};
	const OwnedSlots ring(4, 4096);
	const auto open = [&](std::uint64_t bytes) {
		frame_ring_slots opened{};
		return frame_ring_slots_open(&opened, ring.memory.get(), bytes);
	};
	CHECK(open(ring.bytes) == FRAME_RING_OK);
	CHECK(open(ring.bytes - 1) == FRAME_RING_BAD_HEADER);
	CHECK(open(0) == FRAME_RING_BAD_HEADER);
	const frame_ring_geometry sound = ring.header().geometry;
	for (const auto& [name, change] : changes) {
		CAPTURE(name);
		ring.header().geometry = sound;
		change(ring.header().geometry);
		CHECK(open(ring.bytes) == FRAME_RING_BAD_HEADER);
	}
	ring.header().geometry = sound;
	ring.header().geometry.abi_version = 2;
	CHECK(open(ring.bytes) == FRAME_RING_OTHER_VERSION);
}

TEST_CASE("a geometry that changes after it was checked changes nothing") {
	const OwnedSlots ring(4, 4096);
	const auto pixels = bytesOf(4096);
	std::vector<std::uint8_t> target(4096);
	frame_ring_slots opened{};
	REQUIRE(frame_ring_slots_open(&opened, ring.memory.get(), ring.bytes) == FRAME_RING_OK);
	ring.write(1, frameOf(1, FRAME_RING_RGB, 8, 8), pixels.data());
	std::memset(&ring.header().geometry, 0xFF, sizeof ring.header().geometry);
	frame_ring_cursor cursor{};
	frame_ring_taken taken{};
	CHECK(
		frame_ring_slots_read_newest(&opened, &cursor, target.data(), target.size(), &taken) == FRAME_RING_OK
	);
}

TEST_CASE("serials and locks of nonsense are no picture") {
	const OwnedSlots ring(4, 4096);
	const auto pixels = bytesOf(4096);
	std::vector<std::uint8_t> target(4096);
	frame_ring_cursor cursor{};
	frame_ring_taken taken{};
	ring.write(1, frameOf(1, FRAME_RING_RGB, 8, 8), pixels.data());
	REQUIRE(readNewest(ring, cursor, target, taken) == FRAME_RING_OK);
	for (const std::uint64_t latest :
		 {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{5}, ~std::uint64_t{0}}) {
		ring.header().latest = latest;
		CHECK(readNewest(ring, cursor, target, taken) == FRAME_RING_NO_FRAME);
	}
	// The writer's own count is smaller than the nonsense, and is followed all the same.
	for (const std::uint64_t serial : {std::uint64_t{2}, std::uint64_t{3}}) {
		ring.write(serial, frameOf(serial, FRAME_RING_RGB, 8, 8), pixels.data());
		REQUIRE(readNewest(ring, cursor, target, taken) == FRAME_RING_OK);
		CHECK(taken.frame.sequence == serial);
		CHECK(taken.missed == 0);
		CHECK(readNewest(ring, cursor, target, taken) == FRAME_RING_NO_FRAME);
	}
	frame_ring_slots_at(&ring.slots, 1)->lock = 1;
	CHECK(
		frame_ring_slots_read(&ring.slots, 1, 1, target.data(), target.size(), &taken) == FRAME_RING_NO_FRAME
	);
}

TEST_CASE("a ring is as large as it may be") {
	CHECK(frame_ring_slots_bytes(3, 4096) == 0);
	CHECK(frame_ring_slots_bytes(65, 4096) == 0);
	CHECK(frame_ring_slots_bytes(4, 0) == 0);
	CHECK(frame_ring_slots_bytes(4, FRAME_RING_PAYLOAD_BYTES_MAX + 1) == 0);
	CHECK(frame_ring_slots_bytes(64, FRAME_RING_PAYLOAD_BYTES_MAX) > 64 * FRAME_RING_PAYLOAD_BYTES_MAX);
	CHECK(frame_ring_slots_bytes(4, 3'686'400) < 4 * (3'686'400 + 4097) + 4097);
}
