#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "frame-ring.h"

namespace allaprima {

/** A ring that is read from, with a thread that sleeps at its doorbell. Throws RingError. */
class RingReader {
public:
	/** What `open` or `next` came to. */
	struct Outcome {
		frame_ring_status status = FRAME_RING_OK;
		/** The errno of FRAME_RING_SYSTEM. */
		int error = 0;
		frame_ring_taken taken{};
	};

	static frame_ring_reader* connect(const std::string& path);
	static frame_ring_reader* adopt(int fd);

	/** Owns `ring`. The thread calls `onOutcome`; `takeOutcome` then has it. */
	RingReader(frame_ring_reader* ring, std::function<void()> onOutcome);
	RingReader(const RingReader&) = delete;
	RingReader& operator=(const RingReader&) = delete;
	~RingReader();

	/** One of the two at a time, until its outcome is there. `target` must live until then, or until `stop`.
	 */
	void open(int timeoutMs);
	void next(std::span<std::uint8_t> target);
	std::optional<Outcome> takeOutcome();

	/** Copies the picture `sequence` from `slot` at once, on the calling thread. */
	frame_ring_status read(
		std::uint32_t slot, std::uint64_t sequence, std::span<std::uint8_t> target, frame_ring_taken& taken
	) const;

	const frame_ring_reader* ring() const { return ring_; }

	/** Ends what the thread is at, and the thread. No target is written to from here. */
	void stop();

private:
	struct Request {
		bool isOpen = false;
		int timeoutMs = 0;
		std::span<std::uint8_t> target;
	};

	void request(const Request& request);
	void run();
	Outcome perform(const Request& request);

	frame_ring_reader* ring_;
	std::function<void()> onOutcome_;
	std::mutex mutex_;
	std::condition_variable requested_;
	std::optional<Request> request_;
	std::optional<Outcome> outcome_;
	bool isStopping_ = false;
	std::thread thread_;
};

}
