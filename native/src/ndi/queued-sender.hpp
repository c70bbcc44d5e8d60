#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "crew.hpp"
#include "frame-pool.hpp"
#include "pixels.hpp"
#include "sender.hpp"

namespace allaprima::ndi {

/** A sender whose frames are copied and sent by a thread of its own; newest wins. */
class QueuedSender : public std::enable_shared_from_this<QueuedSender> {
public:
	/** Of pictures of one layout. */
	QueuedSender(
		RuntimePointer runtime,
		const std::string& name,
		const std::string& groups,
		PictureLayout layout,
		int rateNum,
		int rateDen
	);

	void start();
	void stop();
	void send(std::span<const std::uint8_t> pixels, std::int64_t timecode);

	const PictureLayout& layout() const { return layout_; }

	struct State {
		std::uint64_t framesSent = 0, framesDropped = 0, metadataIn = 0;
		int connections = 0;
		abi::Tally tally{};
		std::string sourceName;
	};
	State state();

private:
	void run();
	FrameRef readyToSend(const FrameRef& given);

	const PictureLayout layout_;
	const int rateNum_, rateDen_;
	const std::shared_ptr<FramePool> pool_ = std::make_shared<FramePool>(8, std::size_t{1} << 30);
	const std::shared_ptr<Sender> sender_;
	const std::shared_ptr<Crew> crew_ = std::make_shared<Crew>();
	PixelConverter convert_;
	std::mutex mutex_;
	Wake changed_;
	FrameRef waiting_;
	bool isStopped_ = false;
	State state_;
};

}
