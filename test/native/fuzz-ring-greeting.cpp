#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <span>
#include <unistd.h>
#include <vector>

#include "frame-ring-platform.h"
#include "frame-ring-slots.h"
#include "rings.hpp"

// What the other side of a ring says, from its hello on: messages of any length, memory with them or none,
// sealed or not, and whatever lies in that memory. The first byte says which side is asked, and how; then
// come a length and so many bytes for each message, and behind a length of 0 what is laid over the memory of
// a sound ring by exclusive or.

using namespace allaprima::testing;

namespace {

constexpr std::uint32_t SLOTS = 4;
constexpr std::uint64_t PAYLOAD_BYTES = 6000;
constexpr std::uint64_t GENERATION = 7;

enum How : std::uint8_t {
	READER = 1,
	WITH_MEMORY = 2,
	WITH_ANOTHER_HANDLE = 4,
	TWO_CONNECTIONS = 8,
	HANGS_UP = 16
};

void require(bool holds) {
	if (!holds) std::abort();
}

/** As many before and after, where none is lost. */
int openDescriptors() {
	int count = 0;
	for (int descriptor = 0; descriptor < 64; ++descriptor) count += fcntl(descriptor, F_GETFD) >= 0;
	return count;
}

class Input {
public:
	explicit Input(std::span<const std::uint8_t> bytes) : left_(bytes) {}

	std::uint8_t byte() { return left_.empty() ? 0 : take(1)[0]; }
	/** Empty at the end of the messages. */
	std::span<const std::uint8_t> message() { return take(byte()); }
	std::span<const std::uint8_t> rest() { return take(left_.size()); }

private:
	std::span<const std::uint8_t> take(std::size_t count) {
		const auto taken = left_.first(std::min(count, left_.size()));
		left_ = left_.subspan(taken.size());
		return taken;
	}

	std::span<const std::uint8_t> left_;
};

/** A handle that is no memory of a ring: a pipe, or memory that can be made smaller. */
frame_ring_memory anotherHandle() {
	std::array<int, 2> ends{};
	require(pipe(ends.data()) == 0);
	close(ends[1]);
	return {nullptr, 0, ends[0]};
}

void askWriter(std::uint8_t how, Input input) {
	frame_ring_writer* writer = nullptr;
	require(frame_ring_writer_create(SLOTS, PAYLOAD_BYTES, &writer) == FRAME_RING_OK);
	const frame_ring_frame frame = frameOf(1, FRAME_RING_RGB, 37, 21);
	const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(frame.payload_bytes));
	std::array<std::array<frame_ring_handle, 2>, 2> pairs{};
	const std::size_t count = how & TWO_CONNECTIONS ? 2 : 1;
	for (auto& ends : std::span(pairs).first(count)) {
		require(frame_ring_pair(ends.data()) == FRAME_RING_OK);
		require(frame_ring_writer_adopt(writer, ends[0]) == FRAME_RING_OK);
	}
	for (std::size_t i = 0;; ++i) {
		const auto message = input.message();
		if (message.empty()) break;
		frame_ring_memory other{nullptr, 0, FRAME_RING_NO_HANDLE};
		if (how & WITH_ANOTHER_HANDLE) other = anotherHandle();
		const frame_ring_handle channel = pairs[i % count][1];
		(void)frame_ring_send(channel, message.data(), message.size(), other.handle >= 0 ? &other : nullptr);
		if (other.handle >= 0) close(static_cast<int>(other.handle));
		frame_ring_writer_serve(writer, 0);
		require(frame_ring_writer_write(writer, &frame, pixels.data(), nullptr) == FRAME_RING_OK);
	}
	require(frame_ring_writer_reader_count(writer) <= count);
	for (const auto& ends : std::span(pairs).first(count)) frame_ring_channel_close(ends[1]);
	for (int i = 0; i < 3; ++i) frame_ring_writer_serve(writer, 0);
	require(frame_ring_writer_reader_count(writer) == 0);
	frame_ring_writer_close(writer);
}

/** A sound ring with a picture in it, and `bytes` laid over its header and its slots. */
frame_ring_memory ringWith(std::span<const std::uint8_t> bytes) {
	frame_ring_memory memory{};
	require(frame_ring_memory_create(frame_ring_slots_bytes(SLOTS, PAYLOAD_BYTES), &memory) == FRAME_RING_OK);
	frame_ring_slots slots{};
	frame_ring_slots_format(&slots, memory.address, SLOTS, PAYLOAD_BYTES, GENERATION);
	const frame_ring_frame frame = frameOf(1, FRAME_RING_I420, 37, 21);
	const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(frame.payload_bytes));
	frame_ring_slots_begin(&slots, 1);
	frame_ring_slots_put(&slots, 1, 0, pixels.data(), pixels.size());
	frame_ring_slots_commit(&slots, 1, &frame);
	auto* header = static_cast<std::uint8_t*>(memory.address);
	auto* slot = reinterpret_cast<std::uint8_t*>(frame_ring_slots_at(&slots, 1));
	for (std::size_t i = 0; i < bytes.size(); ++i) {
		if (i < sizeof(frame_ring_header))
			header[i] ^= bytes[i];
		else if (i < sizeof(frame_ring_header) + sizeof(frame_ring_slot))
			slot[i - sizeof(frame_ring_header)] ^= bytes[i];
	}
	return memory;
}

void askReader(std::uint8_t how, Input input) {
	std::array<frame_ring_handle, 2> ends{};
	require(frame_ring_pair(ends.data()) == FRAME_RING_OK);
	frame_ring_reader* reader = nullptr;
	require(frame_ring_reader_adopt(ends[0], &reader) == FRAME_RING_OK);
	std::vector<std::span<const std::uint8_t>> messages;
	for (auto message = input.message(); !message.empty(); message = input.message())
		messages.push_back(message);

	frame_ring_memory memory{nullptr, 0, FRAME_RING_NO_HANDLE};
	if (how & WITH_MEMORY)
		memory = ringWith(input.rest());
	else if (how & WITH_ANOTHER_HANDLE)
		memory = anotherHandle();
	for (std::size_t i = 0; i < messages.size(); ++i)
		(void)frame_ring_send(
			ends[1], messages[i].data(), messages[i].size(), i == 0 && memory.handle >= 0 ? &memory : nullptr
		);
	if (how & HANGS_UP) frame_ring_channel_close(ends[1]);

	if (frame_ring_reader_open(reader, 0) == FRAME_RING_OK) {
		(void)frame_ring_reader_wait(reader, 0);
		std::vector<std::uint8_t> target(PAYLOAD_BYTES);
		frame_ring_taken taken{};
		for (int i = 0; i < 2; ++i) {
			if (frame_ring_read_newest(reader, target.data(), target.size(), &taken) != FRAME_RING_OK)
				continue;
			require(frame_ring_frame_check(&taken.frame, target.size()) == FRAME_RING_OK);
			require(taken.slot < frame_ring_reader_slot_count(reader));
		}
		(void)frame_ring_read_slot(reader, 1, 1, target.data(), target.size(), &taken);
	}
	frame_ring_reader_close(reader);
	if (!(how & HANGS_UP)) frame_ring_channel_close(ends[1]);
	if (memory.address)
		frame_ring_memory_release(&memory);
	else if (memory.handle >= 0)
		close(static_cast<int>(memory.handle));
}

}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
	const int before = openDescriptors();
	Input input({data, size});
	const std::uint8_t how = input.byte();
	if (how & READER)
		askReader(how, input);
	else
		askWriter(how, input);
	require(openDescriptors() == before);
	return 0;
}
