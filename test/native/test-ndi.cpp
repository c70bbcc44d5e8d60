#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "ndi/delay.hpp"
#include "ndi/frame-reader.hpp"
#include "ndi/shown.hpp"

using namespace allaprima;
using namespace allaprima::ndi;

namespace {

/** A frame as the runtime would give it, and the memory that it lies in. */
struct Given {
	Given(
		std::uint32_t fourcc,
		int width,
		int height,
		int stride,
		std::size_t byteCount,
		std::uint8_t luma = 100
	)
		: bytes(byteCount, luma) {
		video = {
			.width = width,
			.height = height,
			.fourcc = fourcc,
			.rateNum = 30000,
			.rateDen = 1001,
			.aspect = 1.5F,
			.format = abi::PROGRESSIVE,
			.timecode = 7,
			.data = bytes.data(),
			.strideBytes = stride,
			.metadata = nullptr,
			.timestamp = 0,
		};
	}

	std::vector<std::uint8_t> bytes;
	abi::Video video;
};

FrameReader readerOf(std::size_t frames = 4, bool keepsAlpha = true) {
	return {std::make_shared<FramePool>(frames, std::size_t{64} << 20), keepsAlpha};
}

std::string refusalOf(const Given& given) {
	auto reader = readerOf();
	const auto outcome = reader.read(given.video, 0);
	CHECK(!outcome.frame);
	return outcome.dropReason;
}

}

TEST_CASE("a frame of nonsense is refused before its pixels are touched, and the reason said") {
	Given given(abi::UYVY, 16, 4, 32, 1);
	given.video.width = 0;
	CHECK(refusalOf(given) == "the size 0x4");
	given.video.width = -5;
	CHECK(refusalOf(given) == "the size -5x4");
	given.video.width = std::numeric_limits<int>::max();
	CHECK(refusalOf(given).starts_with("the size "));
	given.video.width = 16;
	given.video.height = 1 << 20;
	CHECK(refusalOf(given).starts_with("the size "));
	given.video.height = 4;
	given.video.strideBytes = -32;
	CHECK(refusalOf(given) == "rows of -32 bytes for the size 16x4");
	given.video.strideBytes = 31;
	CHECK(refusalOf(given) == "rows of 31 bytes for the size 16x4");
	given.video.strideBytes = std::numeric_limits<int>::max();
	CHECK(refusalOf(given).starts_with("rows of "));
	given.video.strideBytes = 32;
	given.video.data = nullptr;
	CHECK(refusalOf(given) == "no pixels at all");
	given.video.data = given.bytes.data();
	given.video.fourcc = abi::fourcc("P216");
	CHECK(refusalOf(given) == "pixels of the unknown format P216");
	given.video.fourcc = 0x01;
	CHECK(refusalOf(given) == "pixels of the unknown format \\x01\\x00\\x00\\x00");
	given.video.fourcc = abi::UYVY;
	given.video.format = 17;
	CHECK(refusalOf(given) == "the unknown frame format 17");
}

TEST_CASE("a rate or an aspect of nonsense does not reach the output") {
	Given given(abi::UYVY, 16, 4, 32, 128);
	given.video.rateNum = 0;
	given.video.aspect = std::numeric_limits<float>::quiet_NaN();
	auto reader = readerOf();
	const auto frame = reader.read(given.video, 0).frame;
	REQUIRE(frame);
	CHECK(frame->rateNum == 30);
	CHECK(frame->rateDen == 1);
	CHECK(frame->aspect == 0);
	given.video.rateNum = 1'000'000;
	given.video.rateDen = 1;
	CHECK(reader.read(given.video, 0).frame->rateNum == 30);
}

TEST_CASE("rows with room behind them are packed, alpha too, and left out where it is not wanted") {
	// 6 wide: rows of 12 bytes, here 20 apart; alpha 10 apart.
	Given given(abi::UYVA, 6, 2, 20, 2 * 20 + 2 * 10, 1);
	for (std::size_t i = 0; i < 12; ++i) given.bytes[20 + i] = 2;
	for (std::size_t i = 0; i < 6; ++i) given.bytes[40 + 10 + i] = 3;
	auto reader = readerOf();
	const auto frame = reader.read(given.video, 5).frame;
	REQUIRE(frame);
	CHECK(frame->kind == FrameKind::UYVA);
	REQUIRE(frame->pixels().size() == 24 + 12);
	CHECK(frame->pixels()[0] == 1);
	CHECK(frame->pixels()[12] == 2);
	CHECK(frame->pixels()[24] == 1);
	CHECK(frame->pixels()[30] == 3);
	CHECK(frame->arrivedUs == 5);
	CHECK(frame->timecode == 7);
	auto opaque = readerOf(4, false);
	CHECK(opaque.read(given.video, 0).frame->kind == FrameKind::UYVY);
}

