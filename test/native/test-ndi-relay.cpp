#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "ndi-fake.hpp"
#include "ndi/feed.hpp"
#include "ndi/intake.hpp"
#include "ndi/queued-sender.hpp"
#include "ndi/relay.hpp"

using namespace allaprima;
using namespace allaprima::ndi;

namespace {

constexpr std::uint8_t SOURCE = 180;
constexpr int PAINTED = 102, SLATE = 25;
const cv::Size SIZE(32, 16);

struct Settings {
	Policy policy = Policy::PASSTHROUGH;
	std::int64_t staleAfterUs = 60'000'000;
	std::optional<std::int64_t> holdUs = std::nullopt;
	Policy afterHold = Policy::SLATE;
	std::optional<std::int64_t> delayUs = 0;
	bool wantsFailover = false;
	std::size_t poolFrames = 32;
	bool isNamed = false;
};

/** A relay over the fake runtime. */
struct Rig {
	explicit Rig(const Fake& fake, const Settings& settings = {})
		: pool(std::make_shared<FramePool>(settings.poolFrames, std::size_t{64} << 20)) {
		IntakeOptions options;
		(settings.isNamed ? options.name : options.url) = settings.isNamed ? "CAM" : "10.0.0.1:5961";
		intake = std::make_shared<Intake>(fake.runtime, options, pool);
		RelayOptions relayOptions;
		relayOptions.outputName = "OUT";
		relayOptions.wantsFailover = settings.wantsFailover;
		relayOptions.slateSize = SIZE;
		relayOptions.slate.assign(static_cast<std::size_t>(3 * SIZE.area()), 10);
		relayOptions.policy = settings.policy;
		relayOptions.holdUs = settings.holdUs;
		relayOptions.afterHold = settings.afterHold;
		relayOptions.staleAfterUs = settings.staleAfterUs;
		relayOptions.delayUs = settings.delayUs;
		relay = std::make_shared<Relay>(fake.runtime, intake, pool, std::move(relayOptions));
		relay->start();
		intake->start(relay);
	}
	~Rig() {
		intake->stop();
		relay->stop();
	}

	void paint(std::uint64_t sequence) const {
		const std::vector<std::uint8_t> rgb(static_cast<std::size_t>(3 * SIZE.area()), 100);
		relay->painted(sequence, SIZE, rgb);
	}

	/** In a part of the picture, `share` of it in each pixel. */
	void paintPart(std::uint64_t sequence, std::uint8_t share) const {
		const std::vector<std::uint8_t> rgb(static_cast<std::size_t>(3 * SIZE.area()), 100);
		relay->painted(sequence, SIZE, rgb, OwnMask{{4, 2}, std::vector<std::uint8_t>(8, share)});
	}

	std::shared_ptr<FramePool> pool;
	std::shared_ptr<Intake> intake;
	std::shared_ptr<Relay> relay;
};

bool isSent(const Fake& fake, int count) {
	return eventually([&] { return fake.controls->sent_count() >= count; });
}

/** A painter's thread: takes frames as they come and hands over a grey for each. */
struct Painter {
	explicit Painter(const Rig& rig) : feed(rig.intake, [] { return true; }, [this] { wake(); }) {
		thread = std::thread([this, &rig] {
			std::vector<std::uint8_t> target(1 << 16);
			feed.open(nowUs() + 10'000'000);
			for (bool isOpen = false; take();) {
				if (isOpen) rig.paint(outcome.facts.sequence);
				isOpen = true;
				feed.next(target);
			}
		});
	}
	~Painter() {
		feed.stop();
		wake();
		thread.join();
	}

	void wake() {
		const std::scoped_lock lock(mutex);
		isTold = true;
		told.all();
	}
	bool take() {
		std::unique_lock lock(mutex);
		while (!isTold) told.wait(lock);
		isTold = false;
		lock.unlock();
		auto next = feed.takeOutcome();
		if (!next || next->status != Feed::Status::OK) return false;
		outcome = *next;
		return true;
	}

	std::mutex mutex;
	Wake told;
	bool isTold = false;
	Feed::Outcome outcome;
	Feed feed;
	std::thread thread;
};

}

