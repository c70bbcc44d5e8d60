#include "ring-reader.hpp"

#include <cerrno>
#include <utility>

#include "ring-status.hpp"

namespace allaprima {

frame_ring_reader* RingReader::connect(const std::string& path) {
	frame_ring_reader* ring = nullptr;
	checkRing(frame_ring_reader_connect(path.c_str(), &ring));
	return ring;
}

frame_ring_reader* RingReader::adopt(int fd) {
	frame_ring_reader* ring = nullptr;
	checkRing(frame_ring_reader_adopt(fd, &ring));
	return ring;
}

RingReader::RingReader(frame_ring_reader* ring, std::function<void()> onOutcome)
	: ring_(ring), onOutcome_(std::move(onOutcome)) {
	try {
		thread_ = std::thread([this] { run(); });
	} catch (...) {
		frame_ring_reader_close(ring_);
		throw;
	}
}

RingReader::~RingReader() {
	stop();
	frame_ring_reader_close(ring_);
}

void RingReader::open(int timeoutMs) {
	request({.isOpen = true, .timeoutMs = timeoutMs, .target = {}});
}

void RingReader::next(std::span<std::uint8_t> target) {
	request({.isOpen = false, .timeoutMs = -1, .target = target});
}

std::optional<RingReader::Outcome> RingReader::takeOutcome() {
	const std::scoped_lock lock(mutex_);
	return std::exchange(outcome_, std::nullopt);
}

frame_ring_status RingReader::read(
	std::uint32_t slot, std::uint64_t sequence, std::span<std::uint8_t> target, frame_ring_taken& taken
) const {
	return frame_ring_read_slot(ring_, slot, sequence, target.data(), target.size(), &taken);
}

void RingReader::stop() {
	if (!thread_.joinable()) return;
	{
		const std::scoped_lock lock(mutex_);
		isStopping_ = true;
	}
	frame_ring_reader_interrupt(ring_);
	requested_.notify_one();
	thread_.join();
}

void RingReader::request(const Request& request) {
	{
		const std::scoped_lock lock(mutex_);
		request_ = request;
	}
	requested_.notify_one();
}

void RingReader::run() {
	std::unique_lock lock(mutex_);
	for (;;) {
		requested_.wait(lock, [this] { return isStopping_ || request_; });
		if (isStopping_) return;
		const Request request = *std::exchange(request_, std::nullopt);
		lock.unlock();
		const Outcome outcome = perform(request);
		lock.lock();
		outcome_ = outcome;
		lock.unlock();
		onOutcome_();
		lock.lock();
	}
}

RingReader::Outcome RingReader::perform(const Request& request) {
	Outcome outcome;
	if (request.isOpen) {
		outcome.status = frame_ring_reader_open(ring_, request.timeoutMs);
	} else {
		do {
			outcome.status = frame_ring_reader_wait(ring_, -1);
			if (outcome.status != FRAME_RING_OK) break;
			outcome.status =
				frame_ring_read_newest(ring_, request.target.data(), request.target.size(), &outcome.taken);
			// Torn, or of nonsense: the next one may be better.
		} while (outcome.status == FRAME_RING_NO_FRAME);
	}
	outcome.error = errno;
	return outcome;
}

}