TEST_CASE("BGRA becomes UYVA with the same alpha") {
	Given given(abi::BGRA, 4, 2, 16, 32, 255);
	for (std::size_t i = 0; i < 8; ++i) given.bytes[4 * i + 3] = static_cast<std::uint8_t>(10 * i);
	auto reader = readerOf();
	const auto frame = reader.read(given.video, 0).frame;
	REQUIRE(frame);
	CHECK(frame->kind == FrameKind::UYVA);
	CHECK(frame->pixels()[1] == 235);
	for (std::size_t i = 0; i < 8; ++i) CHECK(frame->pixels()[16 + i] == 10 * i);
}

TEST_CASE("alpha of an odd width lies as NDI has it: rows half as long as those of colours") {
	Given given(abi::UYVA, 5, 2, 12, 2 * 12 + 2 * 6, 9);
	given.bytes[24 + 6] = 33; // second row
	auto reader = readerOf();
	const auto frame = reader.read(given.video, 0).frame;
	REQUIRE(frame);
	REQUIRE(frame->pixels().size() == 24 + 12);
	CHECK(frame->pixels()[24 + 6] == 33);
	Given bgra(abi::BGRA, 5, 2, 20, 40, 255);
	bgra.bytes[20 + 3] = 44;
	CHECK(reader.read(bgra.video, 0).frame->pixels()[24 + 6] == 44);
}

TEST_CASE("NV12 and I420 of odd sizes are read within their memory") {
	for (const auto fourcc : {abi::NV12, abi::I420}) {
		// 5x3: luma 6 apart, chroma of 3x2.
		Given given(fourcc, 5, 3, 6, 6 * 3 + 6 * 2, 128);
		auto reader = readerOf();
		const auto frame = reader.read(given.video, 0).frame;
		REQUIRE(frame);
		CHECK(frame->pixels()[1] == 128);
	}
}

TEST_CASE("two fields are woven into one frame, the first on the even lines") {
	Given first(abi::UYVY, 4, 2, 8, 16, 10), second(abi::UYVY, 4, 2, 8, 16, 20);
	first.video.format = abi::FIELD_0;
	first.video.metadata = "<first/>";
	second.video.format = abi::FIELD_1;
	second.video.timecode = 9;
	auto reader = readerOf();
	CHECK(!reader.read(first.video, 1).frame);
	const auto frame = reader.read(second.video, 2).frame;
	REQUIRE(frame);
	CHECK(frame->height == 4);
	CHECK(frame->isInterlaced);
	CHECK(frame->timecode == 7);
	CHECK(frame->arrivedUs == 2);
	CHECK(frame->metadata == "<first/>");
	for (int line = 0; line < 4; ++line)
		CHECK(frame->pixels()[static_cast<std::size_t>(8 * line)] == (line % 2 ? 20 : 10));

	// A field whose other half never came fills both.
	CHECK(!reader.read(first.video, 3).frame);
	const auto next = reader.read(first.video, 4);
	REQUIRE(next.lone);
	CHECK(next.lone->pixels()[8] == 10);
	const auto late = reader.read(second.video, 5);
	CHECK(late.frame->pixels()[8] == 20);
	const auto orphan = reader.read(second.video, 6);
	REQUIRE(orphan.frame);
	CHECK(orphan.frame->pixels()[0] == 20);
	CHECK(orphan.frame->pixels()[8] == 20);
}

TEST_CASE("a pool that is full says so, and frames come back to it by their last holder") {
	Given given(abi::UYVY, 16, 4, 32, 128);
	auto reader = readerOf(2);
	auto first = reader.read(given.video, 0).frame;
	auto second = reader.read(given.video, 0).frame;
	const auto third = reader.read(given.video, 0);
	CHECK(third.isFull);
	CHECK(!third.frame);
	{
		const FrameRef also = first;
		first = {};
		CHECK(reader.read(given.video, 0).isFull);
	}
	CHECK(reader.read(given.video, 0).frame);
}

TEST_CASE("under slate and in panic the source is never chosen") {
	for (int bits = 0; bits < 512; ++bits) {
		Situation now;
		now.isPanic = bits & 1;
		now.isDirect = bits & 2;
		now.hasPainting = bits & 4;
		now.hasHeld = bits & 8;
		if (bits & 16) now.paintedAgeUs = bits & 32 ? 10 : 1000;
		now.staleAfterUs = 100;
		if (bits & 64) now.holdUs = 100;
		now.heldAgeUs = bits & 128 ? 10 : 1000;
		if (bits & 256) now.afterHold = Policy::PASSTHROUGH;
		now.policy = Policy::SLATE;
		const Shown shown = chooseShown(now);
		CHECK((shown == Shown::PAINTING || shown == Shown::SLATE));
		CHECK(chooseFill(now, 0) == Shown::SLATE);
		now.isPanic = true;
		for (const auto policy : {Policy::PASSTHROUGH, Policy::HOLD, Policy::SLATE}) {
			now.policy = policy;
			CHECK(chooseShown(now) == Shown::SLATE);
			CHECK(chooseFill(now, 0) == Shown::SLATE);
		}
	}
}

