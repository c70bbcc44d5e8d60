#include "intake.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace allaprima::ndi {
namespace {

constexpr std::uint32_t CAPTURE_MS = 50;
constexpr std::int64_t KEEP_US = 100'000;
constexpr int SAMPLES_MAX = 1 << 20, CHANNELS_MAX = 1024, SAMPLE_RATE_MAX = 1'000'000;
constexpr std::int64_t SOUND_BYTES_MAX = 64 << 20;
/** A receiver that hangs costs two threads; no more than this many are left behind. */
constexpr int THREADS_MAX = 9;
constexpr std::int64_t STOP_US = 2'000'000;

const char* orNull(const std::string& text) {
	return text.empty() ? nullptr : text.c_str();
}

bool isGood(const abi::Audio& audio) {
	return audio.fourcc == abi::FLTP && audio.data && audio.samples > 0 && audio.samples <= SAMPLES_MAX &&
		audio.channels > 0 && audio.channels <= CHANNELS_MAX && audio.sampleRate > 0 &&
		audio.sampleRate <= SAMPLE_RATE_MAX && audio.strideBytes >= 4 * audio.samples &&
		static_cast<std::int64_t>(audio.strideBytes) * audio.channels <= SOUND_BYTES_MAX;
}

/** A runtime that answers at once that there is nothing, as it does when a connection fails, is not asked
 * faster. */
void rest(std::int64_t startedUs, std::int64_t endedUs) {
	if (endedUs - startedUs < 1000) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

Sound soundOf(const abi::Audio& audio, std::int64_t arrivedUs) {
	Sound sound;
	sound.sampleRate = audio.sampleRate;
	sound.channels = audio.channels;
	sound.samples = audio.samples;
	sound.timecode = audio.timecode;
	sound.arrivedUs = arrivedUs;
	if (audio.metadata) sound.metadata.assign(audio.metadata, strnlen(audio.metadata, NOTE_BYTES_MAX));
	const auto samples = static_cast<std::size_t>(audio.samples);
	sound.planes.resize(samples * static_cast<std::size_t>(audio.channels));
	for (int channel = 0; channel < audio.channels; ++channel) {
		const auto index = static_cast<std::size_t>(channel);
		std::memcpy(
			sound.planes.data() + index * samples,
			audio.data + index * static_cast<std::size_t>(audio.strideBytes),
			4 * samples
		);
	}
	return sound;
}

}

Intake::Intake(RuntimePointer runtime, IntakeOptions options, std::shared_ptr<FramePool> pool)
	: runtime_(std::move(runtime)), options_(std::move(options)), pool_(std::move(pool)), url_(options_.url) {
	if (options_.url.empty()) return;
	name_ = options_.name;
}

void Intake::start(std::weak_ptr<IntakeListener> listener) {
	listener_ = std::move(listener);
	{
		const std::scoped_lock lock(mutex_); // the relay's threads may ask for the state already
		connectedUs_ = lastRestartUs_ = nowUs();
	}
	if (!url_.empty()) connect();
	crew_->start([self = shared_from_this()] { self->keep(); });
}

void Intake::stop() {
	{
		const std::scoped_lock lock(mutex_);
		isStopped_ = true;
		changed_.all();
	}
	crew_->waitUntil(nowUs() + STOP_US);
	const std::scoped_lock lock(mutex_);
	connection_.reset();
	newest_ = {};
}

abi::Source Intake::target() const {
	// By its address alone a source is reached without anyone looking for it.
	return {.name = options_.url.empty() ? orNull(name_) : nullptr, .url = orNull(url_)};
}

/** Makes a receiver and its threads; the one before is retired. */
void Intake::connect() {
	abi::RecvCreate create{
		.source = target(),
		.colorFormat = abi::COLOR_FASTEST,
		.bandwidth = abi::BANDWIDTH_HIGHEST,
		.allowVideoFields = options_.keepsFields,
		.receiverName = orNull(options_.receiverName),
	};
	abi::RecvInstance* const instance = runtime_->recvCreate(&create);
	if (!instance) throw NdiError("NDI_RECEIVER", "NDI's runtime refused to make a receiver.");
	const auto connection = std::make_shared<Connection>(runtime_, instance);
	if (runtime_->recvAddConnectionMetadata) {
		char text[] =
			R"(<ndi_product long_name="Alla Prima" short_name="allaprima" manufacturer="Alla Prima"/>)";
		const abi::Metadata product{.length = sizeof(text), .timecode = abi::TIMECODE_NOW, .data = text};
		runtime_->recvAddConnectionMetadata(instance, &product);
	}
	ConnectionPointer before;
	{
		const std::scoped_lock lock(mutex_);
		before = std::exchange(connection_, connection);
		if (before) before->isRetired = true;
	}
	crew_->start([self = shared_from_this(), connection] { self->captureVideo(connection); });
	crew_->start([self = shared_from_this(), connection] { self->captureRest(connection); });
	if (const auto listener = listener_.lock()) listener->onReceiver();
}

void Intake::reconnect() {
	const ConnectionPointer current = connection();
	if (!current) return;
	const abi::Source source = target();
	runtime_->recvConnect(current->instance, nullptr);
	runtime_->recvConnect(current->instance, &source);
}

Intake::ConnectionPointer Intake::connection() const {
	const std::scoped_lock lock(mutex_);
	return connection_;
}

void Intake::captureVideo(const ConnectionPointer& connection) {
	FrameReader reader(pool_, options_.keepsAlpha);
	while (!isStopped_ && !connection->isRetired) {
		abi::Video video{};
		const std::int64_t startedUs = nowUs();
		const auto type = runtime_->recvCapture(connection->instance, &video, nullptr, nullptr, CAPTURE_MS);
		const std::int64_t arrivedUs = nowUs();
		if (type != abi::VIDEO) {
			rest(startedUs, arrivedUs);
			continue;
		}
		FrameReader::Outcome outcome;
		try {
			outcome = reader.read(video, arrivedUs);
			while (outcome.isFull) {
				const auto listener = listener_.lock();
				if (!listener || !listener->shed()) break;
				if (outcome.lone) deliver(connection, std::move(outcome.lone));
				outcome = reader.read(video, arrivedUs);
			}
		} catch (const std::exception& error) {
			outcome = {};
			outcome.dropReason = error.what();
		}
		runtime_->recvFreeVideo(connection->instance, &video);
		if (!outcome.dropReason.empty()) drop(outcome.dropReason);
		if (outcome.lone) deliver(connection, std::move(outcome.lone));
		if (outcome.frame) deliver(connection, std::move(outcome.frame));
	}
}

void Intake::deliver(const ConnectionPointer& connection, FrameRef frame) {
	const auto listener = listener_.lock();
	// One at a time and none of a retired receiver, so that the frames stay in order.
	const std::scoped_lock lock(mutex_);
	if (isStopped_ || connection->isRetired) return;
	frame->sequence = nextSequence_++;
	lastFrameUs_ = frame->arrivedUs;
	hasReconnected_ = false;
	newest_ = frame;
	if (listener) listener->onFrame(frame);
	changed_.all();
}

void Intake::drop(const std::string& reason) {
	++framesDropped_;
	const std::scoped_lock lock(mutex_);
	dropReason_ = reason;
}

void Intake::captureRest(const ConnectionPointer& connection) {
	while (!isStopped_ && !connection->isRetired) {
		abi::Audio audio{};
		abi::Metadata metadata{};
		const std::int64_t startedUs = nowUs();
		const auto type = runtime_->recvCapture(connection->instance, nullptr, &audio, &metadata, CAPTURE_MS);
		const std::int64_t arrivedUs = nowUs();
		const auto listener = listener_.lock();
		if (type == abi::AUDIO) {
			if (isGood(audio)) {
				++audioFrames_;
				if (listener && !connection->isRetired) listener->onSound(soundOf(audio, arrivedUs));
			}
			runtime_->recvFreeAudio(connection->instance, &audio);
		} else if (type == abi::METADATA) {
			if (metadata.data) {
				Note note{{}, metadata.timecode, arrivedUs};
				note.text.assign(metadata.data, strnlen(metadata.data, NOTE_BYTES_MAX));
				++metadataIn_;
				if (listener && !connection->isRetired) listener->onNote(std::move(note));
			}
			runtime_->recvFreeMetadata(connection->instance, &metadata);
		} else {
			rest(startedUs, arrivedUs);
		}
	}
}

void Intake::keep() {
	std::optional<Finder> finder;
	while (!isStopped_) {
		try {
			if (options_.url.empty()) {
				if (!finder) finder.emplace(runtime_, options_.groups, options_.extraIps);
				lookForName(*finder);
			}
			climb(nowUs());
		} catch (const std::exception& error) {
			drop(error.what()); // and again a while later
		}
		std::unique_lock lock(mutex_);
		if (!isStopped_) changed_.waitUntil(lock, nowUs() + KEEP_US);
	}
}

/** Connects to the source that has the name, if it is another one than before or nothing comes from there. */
void Intake::lookForName(Finder& finder) {
	{
		const std::scoped_lock lock(mutex_);
		if (!url_.empty() && nowUs() - std::max(lastFrameUs_, connectedUs_) < RECONNECT_US / 2) return;
	}
	const auto found = finder.find(options_.name);
	if (!found) return;
	bool isFirst = false;
	{
		const std::scoped_lock lock(mutex_);
		if (found->url == url_ && found->name == name_) return;
		isFirst = connection_ == nullptr;
		name_ = found->name;
		url_ = found->url;
		connectedUs_ = nowUs();
		if (!isFirst) ++reconnects_;
	}
	if (isFirst) {
		connect();
	} else {
		reconnect();
	}
}

void Intake::climb(std::int64_t now) {
	enum class Step { NONE, RECONNECT, RESTART } step = Step::NONE;
	{
		const std::scoped_lock lock(mutex_);
		if (url_.empty() || isStopped_) return;
		// A source of one frame a second is not silent.
		const std::int64_t slow = newest_ ? 4 * newest_->periodUs() : 0;
		const std::int64_t silentUs = now - std::max(lastFrameUs_, connectedUs_);
		if (silentUs >= std::max(RESTART_US, slow) && now - lastRestartUs_ >= RESTART_AGAIN_US) {
			if (crew_->running() < THREADS_MAX) step = Step::RESTART;
			lastRestartUs_ = now;
		} else if (silentUs >= std::max(RECONNECT_US, slow) && !hasReconnected_) {
			step = Step::RECONNECT;
			hasReconnected_ = true;
			// The restart comes as long after the last frame, whenever the one before was.
			lastRestartUs_ = std::max(lastFrameUs_, connectedUs_) + RESTART_US - RESTART_AGAIN_US;
		}
		if (step == Step::RECONNECT) ++reconnects_;
		if (step == Step::RESTART) ++restarts_;
	}
	if (step == Step::RECONNECT) reconnect();
	if (step == Step::RESTART) connect();
}

FrameRef Intake::waitForFrame(std::int64_t after, std::int64_t untilUs) {
	std::unique_lock lock(mutex_);
	const auto isThere = [&] { return newest_ && static_cast<std::int64_t>(newest_->sequence) > after; };
	if (!isThere() && !isStopped_ && nowUs() < untilUs) changed_.waitUntil(lock, untilUs);
	return isThere() && !isStopped_ ? newest_ : FrameRef();
}

void Intake::wakeWaiters() {
	const std::scoped_lock lock(mutex_);
	changed_.all();
}

void Intake::sendNote(const std::string& text) {
	const ConnectionPointer current = connection();
	if (!current) return;
	std::string copy = text;
	const abi::Metadata note{
		.length = static_cast<std::int32_t>(copy.size() + 1),
		.timecode = abi::TIMECODE_NOW,
		.data = copy.data()
	};
	runtime_->recvSendMetadata(current->instance, &note);
}

void Intake::setTally(const abi::Tally& tally) {
	if (const ConnectionPointer current = connection()) runtime_->recvSetTally(current->instance, &tally);
}

Intake::State Intake::state() const {
	State state;
	state.framesDropped = framesDropped_;
	state.audioFrames = audioFrames_;
	state.metadataIn = metadataIn_;
	const std::scoped_lock lock(mutex_);
	state.framesIn = nextSequence_;
	state.reconnects = reconnects_;
	state.restarts = restarts_;
	state.dropReason = dropReason_;
	state.name = name_;
	state.url = url_;
	const std::int64_t now = nowUs();
	if (nextSequence_ > 0) {
		state.frameAgeUs = now - lastFrameUs_;
		const std::int64_t slow = newest_ ? 4 * newest_->periodUs() : 0;
		state.input =
			*state.frameAgeUs >= std::max(STALE_US, slow) ? InputState::STALE : InputState::RECEIVING;
	} else if (!url_.empty() && now - connectedUs_ >= STALE_US) {
		state.input = InputState::STALE;
	}
	return state;
}

}
