#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crew.hpp"
#include "finder.hpp"
#include "frame-pool.hpp"
#include "frame-reader.hpp"
#include "runtime.hpp"
#include "wake.hpp"

namespace allaprima::ndi {

struct IntakeOptions {
	std::string name, url, groups, extraIps, receiverName;
	bool keepsFields = true;
	bool keepsAlpha = true;
};

/** Sound as NDI has it: planes of floats. */
struct Sound {
	int sampleRate = 0;
	int channels = 0;
	int samples = 0;
	std::int64_t timecode = 0;
	std::int64_t arrivedUs = 0;
	std::string metadata;
	std::vector<float> planes; // [channels, samples]
};

constexpr std::size_t NOTE_BYTES_MAX = 1 << 20;

struct Note {
	std::string text;
	std::int64_t timecode = 0;
	std::int64_t arrivedUs = 0;
};

/** What comes in, on the threads of the intake. */
class IntakeListener {
public:
	virtual ~IntakeListener() = default;
	virtual void onFrame(const FrameRef& frame) = 0;
	virtual void onSound(Sound&& sound) = 0;
	virtual void onNote(Note&& note) = 0;
	/** The pool is empty: gives a frame back, if there is one that can be spared. */
	virtual bool shed() = 0;
	/** There is another receiver, which knows nothing of tally yet. */
	virtual void onReceiver() = 0;
};

enum class InputState { WAITING, RECEIVING, STALE };

/**
 * Receives a source on threads of its own and climbs the ladder while no frame comes: connects again after 1
 * s, makes the receiver anew after 3 s and every 5 s from there, is stale after 8 s. A thread that hangs in
 * the runtime is left behind with its receiver.
 */
class Intake : public std::enable_shared_from_this<Intake> {
public:
	static constexpr std::int64_t RECONNECT_US = 1'000'000, RESTART_US = 3'000'000, STALE_US = 8'000'000,
								  RESTART_AGAIN_US = 5'000'000;

	Intake(RuntimePointer runtime, IntakeOptions options, std::shared_ptr<FramePool> pool);

	/** The listener is told for as long as it lives. Throws NdiError, std::system_error. */
	void start(std::weak_ptr<IntakeListener> listener);
	/** Ends the threads. No listener hears of anything afterwards. */
	void stop();

	/** The newest frame after `sequence` (-1: any), waiting until the time; null when none came or `stop`
	 * did. */
	FrameRef waitForFrame(std::int64_t after, std::int64_t untilUs);
	/** Ends every wait that `isEnough` would end. */
	void wakeWaiters();

	/** Metadata and tally, up to the source. */
	void sendNote(const std::string& text);
	void setTally(const abi::Tally& tally);

	struct State {
		InputState input = InputState::WAITING;
		std::uint64_t framesIn = 0, framesDropped = 0, audioFrames = 0, metadataIn = 0;
		std::uint64_t reconnects = 0, restarts = 0;
		std::string dropReason;
		std::optional<std::int64_t> frameAgeUs;
		std::string name, url;
	};
	State state() const;
	bool hasSound() const { return audioFrames_ > 0; }

private:
	/** A receiver of the runtime; threads that use it hold it. */
	struct Connection {
		Connection(RuntimePointer owner, abi::RecvInstance* receiver)
			: runtime(std::move(owner)), instance(receiver) {}
		Connection(const Connection&) = delete;
		Connection& operator=(const Connection&) = delete;
		~Connection() { runtime->recvDestroy(instance); }

		RuntimePointer runtime;
		abi::RecvInstance* instance;
		std::atomic<bool> isRetired{false};
	};
	using ConnectionPointer = std::shared_ptr<Connection>;

	void connect();
	void reconnect();
	abi::Source target() const;
	ConnectionPointer connection() const;
	void captureVideo(const ConnectionPointer& connection);
	void captureRest(const ConnectionPointer& connection);
	void deliver(const ConnectionPointer& connection, FrameRef frame);
	void drop(const std::string& reason);
	void keep();
	void lookForName(Finder& finder);
	void climb(std::int64_t now);
	bool isStopped() const { return isStopped_; }

	const RuntimePointer runtime_;
	const IntakeOptions options_;
	const std::shared_ptr<FramePool> pool_;
	std::weak_ptr<IntakeListener> listener_;

	mutable std::mutex mutex_;
	Wake changed_;
	ConnectionPointer connection_;
	std::string name_, url_; // of the source that is asked
	FrameRef newest_;
	std::uint64_t nextSequence_ = 0;
	std::int64_t lastFrameUs_ = 0, connectedUs_ = 0, lastRestartUs_ = 0;
	bool hasReconnected_ = false;
	std::string dropReason_;
	std::uint64_t reconnects_ = 0, restarts_ = 0;
	std::atomic<std::uint64_t> framesDropped_{0}, audioFrames_{0}, metadataIn_{0};
	std::atomic<bool> isStopped_{false};
	std::shared_ptr<Crew> crew_ = std::make_shared<Crew>();
};

}
