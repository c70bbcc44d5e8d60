#include "queued-sender.hpp"

#include <cstring>
#include <utility>

#include "frame-reader.hpp"

namespace allaprima::ndi {

namespace {

constexpr std::int64_t STOP_US = 2'000'000, LOOK_US = 100'000;

/** Whether NDI takes the pixels as they are. */
bool isSentAsIs(const PictureLayout& layout) {
	if (layout.format == PixelFormat::BGRA) return true;
	return layout.format == PixelFormat::UYVY && layout.matrix == matrixOf(layout.height) &&
		layout.range == ColorRange::LIMITED;
}

}

QueuedSender::QueuedSender(
	RuntimePointer runtime,
	const std::string& name,
	const std::string& groups,
	PictureLayout layout,
	int rateNum,
	int rateDen
)
	: layout_(layout),
	  rateNum_(rateNum),
	  rateDen_(rateDen),
	  sender_(std::make_shared<Sender>(std::move(runtime), name, groups)) {}

void QueuedSender::start() {
	crew_->start([self = shared_from_this()] { self->run(); });
}

void QueuedSender::stop() {
	{
		const std::scoped_lock lock(mutex_);
		isStopped_ = true;
		changed_.all();
	}
	crew_->waitUntil(nowUs() + STOP_US);
}

void QueuedSender::send(std::span<const std::uint8_t> pixels, std::int64_t timecode) {
	FrameRef frame = pool_->take(pixels.size());
	if (frame) {
		FrameFacts facts;
		facts.width = layout_.width;
		facts.height = layout_.height;
		facts.kind = layout_.format == PixelFormat::BGRA ? FrameKind::BGRA : FrameKind::UYVY;
		facts.rateNum = rateNum_;
		facts.rateDen = rateDen_;
		facts.timecode = timecode;
		static_cast<FrameFacts&>(*frame) = std::move(facts);
		std::memcpy(frame->memory(), pixels.data(), pixels.size());
	}
	const std::scoped_lock lock(mutex_);
	if (!frame || waiting_) ++state_.framesDropped;
	if (frame) waiting_ = std::move(frame);
	changed_.all();
}

FrameRef QueuedSender::readyToSend(const FrameRef& given) {
	if (isSentAsIs(layout_)) return given;
	FrameRef converted = pool_->take(uyvyByteLength(layout_.width, layout_.height));
	if (!converted) return {};
	static_cast<FrameFacts&>(*converted) = *given;
	converted->kind = FrameKind::UYVY;
	const Picture source{layout_, {given->memory(), pictureByteLength(layout_)}};
	convert_.convert(source, pictureOf(*converted), Fit::STRETCH);
	return converted;
}

void QueuedSender::run() {
	std::unique_lock lock(mutex_);
	while (!isStopped_) {
		if (!waiting_) changed_.waitUntil(lock, nowUs() + LOOK_US);
		const FrameRef given = std::exchange(waiting_, {});
		lock.unlock();
		FrameRef frame = given ? readyToSend(given) : FrameRef();
		if (frame) sender_->send(frame, frame);
		std::uint64_t notes = 0;
		while (sender_->capture(0)) ++notes;
		const int connections = sender_->connections();
		const abi::Tally tally = sender_->tally();
		lock.lock();
		if (frame) ++state_.framesSent;
		state_.metadataIn += notes;
		state_.connections = connections;
		state_.tally = tally;
	}
}

QueuedSender::State QueuedSender::state() {
	const std::scoped_lock lock(mutex_);
	State state = state_;
	state.sourceName = sender_->sourceName();
	return state;
}

}
