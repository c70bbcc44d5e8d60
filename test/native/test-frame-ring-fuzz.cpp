#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <random>
#include <vector>

#include "fuzz-frame-ring.hpp"
#include "rings.hpp"

using namespace allaprima::testing;

// Drives the fuzz target where there is no libFuzzer: the same mutations for the same seed.

namespace {

using Input = std::vector<std::uint8_t>;

class Mutator {
public:
	Input next() {
		Input input = sound_;
		for (std::size_t changes = 1 + below(6); changes > 0; --changes) change(input);
		// The target lays its input over a sound ring by exclusive or.
		for (std::size_t i = 0; i < input.size(); ++i) input[i] ^= sound_[i];
		if (below(50) == 0) input.resize(below(input.size()));
		return input;
	}

private:
	std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }

	/** A bit, a byte, or a number that is special, of 4 or 8 bytes, where one may lie. */
	void change(Input& input) {
		static constexpr std::array<std::uint64_t, 17> SPECIAL{
			0,
			1,
			2,
			3,
			4,
			63,
			64,
			4096,
			6000,
			6001,
			0x7FFF'FFFF,
			0x8000'0000,
			0xFFFF'FFFF,
			0x1'0000'0000,
			0x7FFF'FFFF'FFFF'FFFF,
			0x8000'0000'0000'0000,
			0xFFFF'FFFF'FFFF'FFFF
		};
		static constexpr std::array FORMATS{
			FRAME_RING_RGB, FRAME_RING_BGRA, FRAME_RING_NV12, FRAME_RING_I420, FRAME_RING_UYVY
		};
		// Half of the changes go to the 40 bytes of a picture's description that say what is where.
		const std::size_t slot =
			4 + sizeof(frame_ring_header) + below(FUZZED_SLOTS) * sizeof(frame_ring_slot);
		const std::size_t within = below(2) == 0
			? slot + offsetof(frame_ring_slot, frame) + 32 + 4 * below(14)
			: 4 * below(input.size() / 4);
		std::uint64_t number = SPECIAL[below(SPECIAL.size())];
		std::size_t bytes = 4 + 4 * below(2);
		switch (below(5)) {
		case 0:
			input[within] ^= static_cast<std::uint8_t>(1U << below(8));
			return;
		case 1:
			number = random_();
			break;
		case 2:
			number = below(12'000);
			break;
		case 3:
			number = FORMATS[below(FORMATS.size())];
			bytes = 4;
			break;
		default:
			break;
		}
		std::memcpy(input.data() + within, &number, std::min(bytes, input.size() - within));
	}

	const Input sound_ = soundRing();
	std::mt19937_64 random_{20240229};
};

}

TEST_CASE("whatever lies in a ring, reading it stays inside and gives sound pictures or none") {
	LLVMFuzzerTestOneInput(nullptr, 0);
	const Input sound = soundRing(); // which wipes the ring out, byte after byte
	for (std::size_t length = 0; length < sound.size(); length += 3)
		LLVMFuzzerTestOneInput(sound.data(), length);

	Mutator mutator;
	std::size_t count = 0;
	const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
	while (std::chrono::steady_clock::now() < end) {
		for (int i = 0; i < 100; ++i, ++count) {
			const Input input = mutator.next();
			LLVMFuzzerTestOneInput(input.data(), input.size());
		}
	}
	CHECK(count > 100);
	MESSAGE(count << " inputs");
}
