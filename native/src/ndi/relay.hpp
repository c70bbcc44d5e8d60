#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crew.hpp"
#include "delay.hpp"
#include "frame-pool.hpp"
#include "intake.hpp"
#include "pixels.hpp"
#include "region.hpp"
#include "sender.hpp"
#include "shown.hpp"

namespace allaprima::ndi {

/** A mask with bytes of its own (region.hpp). */
struct OwnMask {
	cv::Size size;
	std::vector<std::uint8_t> data;
};

struct RelayOptions {
	std::string outputName, outputGroups;
	bool wantsFailover = false;
	Fit fit = Fit::STRETCH;
	cv::Size slateSize;
	std::vector<std::uint8_t> slate; // RGB
	Policy policy = Policy::PASSTHROUGH;
	std::optional<std::int64_t> holdUs; // nothing: for ever
	Policy afterHold = Policy::SLATE; // or PASSTHROUGH
	std::int64_t staleAfterUs = 0;
	std::optional<std::int64_t> delayUs; // nothing: measured
};

/**
 * Sends each frame of an intake on, a while later, as the painting of it that the painter handed over or as
 * the policy says (shown.hpp). Everything here is on threads of its own, so that nobody can hold up the
 * output but the runtime.
 */
class Relay final : public IntakeListener, public std::enable_shared_from_this<Relay> {
public:
	Relay(
		RuntimePointer runtime,
		std::shared_ptr<Intake> intake,
		std::shared_ptr<FramePool> pool,
		RelayOptions options
	);

	void start();
	/** After the intake has stopped. */
	void stop();

	/** Copies `rgb`, of any size. With a mask it is shown in a part of the picture. */
	void painted(
		std::uint64_t sequence,
		cv::Size size,
		std::span<const std::uint8_t> rgb,
		std::optional<OwnMask> mask = std::nullopt
	);
	void setDirect(bool isDirect);
	void setPanic(bool isPanic);
	void setPolicy(Policy policy);
	void setStaleAfter(std::int64_t us);
	int connections() const { return connections_; }

	struct Counts {
		std::uint64_t painted = 0, passed = 0, held = 0, slate = 0, repeated = 0, filled = 0, late = 0,
					  dropped = 0;
	};
	struct State {
		Counts counts;
		int connections = 0;
		abi::Tally tally{};
		std::optional<std::int64_t> sentAgeUs, paintedAgeUs;
		std::optional<std::array<std::int64_t, 3>> latencyUs; // of 50, 95 and 99 in 100
		std::int64_t delayUs = 0;
		std::uint64_t metadataOut = 0;
		Shown shown = Shown::NOTHING;
		std::string sourceName;
		bool isFailoverSet = false;
	};
	State state();

	void onFrame(const FrameRef& frame) override;
	void onSound(Sound&& sound) override;
	void onNote(Note&& note) override;
	bool shed() override;
	void onReceiver() override { isTallyNew_ = true; }

private:
	struct HandedOver {
		std::uint64_t sequence;
		cv::Size size;
		std::vector<std::uint8_t> rgb;
		std::optional<OwnMask> mask;
	};
	/** At the size of the source. */
	struct Painting {
		FrameRef pixels;
		/** Of it in each pixel, where it is shown in a part alone. */
		std::shared_ptr<const std::vector<std::uint8_t>> shares;
	};
	struct Arrival {
		std::uint64_t sequence = UINT64_MAX;
		std::int64_t us = 0;
		int width = 0, height = 0;
		std::int64_t periodUs = 0;
	};
	/** What leaves: the pixels of one frame with the facts of another. */
	struct Leaving {
		FrameRef pixels, facts;
	};

	void sendFrames();
	void sendRest();
	void serveViewers();
	void preparePaintings();
	void updateFailover();

	Situation situation(std::int64_t now) const;
	std::optional<Leaving> leavingOf(const FrameRef& frame, std::int64_t now);
	std::optional<Leaving> filling(std::int64_t now);
	std::optional<Leaving> withPixels(FrameRef pixels, const FrameRef& frame);
	FrameRef paintedOver(const FrameRef& frame);
	FrameRef withAlphaOf(const FrameRef& painting, const FrameRef& frame);
	FrameRef slateFor(const FrameRef& frame);
	void takePaintings(std::uint64_t sequence, std::int64_t now);
	std::uint64_t outSequence() const {
		return queue_.empty() ? lastSequence_ + 1 : queue_.front()->sequence;
	}
	std::int64_t fillAt() const;

	const RuntimePointer runtime_;
	const std::shared_ptr<Intake> intake_;
	const std::shared_ptr<FramePool> pool_;
	const std::shared_ptr<FramePool> canvases_;
	const RelayOptions options_;
	const std::shared_ptr<Sender> sender_;
	const std::shared_ptr<Crew> crew_ = std::make_shared<Crew>();

	std::mutex mutex_;
	Wake outWake_, restWake_, paintWake_;
	bool isStopped_ = false;
	Policy policy_;
	bool isPanic_ = false, isDirect_ = false;
	std::int64_t staleAfterUs_;
	Delay delay_;
	std::int64_t delayNowUs_ = 0;

	std::deque<FrameRef> queue_; // to leave
	std::deque<Sound> sounds_;
	std::deque<Note> notes_;
	std::deque<HandedOver> handedOver_;
	std::vector<std::vector<std::uint8_t>> spare_;
	std::deque<Painting> ready_;
	std::uint64_t era_ = 0; // of the paintings: ends with direct mode
	std::array<Arrival, 512> arrivals_{};
	std::optional<std::uint64_t> lastPainted_;
	std::optional<std::int64_t> paintedUs_;

	// Of the output's thread, under the mutex all the same.
	Painting painting_; // the newest of those that may be shown
	bool isPaintingShown_ = false;
	FrameRef heldSource_; // the last frame of direct mode, or with a painting in a part of it, for `hold`
	std::optional<std::int64_t> heldSinceUs_; // when one of those two could first be shown
	FrameRef slate_;
	Leaving last_;
	std::uint64_t lastSequence_ = 0;
	std::int64_t lastFrameSentUs_ = 0, lastSentUs_ = 0, nextFillUs_ = 0;
	Shown shown_ = Shown::NOTHING;
	Counts counts_;
	Latencies paintLatencies_, directLatencies_;
	PixelConverter slateConverter_;
	RegionPainter region_;

	std::mutex failoverMutex_;
	std::string failoverName_, failoverUrl_;
	bool isFailoverSet_ = false;

	std::atomic<int> connections_{0};
	std::atomic<bool> isOnProgram_{false}, isOnPreview_{false}, isTallyNew_{true};
	std::atomic<std::uint64_t> metadataOut_{0};
	std::mutex welcomeMutex_;
	std::string welcome_;
};

}
