#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "intake.hpp"
#include "pixels.hpp"
#include "resizer.hpp"
#include "wake.hpp"

namespace allaprima::ndi {

/** Gives frames of an intake to one who asks, newest first, on a thread of its own. */
class Feed {
public:
	enum class Status { OK, NONE, TOO_SMALL, FAILED };

	/** What `open` or `next` came to; NONE: no frame in time, or `stop`. */
	struct Outcome {
		Status status = Status::NONE;
		bool isOpening = false;
		FrameFacts facts; // of the frame that came; its kind is that of the source
		PictureLayout layout; // of what was copied
		std::uint64_t missed = 0;
		bool hasSound = false;
		std::string error;
	};

	/** `isWanted` says whether frames are given at all; the thread calls `onOutcome`, `takeOutcome` then has
	 * it. */
	Feed(std::shared_ptr<Intake> intake, std::function<bool()> isWanted, std::function<void()> onOutcome);
	Feed(const Feed&) = delete;
	Feed& operator=(const Feed&) = delete;
	~Feed() { stop(); }

	/** One of the two at a time. `target` must live until the outcome is there, or until `stop`; where it has
	 * room behind the picture for a byte a pixel, the alpha goes there, 255 where the source has none. */
	void open(std::int64_t untilUs) { request({true, untilUs, {}}); }
	void next(std::span<std::uint8_t> target) { request({false, INT64_MAX, target}); }
	std::optional<Outcome> takeOutcome();
	/** What the target of `next` must have room for; 0 before `open` came to its good end. */
	std::size_t byteLength() const;
	void stop();

private:
	struct Request {
		bool isOpen;
		std::int64_t untilUs;
		std::span<std::uint8_t> target;
	};

	void request(const Request& request);
	void run();
	Outcome perform(const Request& request);
	FrameRef wait(const Request& request);
	void copyAlpha(const Frame& frame, const cv::Size& size, std::span<std::uint8_t> room);
	bool isStopping() const;

	const std::shared_ptr<Intake> intake_;
	const std::function<bool()> isWanted_;
	const std::function<void()> onOutcome_;
	mutable std::mutex mutex_;
	Wake changed_;
	std::optional<Request> request_;
	std::optional<Outcome> outcome_;
	std::optional<PictureLayout> layout_;
	std::int64_t given_ = -1;
	bool isStopping_ = false;
	PixelConverter convert_;
	Resizer resize_;
	std::thread thread_;
};

}