TEST_CASE("an old painting is shown again under hold alone") {
	Situation now{.hasPainting = true, .hasHeld = true, .paintedAgeUs = 200, .staleAfterUs = 100};
	now.policy = Policy::PASSTHROUGH;
	CHECK(chooseShown(now) == Shown::SOURCE);
	now.policy = Policy::HOLD;
	CHECK(chooseShown(now) == Shown::HOLD);
	now.hasHeld = false;
	CHECK(chooseShown(now) == Shown::SLATE);
	now.paintedAgeUs = 100;
	CHECK(chooseShown(now) == Shown::PAINTING);
}

TEST_CASE("hold ends: then the slate, or the source where that is asked for") {
	Situation now{
		.policy = Policy::HOLD, .hasPainting = true, .hasHeld = true, .paintedAgeUs = 200, .staleAfterUs = 100
	};
	now.holdUs = 1000;
	now.heldAgeUs = 999;
	CHECK(chooseShown(now) == Shown::HOLD);
	CHECK(chooseFill(now, 0) == Shown::HOLD);
	now.heldAgeUs = 1000;
	CHECK(chooseShown(now) == Shown::SLATE);
	CHECK(chooseFill(now, 0) == Shown::SLATE);
	now.isSourceLast = true;
	CHECK(chooseFill(now, 0) == Shown::SLATE);
	now.afterHold = Policy::PASSTHROUGH;
	CHECK(chooseShown(now) == Shown::SOURCE);
	CHECK(chooseFill(now, 0) == Shown::HOLD); // of the source
	CHECK(chooseFill(now, 5'000'000) == Shown::SLATE);
	now.isSourceLast = false;
	CHECK(chooseFill(now, 0) == Shown::SLATE);
	now.heldAgeUs.reset(); // nobody knows since when
	CHECK(chooseFill(now, 0) == Shown::SLATE);
	now.paintedAgeUs = 100; // a painting ends it
	CHECK(chooseShown(now) == Shown::PAINTING);
	now.hasPainting = now.hasHeld = false;
	CHECK(chooseShown(now) == Shown::SLATE);
	now.hasHeld = true;
	now.holdUs.reset();
	now.heldAgeUs = INT64_MAX;
	CHECK(chooseShown(now) == Shown::HOLD);
	CHECK(chooseFill(now, INT64_MAX) == Shown::HOLD);
}

TEST_CASE("the delay is what 95 of 100 paintings need, in whole frames: raised at once, lowered slowly") {
	constexpr std::int64_t PERIOD = 40'000;
	Delay delay(std::nullopt);
	std::int64_t now = 0;
	CHECK(delay.at(now) == 0);
	for (int i = 0; i < 100; ++i) delay.addLatency(90'000, now += PERIOD, PERIOD);
	CHECK(delay.at(now) == 3 * PERIOD);
	// Four slow ones in a hundred and four do not count, and what is out of reach is bounded.
	for (int i = 0; i < 4; ++i) delay.addLatency(500'000, now += PERIOD, PERIOD);
	CHECK(delay.at(now) == 3 * PERIOD);
	for (int i = 0; i < 256; ++i) delay.addLatency(9'000'000, now += PERIOD, PERIOD);
	CHECK(delay.at(now) == Delay::MOST_US);
	for (int i = 0; i < 700; ++i) {
		const std::int64_t before = delay.at(now);
		delay.addLatency(20'000, now += PERIOD, PERIOD);
		CHECK(delay.at(now) >= before - PERIOD / 10 - 1);
	}
	CHECK(delay.at(now) < Delay::MOST_US);
	CHECK(delay.at(now) > Delay::MOST_US / 4);
}

TEST_CASE("in direct mode the delay runs out, frames leaving faster but none at once") {
	Delay delay(200'000);
	CHECK(delay.at(0) == 200'000);
	delay.setDirect(true);
	CHECK(delay.at(100'000) == 150'000);
	CHECK(delay.at(400'000) == 0);
	delay.setDirect(false);
	CHECK(delay.at(500'000) == 200'000);
	delay.setMost(80'000);
	CHECK(delay.at(10'000'000) == 80'000);
}
