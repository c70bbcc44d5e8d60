#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "wake.hpp"

namespace allaprima::ndi {

/**
 * Threads that call into the runtime, which may never let them come back. They are waited for, but not for
 * ever; work must hold whatever it touches.
 */
class Crew : public std::enable_shared_from_this<Crew> {
public:
	template <typename Work>
	void start(Work work) {
		{
			const std::scoped_lock lock(mutex_);
			++running_;
		}
		try {
			std::thread([crew = shared_from_this(), held = std::move(work)]() mutable {
				{
					// What the work holds ends with it, before its end is told.
					const Work own = std::move(held);
					own();
				}
				crew->leave();
			}).detach();
		} catch (...) {
			leave();
			throw;
		}
	}

	/** True if all have come back by then. */
	bool waitUntil(std::int64_t untilUs) {
		std::unique_lock lock(mutex_);
		while (running_ > 0 && nowUs() < untilUs) left_.waitUntil(lock, untilUs);
		return running_ == 0;
	}

	int running() const {
		const std::scoped_lock lock(mutex_);
		return running_;
	}

private:
	void leave() {
		const std::scoped_lock lock(mutex_);
		--running_;
		left_.all();
	}

	mutable std::mutex mutex_;
	Wake left_;
	int running_ = 0;
};

}
