#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <mutex>

#include <pthread.h>

namespace allaprima::ndi {

/** Microseconds of CLOCK_MONOTONIC, as sidecar/frame/clock.ts has them. */
inline std::int64_t nowUs() {
	using namespace std::chrono;
	return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

/**
 * A condition variable that waits until a monotonic time. std::condition_variable would do so by
 * pthread_cond_clockwait, which the thread sanitizer of GCC 12 does not know.
 */
class Wake {
public:
	Wake() {
		pthread_condattr_t attributes;
		pthread_condattr_init(&attributes);
		pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
		pthread_cond_init(&condition_, &attributes);
		pthread_condattr_destroy(&attributes);
	}
	Wake(const Wake&) = delete;
	Wake& operator=(const Wake&) = delete;
	~Wake() { pthread_cond_destroy(&condition_); }

	void all() { pthread_cond_broadcast(&condition_); }
	void wait(std::unique_lock<std::mutex>& lock) {
		pthread_cond_wait(&condition_, lock.mutex()->native_handle());
	}
	void waitUntil(std::unique_lock<std::mutex>& lock, std::int64_t untilUs) {
		const timespec until{
			.tv_sec = static_cast<std::time_t>(untilUs / 1'000'000), .tv_nsec = untilUs % 1'000'000 * 1000
		};
		pthread_cond_timedwait(&condition_, lock.mutex()->native_handle(), &until);
	}

private:
	pthread_cond_t condition_;
};

}
