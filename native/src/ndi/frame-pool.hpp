#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "abi.hpp"

namespace allaprima::ndi {

enum class FrameKind { UYVY, UYVA, BGRA };

constexpr std::size_t uyvyByteLength(int width, int height) {
	return 4 * ((static_cast<std::size_t>(width) + 1) / 2) * static_cast<std::size_t>(height);
}

/** A row of the plane of alpha behind UYVY: NDI has it half as long as a row of colours. */
constexpr std::size_t alphaRowBytes(int width) {
	return 2 * ((static_cast<std::size_t>(width) + 1) / 2);
}

constexpr std::size_t frameByteLength(FrameKind kind, int width, int height) {
	const auto rows = static_cast<std::size_t>(height);
	if (kind == FrameKind::BGRA) return 4 * static_cast<std::size_t>(width) * rows;
	return uyvyByteLength(width, height) + (kind == FrameKind::UYVA ? alphaRowBytes(width) * rows : 0);
}

/** What is known of a frame besides its pixels. */
struct FrameFacts {
	FrameKind kind = FrameKind::UYVY;
	int width = 0;
	int height = 0;
	bool isInterlaced = false;
	int rateNum = 30;
	int rateDen = 1;
	/** Width to height; 0: pixels are square. */
	float aspect = 0;
	std::int64_t timecode = 0;
	/** XML that came with the frame; empty: none. */
	std::string metadata;
	std::uint64_t sequence = 0;
	std::int64_t arrivedUs = 0;

	std::int64_t periodUs() const { return 1'000'000LL * rateDen / rateNum; }
	std::size_t byteLength() const { return frameByteLength(kind, width, height); }
};

class FramePool;

/** A frame of the pool: rows tight, and behind UYVY, for UYVA, a plane of alpha. */
struct Frame : FrameFacts {
	std::span<std::uint8_t> pixels() const { return {memory_.get(), byteLength()}; }
	std::uint8_t* memory() const { return memory_.get(); }

private:
	friend class FramePool;
	friend class FrameRef;
	struct Free {
		void operator()(std::uint8_t* bytes) const { std::free(bytes); }
	};

	std::unique_ptr<std::uint8_t, Free> memory_;
	std::size_t capacity = 0;
	std::atomic<int> references{0};
	std::shared_ptr<FramePool> pool; // while it is lent
};

/** Holds a frame; the last holder's end gives it back to the pool. */
class FrameRef {
public:
	FrameRef() = default;
	explicit FrameRef(Frame* frame) : frame_(frame) { hold(); }
	FrameRef(const FrameRef& other) : frame_(other.frame_) { hold(); }
	FrameRef(FrameRef&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
	FrameRef& operator=(FrameRef other) noexcept {
		std::swap(frame_, other.frame_);
		return *this;
	}
	~FrameRef() { release(); }

	explicit operator bool() const { return frame_ != nullptr; }
	Frame* operator->() const { return frame_; }
	Frame& operator*() const { return *frame_; }

private:
	void hold() const {
		if (frame_) frame_->references.fetch_add(1, std::memory_order_relaxed);
	}
	void release();

	Frame* frame_ = nullptr;
};

/** Memory for frames, bounded in bytes and never more than was in use at once. */
class FramePool : public std::enable_shared_from_this<FramePool> {
public:
	FramePool(std::size_t framesMax, std::size_t bytesMax) : framesMax_(framesMax), bytesMax_(bytesMax) {}

	/** A frame with room for `bytes`, its facts those of anyone; null when there is no room. */
	FrameRef take(std::size_t bytes) {
		const std::scoped_lock lock(mutex_);
		if (!reserve(bytes)) return {};
		Frame* frame = idle_.back();
		idle_.pop_back();
		frame->pool = shared_from_this();
		return FrameRef(frame);
	}

	std::size_t used() const {
		const std::scoped_lock lock(mutex_);
		return frames_.size() - idle_.size();
	}

	/** How many frames of this size there may be. */
	std::size_t framesOf(std::size_t bytes) const {
		return std::min(framesMax_, bytesMax_ / std::max<std::size_t>(bytes, 1));
	}

private:
	friend class FrameRef;

	/** Brings a frame with enough room to the end of the idle ones. */
	bool reserve(std::size_t bytes) {
		for (std::size_t i = idle_.size(); i-- > 0;) {
			if (idle_[i]->capacity < bytes) continue;
			std::swap(idle_[i], idle_.back());
			return true;
		}
		// A source that grew leaves small ones behind: they make room.
		while (!idle_.empty() && (frames_.size() >= framesMax_ || bytes_ + bytes > bytesMax_)) {
			Frame* const small = idle_.back();
			idle_.pop_back();
			bytes_ -= small->capacity;
			std::erase_if(frames_, [&](const auto& frame) { return frame.get() == small; });
		}
		if (frames_.size() >= framesMax_ || bytes_ + bytes > bytesMax_) return false;
		auto frame = std::make_unique<Frame>();
		const std::size_t capacity = (bytes + 63) / 64 * 64;
		frame->memory_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(64, capacity)));
		if (!frame->memory_) return false;
		frame->capacity = capacity;
		bytes_ += capacity;
		idle_.push_back(frame.get());
		frames_.push_back(std::move(frame));
		return true;
	}

	void giveBack(Frame* frame) {
		const std::scoped_lock lock(mutex_);
		idle_.push_back(frame);
	}

	const std::size_t framesMax_, bytesMax_;
	mutable std::mutex mutex_;
	std::vector<std::unique_ptr<Frame>> frames_;
	std::vector<Frame*> idle_;
	std::size_t bytes_ = 0;
};

inline void FrameRef::release() {
	if (!frame_ || frame_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
	const std::shared_ptr<FramePool> pool = std::move(frame_->pool);
	pool->giveBack(frame_);
}

}
