#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include <dlfcn.h>

#include "fake-libndi.h"
#include "ndi/runtime.hpp"
#include "ndi/wake.hpp"

/** A fake runtime that the build made: "", "old", "broken", "version-4", "version-7", "no-cpu" or "no-start".
 */
inline std::string fakePath(const std::string& kind = {}) {
	return std::string(FAKE_LIBNDI_FOLDER) + "/libfake-ndi" + (kind.empty() ? "" : "-" + kind) + ".so";
}

/** The fake runtime, opened, as it was at first. */
struct Fake {
	explicit Fake(const std::string& kind = {}) : runtime(allaprima::ndi::openRuntime(fakePath(kind))) {
		void* library = dlopen(runtime->path.c_str(), RTLD_NOW | RTLD_NOLOAD);
		controls = reinterpret_cast<fake_controls_function>(dlsym(library, "fake_ndi_controls"))();
		controls->reset();
	}
	~Fake() { controls->reset(); }

	/** A grey frame; alpha 77 where it has some. */
	void push(
		std::int64_t timecode,
		std::uint8_t luma,
		bool hasAlpha = false,
		int format = 1,
		int width = 64,
		int height = 32
	) const {
		const auto colours = static_cast<std::size_t>(2 * width * height),
				   alpha = static_cast<std::size_t>(width * height);
		auto* data = static_cast<std::uint8_t*>(std::malloc(colours + alpha));
		std::memset(data, luma, colours);
		std::memset(data + colours, 77, alpha);
		const fake_video frame{
			.width = width,
			.height = height,
			.fourcc = hasAlpha ? allaprima::ndi::abi::UYVA : allaprima::ndi::abi::UYVY,
			.rate_num = 100,
			.rate_den = 1,
			.aspect = 2,
			.format = format,
			.timecode = timecode,
			.data = data,
			.stride_bytes = 2 * width,
			.metadata = "<m/>",
			.timestamp = 0,
		};
		controls->push_video(&frame);
	}

	fake_counts counts() const {
		fake_counts counts{};
		controls->counts(&counts);
		return counts;
	}

	fake_sent sent(int index) const {
		fake_sent frame{};
		controls->sent(index, &frame);
		return frame;
	}

	allaprima::ndi::RuntimePointer runtime;
	const fake_controls* controls;
};

/** Whether it comes true in time. */
template <typename Condition>
bool eventually(Condition condition, std::int64_t timeoutMs = 10'000) {
	const std::int64_t until = allaprima::ndi::nowUs() + 1000 * timeoutMs;
	while (!condition()) {
		if (allaprima::ndi::nowUs() > until) return false;
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
	}
	return true;
}