TEST_CASE("a painter with room for it is given alpha behind the picture, opaque where a frame has none") {
	const Fake fake;
	const Rig rig(fake);
	std::optional<Feed::Outcome> outcome;
	Feed feed(rig.intake, [] { return true; }, [] {});
	const auto isDone = [&] {
		return eventually([&] { return (outcome = feed.takeOutcome()).has_value(); }) &&
			outcome->status == Feed::Status::OK;
	};
	fake.push(0, SOURCE, true);
	feed.open(nowUs() + 10'000'000);
	REQUIRE(isDone());
	const std::size_t pixels = feed.byteLength() / 2;
	std::vector<std::uint8_t> target(3 * pixels, 1), picture(2 * pixels);
	const auto isAlpha = [&](std::uint8_t alpha) {
		return std::all_of(target.end() - static_cast<std::ptrdiff_t>(pixels), target.end(), [&](auto byte) {
			return byte == alpha;
		});
	};
	feed.next(target);
	REQUIRE(isDone());
	CHECK(isAlpha(77));
	fake.push(1, SOURCE, false);
	feed.next(target);
	REQUIRE(isDone());
	CHECK(isAlpha(255));
	fake.push(2, SOURCE, true);
	feed.next(picture); // without that room it is left out
	REQUIRE(isDone());
	feed.stop();
}

TEST_CASE("every frame leaves once, in order, with all that was known of it") {
	const Fake fake;
	{
		const Rig rig(fake);
		for (int i = 0; i < 300; ++i) {
			fake.push(1000 + i, SOURCE, i % 2);
			std::this_thread::sleep_for(std::chrono::milliseconds(1));
		}
		REQUIRE(isSent(fake, 300));
		for (int i = 0; i < 300; ++i) {
			const auto frame = fake.sent(i);
			CHECK(frame.timecode == 1000 + i);
			CHECK(frame.luma == SOURCE);
			CHECK(frame.alpha == (i % 2 ? 77 : -1));
			CHECK(frame.rate_num == 100);
			CHECK(frame.format == 1);
			CHECK(frame.has_metadata);
		}
		CHECK(rig.relay->state().counts.passed == 300);
	}
	const auto counts = fake.counts();
	CHECK(counts.frames_out == 0);
	CHECK(counts.broken_frames == 0);
	CHECK(counts.receivers == 0);
	CHECK(counts.senders == 0);
}

