#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "ring-reader.hpp"
#include "ring-status.hpp"
#include "ring-writer.hpp"
#include "rings.hpp"

using namespace allaprima;
using namespace allaprima::testing;

// The addon's threads, without Node.

namespace {

/** A reader whose outcomes are waited for, as JavaScript does with promises. */
class Asking {
public:
	explicit Asking(RingWriter& writer) {
		frame_ring_handle ends[2];
		REQUIRE(frame_ring_pair(ends) == FRAME_RING_OK);
		writer.adopt(static_cast<int>(ends[0]));
		reader.emplace(RingReader::adopt(static_cast<int>(ends[1])), [this] {
			++outcomes_;
			outcomes_.notify_one();
		});
		reader->open(30'000);
		REQUIRE(outcome().status == FRAME_RING_OK);
	}

	RingReader::Outcome next() {
		ask();
		return outcome();
	}

	void ask() { reader->next(bytes()); }

	RingReader::Outcome outcome() {
		outcomes_.wait(taken_);
		++taken_;
		return reader->takeOutcome().value();
	}

	std::span<std::uint8_t> bytes() {
		return {reinterpret_cast<std::uint8_t*>(picture.words.data()), MarkedPicture::BYTES};
	}

	MarkedPicture picture;
	std::optional<RingReader> reader;

private:
	std::atomic<int> outcomes_ = 0;
	int taken_ = 0;
};

std::uint32_t write(RingWriter& writer, MarkedPicture& picture, std::uint64_t sequence) {
	const frame_ring_frame frame = picture.mark(sequence);
	return writer.write(
		frame, {reinterpret_cast<const std::uint8_t*>(picture.words.data()), MarkedPicture::BYTES}
	);
}

}

TEST_CASE("readers on threads of their own take whole pictures from a writer that never waits") {
	RingWriter writer(4, MarkedPicture::BYTES);
	std::atomic<bool> stop = false;
	std::vector<std::thread> threads;
	for (int i = 0; i < 3; ++i) {
		threads.emplace_back([&] {
			Asking asking(writer);
			std::uint64_t last = 0;
			for (int read = 0; read < 300; ++read) {
				const auto outcome = asking.next();
				REQUIRE(outcome.status == FRAME_RING_OK);
				REQUIRE(outcome.taken.frame.sequence > last);
				last = outcome.taken.frame.sequence;
				REQUIRE(asking.picture.isWhole(last));
				// While the thread sleeps, the one that owns the reader may read by slot.
				frame_ring_taken taken{};
				const auto status = asking.reader->read(outcome.taken.slot, last, asking.bytes(), taken);
				if (status == FRAME_RING_OK) REQUIRE(asking.picture.isWhole(last));
			}
		});
	}
	std::thread writing([&] {
		MarkedPicture picture;
		for (std::uint64_t sequence = 1; !stop; ++sequence) write(writer, picture, sequence);
	});
	for (std::thread& thread : threads) thread.join();
	stop = true;
	writing.join();
}

TEST_CASE("a reader is stopped in the middle of a wait or a copy, and its target is left alone from there") {
	RingWriter writer(4, MarkedPicture::BYTES);
	MarkedPicture picture;
	for (std::uint64_t round = 1; round <= 100; ++round) {
		Asking asking(writer);
		std::thread writing([&] { write(writer, picture, round); });
		asking.ask();
		if (round % 2 == 0) std::this_thread::yield();
		asking.reader->stop();
		std::ranges::fill(asking.picture.words, 0); // a data race if anybody were at it
		const auto outcome = asking.reader->takeOutcome();
		if (outcome) CHECK((outcome->status == FRAME_RING_OK || outcome->status == FRAME_RING_INTERRUPTED));
		asking.reader->stop();
		writing.join();
	}
}

TEST_CASE("a writer that ends tells its readers, and refuses what it cannot do") {
	auto writer = std::make_unique<RingWriter>(4, MarkedPicture::BYTES);
	Asking asking(*writer);
	MarkedPicture picture;
	CHECK(asking.reader->ring() != nullptr);
	CHECK(write(*writer, picture, 1) == 1);
	CHECK(asking.next().status == FRAME_RING_OK);
	const frame_ring_frame frame = picture.mark(2);
	CHECK_THROWS_AS(writer->write(frame, {}), RingError);
	CHECK_THROWS_AS(writer->adopt(-1), RingError);
	CHECK_THROWS_AS(writer->listen(""), RingError);
	CHECK_THROWS_AS(RingWriter(2, 64), RingError);
	CHECK_THROWS_AS(RingReader::adopt(-1), RingError);
	asking.ask();
	writer.reset();
	CHECK(asking.outcome().status == FRAME_RING_ENDED);
}
