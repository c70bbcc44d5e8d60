#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "frame-pool.hpp"
#include "intake.hpp"
#include "runtime.hpp"

namespace allaprima::ndi {

/** A source that is to be found, and what its viewers send. Frames are sent by one thread. */
class Sender {
public:
	/** Throws NdiError. */
	Sender(RuntimePointer runtime, const std::string& name, const std::string& groups);
	Sender(const Sender&) = delete;
	Sender& operator=(const Sender&) = delete;
	~Sender();

	/**
	 * Sends the pixels of one frame with the facts of another (or the same), both held until the runtime is
	 * done with them: when the next one is sent.
	 */
	void send(FrameRef pixels, FrameRef facts);
	void sendSound(const Sound& sound);
	void sendNote(const std::string& text, std::int64_t timecode);
	/** What each viewer is told when it comes, besides who this is. */
	void setWelcome(const std::string& text);

	/** Metadata of a viewer, waiting for at most so long. */
	std::optional<std::string> capture(std::uint32_t timeoutMs);
	int connections() const;
	abi::Tally tally() const;
	const std::string& sourceName() const { return sourceName_; }

	/** Sends viewers there when this dies; without a source to nowhere. */
	void setFailover(const abi::Source* source);
	bool hasFailover() const { return runtime_->sendSetFailover != nullptr; }

private:
	struct Destroy {
		RuntimePointer runtime;
		void operator()(abi::SendInstance* instance) const { runtime->sendDestroy(instance); }
	};

	RuntimePointer runtime_;
	std::unique_ptr<abi::SendInstance, Destroy> instance_;
	std::string sourceName_;
	FrameRef pixels_, facts_; // in flight
};

}