TEST_CASE("a frame leaves as the painting of it or of one before it, with its own alpha and field order") {
	const Fake fake;
	const Rig rig(fake, {.delayUs = 100'000});
	for (int i = 0; i < 4; ++i) fake.push(i, SOURCE, true, 0);
	REQUIRE(eventually([&] { return rig.intake->state().framesIn == 4; }));
	rig.paint(1);
	rig.paint(1); // again: left out
	REQUIRE(isSent(fake, 4));
	CHECK(fake.sent(0).luma == SOURCE);
	for (int i = 1; i < 4; ++i) {
		CHECK(fake.sent(i).luma == PAINTED);
		CHECK(fake.sent(i).alpha == 77);
		CHECK(fake.sent(i).format == 0);
		CHECK(fake.sent(i).timecode == i);
	}
	const auto state = rig.relay->state();
	CHECK(state.counts.painted == 3);
	CHECK(state.counts.repeated == 2);
	rig.paint(9'000'000); // of a frame that never was
}

TEST_CASE("around a part that is painted is the frame that leaves, and not the one that was painted") {
	const Fake fake;
	const Rig rig(fake, {.delayUs = 100'000});
	for (int i = 0; i < 6; ++i) fake.push(i, static_cast<std::uint8_t>(SOURCE + i), i % 2 == 1);
	REQUIRE(eventually([&] { return rig.intake->state().framesIn == 6; }));
	rig.paintPart(0, 0);
	rig.paintPart(4, 255);
	REQUIRE(isSent(fake, 6));
	for (int i = 0; i < 6; ++i) {
		CHECK(fake.sent(i).luma == (i < 4 ? SOURCE + i : PAINTED));
		CHECK(fake.sent(i).alpha == (i % 2 ? 77 : -1));
		CHECK(fake.sent(i).timecode == i);
	}
	CHECK(rig.relay->state().counts.painted == 6);
	CHECK(fake.counts().broken_frames == 0);
}

TEST_CASE("under slate all is painted where a part was to be, and hold keeps the picture as it left") {
	for (const Policy policy : {Policy::SLATE, Policy::HOLD}) {
		const Fake fake;
		const Rig rig(fake, {.policy = policy, .staleAfterUs = 50'000});
		fake.push(0, SOURCE);
		REQUIRE(isSent(fake, 1));
		rig.paintPart(0, 0);
		REQUIRE(eventually([&] { return rig.relay->state().latencyUs.has_value(); }));
		fake.push(1, SOURCE + 1);
		REQUIRE(isSent(fake, 2));
		CHECK(fake.sent(1).luma == (policy == Policy::SLATE ? PAINTED : SOURCE + 1));
		std::this_thread::sleep_for(std::chrono::milliseconds(60));
		fake.push(2, SOURCE + 2);
		REQUIRE(isSent(fake, 3));
		CHECK(fake.sent(2).luma == (policy == Policy::SLATE ? SLATE : SOURCE + 1));
	}
}

TEST_CASE("under slate no frame of the source leaves, whatever is switched meanwhile") {
	const Fake fake;
	const Rig rig(fake, {.policy = Policy::SLATE, .staleAfterUs = 20'000, .wantsFailover = true});
	const Painter painter(rig);
	std::thread switches([&] {
		for (int i = 0; i < 120; ++i) {
			rig.relay->setDirect(i % 3 == 0);
			rig.relay->setPanic(i % 5 == 0);
			std::this_thread::sleep_for(std::chrono::milliseconds(4));
		}
	});
	for (int i = 0; i < 250; ++i) {
		fake.push(i, SOURCE, true);
		std::this_thread::sleep_for(std::chrono::milliseconds(2));
	}
	switches.join();
	REQUIRE(isSent(fake, 250));
	std::set<int> lumas;
	for (int i = 0; i < fake.controls->sent_count(); ++i) {
		const auto frame = fake.sent(i);
		lumas.insert(frame.luma);
		CHECK(frame.alpha == (frame.luma == SLATE ? 255 : 77));
	}
	CHECK(lumas == std::set<int>{SLATE, PAINTED});
	CHECK(fake.counts().failovers_set == 0);
	CHECK(fake.counts().broken_frames == 0);
}

TEST_CASE("an old painting gives way to what the policy says, and a policy that changes is heeded at once") {
	const Fake fake;
	const Rig rig(fake, {.policy = Policy::HOLD, .staleAfterUs = 50'000});
	fake.push(0, SOURCE);
	REQUIRE(isSent(fake, 1));
	CHECK(fake.sent(0).luma == SLATE);
	rig.paint(0);
	REQUIRE(eventually([&] { return rig.relay->state().latencyUs.has_value(); }));
	fake.push(1, SOURCE);
	REQUIRE(isSent(fake, 2));
	CHECK(fake.sent(1).luma == PAINTED);
	std::this_thread::sleep_for(std::chrono::milliseconds(60));
	fake.push(2, SOURCE);
	REQUIRE(isSent(fake, 3));
	CHECK(rig.relay->state().counts.held == 1);
	rig.relay->setPolicy(Policy::PASSTHROUGH);
	fake.push(3, SOURCE);
	REQUIRE(isSent(fake, 4));
	CHECK(fake.sent(3).luma == SOURCE);
	rig.relay->setPanic(true);
	fake.push(4, SOURCE);
	REQUIRE(isSent(fake, 5));
	CHECK(fake.sent(4).luma == SLATE);
}

TEST_CASE("a painting is held for as long as it may be, then what comes after it, until there is another") {
	for (const Policy after : {Policy::SLATE, Policy::PASSTHROUGH}) {
		const Fake fake;
		const Rig rig(
			fake, {.policy = Policy::HOLD, .staleAfterUs = 50'000, .holdUs = 300'000, .afterHold = after}
		);
		const int then = after == Policy::SLATE ? SLATE : SOURCE;
		int pushed = 0;
		const auto pushUntil = [&](int luma) {
			return eventually([&] {
				fake.push(pushed++, SOURCE);
				return isSent(fake, pushed) && fake.sent(pushed - 1).luma == luma;
			});
		};
		REQUIRE(pushUntil(SLATE)); // there is nothing to hold yet, and so no source after it either
		for (int round = 0; round < 2; ++round) {
			rig.paint(static_cast<std::uint64_t>(pushed - 1));
			REQUIRE(pushUntil(PAINTED));
			const int first = pushed - 1;
			REQUIRE(pushUntil(then));
			for (int i = first; i < pushed - 1; ++i) CHECK(fake.sent(i).luma == PAINTED);
			REQUIRE(pushUntil(then)); // and stays
		}
		CHECK(rig.relay->state().counts.held > 0);
	}
}

TEST_CASE("a painting is not held for longer while the source is silent, and no source comes after it") {
	const Fake fake;
	const Rig rig(fake, {.policy = Policy::HOLD, .holdUs = 900'000, .afterHold = Policy::PASSTHROUGH});
	fake.push(0, SOURCE);
	REQUIRE(isSent(fake, 1));
	rig.paint(0);
	REQUIRE(eventually([&] { return rig.relay->state().latencyUs.has_value(); }));
	fake.push(1, SOURCE);
	REQUIRE(isSent(fake, 2));
	REQUIRE(eventually([&] { return rig.relay->state().shown == Shown::SLATE; }));
	const int count = fake.controls->sent_count();
	REQUIRE(isSent(fake, count + 10));
	std::set<int> lumas;
	std::int64_t heldUs = 0;
	for (int i = 1; i < fake.controls->sent_count(); ++i) {
		lumas.insert(fake.sent(i).luma);
		// The time of what fills is the relay's own; that of the painting is 1.
		if (fake.sent(i).luma == PAINTED) heldUs = (fake.sent(i).timecode - 1) / 10;
	}
	CHECK(lumas == std::set<int>{PAINTED, SLATE});
	CHECK(heldUs < 900'000);
	CHECK(fake.sent(fake.controls->sent_count() - 1).luma == SLATE);
}

TEST_CASE("failover is there under passthrough alone, and not in panic") {
	const Fake fake;
	const Rig rig(fake, {.wantsFailover = true, .isNamed = true});
	REQUIRE(eventually([&] { return fake.counts().has_failover; }));
	rig.relay->setPanic(true);
	CHECK(!fake.counts().has_failover);
	rig.relay->setPanic(false);
	CHECK(fake.counts().has_failover);
	rig.relay->setPolicy(Policy::SLATE);
	CHECK(!fake.counts().has_failover);
	CHECK(!rig.relay->state().isFailoverSet);
}

TEST_CASE("sound and metadata wait as long as the picture; tally and the viewers' metadata go up") {
	const Fake fake;
	const Rig rig(fake, {.delayUs = 200'000});
	fake.controls->set_viewers(2, true);
	fake.controls->push_note_up("<ntk_ptz/>");
	fake.controls->push_note_up("<ndi_product/>");
	fake.push(5, SOURCE);
	fake.controls->push_sound(5, 480);
	fake.controls->push_sound(6, -3); // of nonsense
	fake.controls->push_note("<said/>");
	fake.controls->push_note(nullptr);
	fake.controls->push_note("<ndi_tally_echo on_program=\"true\"/>");
	REQUIRE(isSent(fake, 1));
	REQUIRE(eventually([&] {
		return fake.controls->sound_sent_us(5) > 0 && fake.controls->note_sent("<said/>");
	}));
	CHECK(std::abs(fake.controls->sound_sent_us(5) - fake.sent(0).at_us) < 50'000);
	REQUIRE(eventually([&] { return fake.counts().on_program && fake.counts().notes_up == 1; }));
	CHECK(fake.counts().notes_sent == 1);
	CHECK(fake.counts().sounds_sent == 1);
	CHECK(rig.relay->state().connections == 2);
	CHECK(rig.relay->state().tally.onProgram);
}

TEST_CASE("frames of nonsense are dropped and counted, and those between them come through") {
	const Fake fake;
	const Rig rig(fake);
	for (int i = 0; i < 20; ++i) {
		fake.push(i, SOURCE, false, i % 2 ? 17 : 1);
		const fake_video empty{
			.width = 1 << 30,
			.height = -1,
			.fourcc = 0,
			.rate_num = 0,
			.rate_den = 0,
			.aspect = 0,
			.format = -1,
			.timecode = 0,
			.data = nullptr,
			.stride_bytes = -1,
			.metadata = nullptr,
			.timestamp = 0,
		};
		fake.controls->push_video(&empty);
	}
	REQUIRE(isSent(fake, 10));
	REQUIRE(eventually([&] { return rig.intake->state().framesDropped == 30; }));
	CHECK(!rig.intake->state().dropReason.empty());
	CHECK(rig.intake->state().framesIn == 10);
}

TEST_CASE("a flood costs the oldest frames and no more memory than there is") {
	const Fake fake;
	const Rig rig(fake, {.delayUs = 1'000'000, .poolFrames = 12});
	for (int i = 0; i < 200; ++i) fake.push(i, SOURCE);
	REQUIRE(eventually([&] { return rig.intake->state().framesIn == 200; }));
	CHECK(rig.pool->used() <= 12);
	REQUIRE(eventually([&] { return fake.controls->sent_count() > 0; }));
	REQUIRE(eventually([&] {
		const auto counts = rig.relay->state().counts;
		return counts.passed + counts.dropped == 200;
	}));
	CHECK(rig.relay->state().counts.dropped > 100);
}

TEST_CASE("viewers are kept by the last picture, then the slate, while the source is silent") {
	const Fake fake;
	const Rig rig(fake, {.policy = Policy::HOLD});
	fake.push(1000, SOURCE);
	REQUIRE(isSent(fake, 1));
	rig.paint(0);
	REQUIRE(eventually([&] { return rig.relay->state().latencyUs.has_value(); }));
	fake.push(2000, SOURCE);
	int first = 1; // where the painter was slow, the slate has been sent again before
	REQUIRE(eventually([&] {
		while (first < fake.controls->sent_count() && fake.sent(first).timecode != 2000) ++first;
		return isSent(fake, first + 39); // at 100 a second, after half a second
	}));
	for (int i = first; i < first + 39; ++i) {
		CHECK(fake.sent(i).luma == PAINTED);
		if (i > first) CHECK(fake.sent(i).timecode > fake.sent(i - 1).timecode);
	}
	CHECK(fake.sent(first + 38).at_us - fake.sent(first + 1).at_us > 300'000);
	rig.relay->setPolicy(Policy::SLATE);
	const int count = fake.controls->sent_count();
	REQUIRE(isSent(fake, count + 3));
	CHECK(fake.sent(count + 2).luma == SLATE);
	CHECK(rig.relay->state().counts.filled > 30);
}

TEST_CASE("a receiver that hangs is left behind, and its source comes through the next one") {
	const Fake fake;
	{
		const Rig rig(fake);
		fake.push(1, SOURCE);
		REQUIRE(isSent(fake, 1));
		fake.controls->set_hanging(true);
		REQUIRE(eventually([&] { return fake.counts().receivers_made == 2; }));
		CHECK(rig.intake->state().reconnects == 1);
		CHECK(rig.intake->state().restarts == 1);
		fake.controls->set_hanging(false);
		// The one that hung may take a frame with it.
		REQUIRE(eventually([&] {
			fake.push(2, SOURCE);
			return rig.intake->state().framesIn > 1;
		}));
		fake.controls->set_failing(true);
		std::this_thread::sleep_for(std::chrono::milliseconds(50));
		fake.controls->set_failing(false);
		fake.controls->set_hanging(true);
	} // and closing does not wait for ever
	fake.controls->set_hanging(false);
	REQUIRE(eventually([&] { return fake.counts().receivers == 0 && fake.counts().senders == 0; }));
	CHECK(fake.counts().frames_out == 0);
}

TEST_CASE("a sender copies what it is given and sends the newest") {
	const Fake fake;
	PictureLayout layout;
	layout.format = PixelFormat::RGB;
	layout.width = 8;
	layout.height = 4;
	const auto sender = std::make_shared<QueuedSender>(fake.runtime, "FILE", "", layout, 25, 1);
	sender->start();
	std::vector<std::uint8_t> pixels(8 * 4 * 3);
	for (int i = 0; i < 50; ++i) {
		std::fill(pixels.begin(), pixels.end(), 100);
		sender->send(pixels, i);
		std::fill(pixels.begin(), pixels.end(), 255);
	}
	REQUIRE(eventually([&] {
		const auto state = sender->state();
		return state.framesSent + state.framesDropped == 50;
	}));
	const int count = fake.controls->sent_count();
	CHECK(fake.sent(count - 1).timecode == 49);
	for (int i = 0; i < count; ++i) CHECK(fake.sent(i).luma == PAINTED);
	sender->stop();
}
