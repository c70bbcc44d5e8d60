#include "feed.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "frame-reader.hpp"

namespace allaprima::ndi {

namespace {

constexpr std::int64_t LOOK_AGAIN_US = 20'000, WAIT_US = 100'000;

}

Feed::Feed(std::shared_ptr<Intake> intake, std::function<bool()> isWanted, std::function<void()> onOutcome)
	: intake_(std::move(intake)),
	  isWanted_(std::move(isWanted)),
	  onOutcome_(std::move(onOutcome)),
	  thread_([this] { run(); }) {}

void Feed::stop() {
	if (!thread_.joinable()) return;
	{
		const std::scoped_lock lock(mutex_);
		isStopping_ = true;
		changed_.all();
	}
	intake_->wakeWaiters();
	thread_.join();
}

std::optional<Feed::Outcome> Feed::takeOutcome() {
	const std::scoped_lock lock(mutex_);
	return std::exchange(outcome_, std::nullopt);
}

std::size_t Feed::byteLength() const {
	const std::scoped_lock lock(mutex_);
	return layout_ ? pictureByteLength(*layout_) : 0;
}

void Feed::request(const Request& request) {
	const std::scoped_lock lock(mutex_);
	request_ = request;
	changed_.all();
}

bool Feed::isStopping() const {
	const std::scoped_lock lock(mutex_);
	return isStopping_;
}

void Feed::run() {
	std::unique_lock lock(mutex_);
	for (;;) {
		while (!isStopping_ && !request_) changed_.wait(lock);
		if (isStopping_) return;
		const Request request = *std::exchange(request_, std::nullopt);
		lock.unlock();
		Outcome outcome;
		try {
			outcome = perform(request);
		} catch (const std::exception& error) {
			outcome.status = Status::FAILED;
			outcome.error = error.what();
		}
		outcome.isOpening = request.isOpen;
		lock.lock();
		outcome_ = std::move(outcome);
		lock.unlock();
		onOutcome_();
		lock.lock();
	}
}

FrameRef Feed::wait(const Request& request) {
	while (!isStopping()) {
		const std::int64_t now = nowUs();
		if (request.isOpen || isWanted_()) {
			FrameRef frame = intake_->waitForFrame(given_, std::min(request.untilUs, now + WAIT_US));
			if (frame) return frame;
			if (nowUs() >= request.untilUs) return {};
		} else {
			std::unique_lock lock(mutex_);
			if (!isStopping_) changed_.waitUntil(lock, now + LOOK_AGAIN_US);
		}
	}
	return {};
}

void Feed::copyAlpha(const Frame& frame, const cv::Size& size, std::span<std::uint8_t> room) {
	const std::size_t bytes = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
	if (room.size() < bytes) return;
	if (frame.kind != FrameKind::UYVA) {
		std::ranges::fill(room.first(bytes), std::uint8_t{255});
		return;
	}
	const std::size_t colours = uyvyByteLength(frame.width, frame.height);
	const cv::Mat alpha(
		frame.height, frame.width, CV_8U, frame.memory() + colours, alphaRowBytes(frame.width)
	);
	cv::Mat target(size, CV_8U, room.data());
	resize_(alpha, target);
}

Feed::Outcome Feed::perform(const Request& request) {
	Outcome outcome;
	const FrameRef frame = wait(request);
	if (!frame) return outcome;
	outcome.facts = *frame;
	if (request.isOpen) {
		PictureLayout layout = layoutOf(*frame);
		layout.format = PixelFormat::UYVY;
		outcome.layout = layout;
		outcome.hasSound = intake_->hasSound();
		outcome.status = Status::OK;
		const std::scoped_lock lock(mutex_);
		layout_ = layout;
		return outcome;
	}
	const PictureLayout layout = *layout_;
	outcome.layout = layout;
	const std::size_t bytes = pictureByteLength(layout);
	if (request.target.size() < bytes) {
		outcome.status = Status::TOO_SMALL;
		return outcome;
	}
	const Picture source = pictureOf(*frame), target{layout, request.target.first(bytes)};
	if (source.size() == target.size()) {
		std::memcpy(target.data.data(), source.data.data(), bytes);
	} else {
		convert_.convert(source, target, Fit::STRETCH);
	}
	copyAlpha(*frame, layout.size(), request.target.subspan(bytes));
	outcome.missed = frame->sequence - static_cast<std::uint64_t>(given_ + 1);
	given_ = static_cast<std::int64_t>(frame->sequence);
	outcome.status = Status::OK;
	return outcome;
}

}
