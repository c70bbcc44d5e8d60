#include "relay.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "frame-reader.hpp"

namespace allaprima::ndi {
namespace {

/** Paintings made ready ahead of their time, and those that are shown, held, in flight or being made. */
constexpr std::size_t READY_MAX = 4, CANVASES = READY_MAX + 8;
constexpr std::size_t CANVAS_BYTES_MAX = std::size_t{1} << 30;
constexpr std::size_t HANDED_OVER_MAX = 64, SPARE_MAX = 8, SOUNDS_MAX = 1024, NOTES_MAX = 1024;
/** Frames that are with the painter, the runtime or the capture, and so not to be had for the delay. */
constexpr std::size_t FRAMES_ELSEWHERE = 6;
constexpr std::int64_t FILL_AFTER_US = 500'000, STOP_US = 2'000'000, SERVE_US = 20'000;
constexpr std::uint32_t CAPTURE_MS = 20;

/** Puts a picture that was fitted so back where it came from. */
Fit backFrom(Fit fit) {
	switch (fit) {
	case Fit::COVER:
		return Fit::CONTAIN;
	case Fit::CONTAIN:
		return Fit::COVER;
	case Fit::STRETCH:
		break;
	}
	return Fit::STRETCH;
}

Picture rgbOf(const cv::Size& size, std::span<std::uint8_t> rgb) {
	Picture picture;
	picture.format = PixelFormat::RGB;
	picture.width = size.width;
	picture.height = size.height;
	picture.data = rgb;
	return picture;
}

/** What is true of one connection alone: who is at its other end, and what that makes of our tally. */
bool isOfOneConnection(const std::string& note) {
	return note.starts_with("<ndi_tally") || note.starts_with("<ndi_product");
}

/** False where it cannot be done: a picture more or less must not end the thread. */
bool tryConvert(PixelConverter& converter, const Picture& source, const Picture& target, Fit fit) {
	try {
		converter.convert(source, target, fit);
		return true;
	} catch (const std::exception&) {
		return false;
	}
}

/** The share of a painting in each pixel; nothing where there is no memory for it: then all of it is shown.
 */
std::shared_ptr<const std::vector<std::uint8_t>>
sharesOf(RegionPainter& region, OwnMask& mask, const Picture& painting, const Picture& picture, Fit fit) {
	try {
		auto shares = std::make_shared<std::vector<std::uint8_t>>();
		region.lay({mask.size, mask.data}, painting, picture, fit, *shares);
		return shares;
	} catch (const std::exception&) {
		return nullptr;
	}
}

bool sameSize(const FrameFacts& a, const FrameFacts& b) {
	return a.width == b.width && a.height == b.height;
}

}

Relay::Relay(
	RuntimePointer runtime,
	std::shared_ptr<Intake> intake,
	std::shared_ptr<FramePool> pool,
	RelayOptions options
)
	: runtime_(std::move(runtime)),
	  intake_(std::move(intake)),
	  pool_(std::move(pool)),
	  canvases_(std::make_shared<FramePool>(CANVASES, CANVAS_BYTES_MAX)),
	  options_(std::move(options)),
	  sender_(std::make_shared<Sender>(runtime_, options_.outputName, options_.outputGroups)),
	  policy_(options_.policy),
	  staleAfterUs_(options_.staleAfterUs),
	  delay_(options_.delayUs) {}

void Relay::start() {
	crew_->start([self = shared_from_this()] { self->sendFrames(); });
	crew_->start([self = shared_from_this()] { self->sendRest(); });
	crew_->start([self = shared_from_this()] { self->serveViewers(); });
	crew_->start([self = shared_from_this()] { self->preparePaintings(); });
}

void Relay::stop() {
	{
		const std::scoped_lock lock(mutex_);
		isStopped_ = true;
		outWake_.all();
		restWake_.all();
		paintWake_.all();
	}
	crew_->waitUntil(nowUs() + STOP_US);
}

// -- What comes in

void Relay::onFrame(const FrameRef& frame) {
	const std::scoped_lock lock(mutex_);
	if (isStopped_) return;
	queue_.push_back(frame);
	arrivals_[frame->sequence % arrivals_.size()] = {
		.sequence = frame->sequence,
		.us = frame->arrivedUs,
		.width = frame->width,
		.height = frame->height,
		.periodUs = frame->periodUs(),
	};
	const auto frames = static_cast<std::int64_t>(pool_->framesOf(frame->byteLength()));
	delay_.setMost(
		std::max<std::int64_t>(frames - static_cast<std::int64_t>(FRAMES_ELSEWHERE), 0) * frame->periodUs()
	);
	outWake_.all();
}

void Relay::onSound(Sound&& sound) {
	const std::scoped_lock lock(mutex_);
	if (sounds_.size() >= SOUNDS_MAX) sounds_.pop_front();
	sounds_.push_back(std::move(sound));
	restWake_.all();
}

void Relay::onNote(Note&& note) {
	if (isOfOneConnection(note.text)) return;
	if (note.text.starts_with("<ndi_capabilities")) {
		// Viewers that come later are to know it too: that it can be steered, for one.
		const std::scoped_lock lock(welcomeMutex_);
		if (note.text != welcome_) sender_->setWelcome(welcome_ = note.text);
	}
	const std::scoped_lock lock(mutex_);
	if (notes_.size() >= NOTES_MAX) notes_.pop_front();
	notes_.push_back(std::move(note));
	restWake_.all();
}

bool Relay::shed() {
	FrameRef oldest; // goes back to the pool after the lock
	const std::scoped_lock lock(mutex_);
	if (queue_.empty()) return false;
	oldest = std::move(queue_.front());
	queue_.pop_front();
	++counts_.dropped;
	return true;
}

// -- The painter's side

void Relay::painted(
	std::uint64_t sequence, cv::Size size, std::span<const std::uint8_t> rgb, std::optional<OwnMask> mask
) {
	std::vector<std::uint8_t> copy;
	{
		const std::scoped_lock lock(mutex_);
		if (isDirect_ || isStopped_ || (lastPainted_ && sequence <= *lastPainted_)) return;
		if (!spare_.empty()) {
			copy = std::move(spare_.back());
			spare_.pop_back();
		}
	}
	copy.assign(rgb.begin(), rgb.end());
	const std::scoped_lock lock(mutex_);
	if (isDirect_) return;
	lastPainted_ = sequence;
	paintedUs_ = nowUs();
	if (handedOver_.size() >= HANDED_OVER_MAX) handedOver_.pop_front();
	handedOver_.push_back({sequence, size, std::move(copy), std::move(mask)});
	paintWake_.all();
}

void Relay::preparePaintings() {
	PixelConverter converter;
	RegionPainter region;
	std::unique_lock lock(mutex_);
	for (;;) {
		while (!isStopped_ && (handedOver_.empty() || ready_.size() >= READY_MAX)) paintWake_.wait(lock);
		if (isStopped_) return;
		// What would be shown no more is not scaled any more.
		while (handedOver_.size() > 1 && handedOver_[1].sequence <= outSequence()) handedOver_.pop_front();
		HandedOver item = std::move(handedOver_.front());
		handedOver_.pop_front();
		const std::uint64_t era = era_;
		const Arrival arrival = arrivals_[item.sequence % arrivals_.size()];
		if (arrival.sequence != item.sequence) continue; // long gone, or never was
		lock.unlock();

		FrameFacts facts;
		facts.kind = FrameKind::UYVY;
		facts.width = arrival.width;
		facts.height = arrival.height;
		facts.sequence = item.sequence;
		FrameRef canvas = canvases_->take(facts.byteLength());
		std::shared_ptr<const std::vector<std::uint8_t>> shares;
		if (canvas) {
			static_cast<FrameFacts&>(*canvas) = std::move(facts);
			const Picture painting = rgbOf(item.size, item.rgb), picture = pictureOf(*canvas);
			const Fit fit = backFrom(options_.fit);
			if (!tryConvert(converter, painting, picture, fit))
				canvas = {};
			else if (item.mask)
				shares = sharesOf(region, *item.mask, painting, picture, fit);
		}

		lock.lock();
		if (spare_.size() < SPARE_MAX) spare_.push_back(std::move(item.rgb));
		if (!canvas || era != era_) continue;
		const std::int64_t now = nowUs();
		ready_.push_back({std::move(canvas), std::move(shares)});
		paintLatencies_.add(now - arrival.us);
		delay_.addLatency(now - arrival.us, now, arrival.periodUs);
		outWake_.all();
	}
}

void Relay::setDirect(bool isDirect) {
	const std::scoped_lock lock(mutex_);
	if (isDirect == isDirect_) return;
	delay_.at(nowUs()); // up to here as it was
	isDirect_ = isDirect;
	delay_.setDirect(isDirect);
	if (isDirect) {
		// Nothing painted before is to come back after the style that wants none.
		++era_;
		handedOver_.clear();
		ready_.clear();
		painting_ = {};
		paintedUs_.reset();
		directLatencies_.clear();
	}
	paintWake_.all();
	outWake_.all();
	restWake_.all();
}

void Relay::setPanic(bool isPanic) {
	{
		const std::scoped_lock lock(mutex_);
		isPanic_ = isPanic;
		outWake_.all();
	}
	updateFailover();
}

void Relay::setPolicy(Policy policy) {
	{
		const std::scoped_lock lock(mutex_);
		policy_ = policy;
		outWake_.all();
	}
	updateFailover();
}

void Relay::setStaleAfter(std::int64_t us) {
	const std::scoped_lock lock(mutex_);
	staleAfterUs_ = us;
}

// -- The output

Situation Relay::situation(std::int64_t now) const {
	Situation situation;
	situation.policy = policy_;
	situation.isPanic = isPanic_;
	situation.isDirect = isDirect_;
	situation.hasPainting = static_cast<bool>(painting_.pixels);
	situation.hasHeld = painting_.pixels || heldSource_;
	if (paintedUs_) situation.paintedAgeUs = now - *paintedUs_;
	situation.staleAfterUs = staleAfterUs_;
	if (heldSinceUs_) situation.heldAgeUs = now - *heldSinceUs_;
	situation.holdUs = options_.holdUs;
	situation.afterHold = options_.afterHold;
	situation.isSourceLast = shown_ == Shown::SOURCE || shown_ == Shown::DIRECT;
	return situation;
}

void Relay::takePaintings(std::uint64_t sequence, std::int64_t now) {
	bool isTaken = false;
	while (!ready_.empty() && ready_.front().pixels->sequence <= sequence) {
		painting_ = std::move(ready_.front());
		ready_.pop_front();
		heldSource_ = {};
		heldSinceUs_ = now;
		isPaintingShown_ = false;
		isTaken = true;
	}
	if (isTaken) paintWake_.all();
}

/** What a frame of the queue leaves as; counted. Nothing where there is no memory. */
std::optional<Relay::Leaving> Relay::leavingOf(const FrameRef& frame, std::int64_t now) {
	takePaintings(frame->sequence, now);
	shown_ = chooseShown(situation(now));
	switch (shown_) {
	case Shown::PAINTING:
		++counts_.painted;
		if (isPaintingShown_) ++counts_.repeated;
		isPaintingShown_ = true;
		return withPixels(paintedOver(frame), frame);
	case Shown::HOLD:
		++counts_.held;
		if (heldSource_) return Leaving{heldSource_, frame};
		return withPixels(withAlphaOf(painting_.pixels, frame), frame);
	case Shown::DIRECT:
		heldSource_ = frame;
		heldSinceUs_ = now;
		++counts_.passed;
		return Leaving{frame, frame};
	case Shown::SOURCE:
		++counts_.passed;
		return Leaving{frame, frame};
	case Shown::SLATE:
	case Shown::NOTHING:
		break;
	}
	++counts_.slate;
	return withPixels(slateFor(frame), frame);
}

/** What is sent while the source is silent: with the facts of its last frame, but for the time. */
std::optional<Relay::Leaving> Relay::filling(std::int64_t now) {
	Situation situation = this->situation(now);
	situation.hasHeld = static_cast<bool>(last_.pixels);
	const bool isSlate = chooseFill(situation, now - lastFrameSentUs_) == Shown::SLATE;
	const FrameRef facts = pool_->take(0);
	if (!facts) return std::nullopt;
	const std::int64_t timecode = last_.facts->timecode;
	static_cast<FrameFacts&>(*facts) = *last_.facts;
	if (timecode != abi::TIMECODE_NOW) facts->timecode = timecode + 10 * (now - lastSentUs_);
	facts->metadata.clear();
	++counts_.filled;
	if (isSlate) shown_ = Shown::SLATE;
	FrameRef pixels = isSlate ? slateFor(last_.facts) : last_.pixels;
	return withPixels(std::move(pixels), facts);
}

std::optional<Relay::Leaving> Relay::withPixels(FrameRef pixels, const FrameRef& frame) {
	if (!pixels) return std::nullopt;
	return Leaving{std::move(pixels), frame};
}

/** The frame, with the painting in that part of it that is to be painted; under `slate` nothing of the source
 * leaves. */
FrameRef Relay::paintedOver(const FrameRef& frame) {
	const auto& [painting, shares] = painting_;
	if (!shares || policy_ == Policy::SLATE || frame->kind == FrameKind::BGRA || !sameSize(*painting, *frame))
		return withAlphaOf(painting, frame);
	FrameRef joined = canvases_->take(frame->byteLength());
	if (!joined) return {};
	static_cast<FrameFacts&>(*joined) = *painting;
	joined->kind = frame->kind;
	std::ranges::copy(frame->pixels(), joined->pixels().begin());
	region_.blend(*shares, pictureOf(*painting), pictureOf(*joined));
	return heldSource_ = joined;
}

/** The painting, with the alpha of a frame where that has some and fits. */
FrameRef Relay::withAlphaOf(const FrameRef& painting, const FrameRef& frame) {
	if (frame->kind != FrameKind::UYVA || !sameSize(*painting, *frame)) return painting;
	FrameRef joined = canvases_->take(frame->byteLength());
	if (!joined) return {};
	static_cast<FrameFacts&>(*joined) = *painting;
	joined->kind = FrameKind::UYVA;
	const std::size_t colours = painting->byteLength();
	std::memcpy(joined->pixels().data(), painting->pixels().data(), colours);
	std::memcpy(
		joined->pixels().data() + colours, frame->pixels().data() + colours, frame->byteLength() - colours
	);
	return joined;
}

/** The slate as a frame such as this, opaque: the shape of its alpha is the source's too. */
FrameRef Relay::slateFor(const FrameRef& frame) {
	if (slate_ && sameSize(*slate_, *frame) && slate_->kind == frame->kind) return slate_;
	FrameRef slate = canvases_->take(frame->byteLength());
	if (!slate) return {};
	FrameFacts facts;
	facts.kind = frame->kind;
	facts.width = frame->width;
	facts.height = frame->height;
	static_cast<FrameFacts&>(*slate) = facts;
	auto rgb = options_.slate;
	if (!tryConvert(slateConverter_, rgbOf(options_.slateSize, rgb), pictureOf(*slate), Fit::COVER))
		return {};
	if (facts.kind == FrameKind::UYVA) {
		const auto alpha = slate->pixels().subspan(uyvyByteLength(facts.width, facts.height));
		std::ranges::fill(alpha, std::uint8_t{255});
	}
	return slate_ = slate;
}

std::int64_t Relay::fillAt() const {
	const std::int64_t period = last_.facts->periodUs();
	// What must not be seen any more does not stay on the viewers' screens meanwhile.
	const bool isUrgent = (isPanic_ || policy_ == Policy::SLATE) && shown_ != Shown::SLATE;
	const std::int64_t silence = isUrgent ? 2 * period : std::max(FILL_AFTER_US, 4 * period);
	return std::max(lastFrameSentUs_ + silence, nextFillUs_);
}

void Relay::sendFrames() {
	std::unique_lock lock(mutex_);
	while (!isStopped_) {
		std::int64_t now = nowUs();
		delayNowUs_ = delay_.at(now);
		std::optional<Leaving> leaving;
		FrameRef frame;
		std::int64_t dueUs = 0;
		if (!queue_.empty()) {
			dueUs = queue_.front()->arrivedUs + delayNowUs_;
			if (now < dueUs) {
				outWake_.waitUntil(lock, dueUs);
				continue;
			}
			frame = std::move(queue_.front());
			queue_.pop_front();
			leaving = leavingOf(frame, now);
			lastSequence_ = frame->sequence;
			nextFillUs_ = 0;
			if (!leaving) ++counts_.dropped;
		} else if (last_.facts) {
			if (now < fillAt()) {
				outWake_.waitUntil(lock, fillAt());
				continue;
			}
			leaving = filling(now);
			nextFillUs_ = std::max(fillAt(), now - last_.facts->periodUs()) + last_.facts->periodUs();
		} else {
			outWake_.wait(lock);
			continue;
		}
		if (!leaving) continue;
		const Shown shown = shown_;
		lock.unlock();
		sender_->send(leaving->pixels, leaving->facts);
		lock.lock();
		now = nowUs();
		if (frame) {
			lastFrameSentUs_ = now;
			if (now - dueUs > frame->periodUs()) ++counts_.late;
			if (shown == Shown::DIRECT) directLatencies_.add(now - frame->arrivedUs);
		}
		lastSentUs_ = now;
		last_ = std::move(*leaving);
	}
}

/** Sound and metadata, delayed as the frames are. */
void Relay::sendRest() {
	std::unique_lock lock(mutex_);
	while (!isStopped_) {
		const std::int64_t now = nowUs();
		const std::int64_t delay = delay_.at(now);
		const std::int64_t soundUs = sounds_.empty() ? INT64_MAX : sounds_.front().arrivedUs + delay;
		const std::int64_t noteUs = notes_.empty() ? INT64_MAX : notes_.front().arrivedUs + delay;
		if (soundUs == INT64_MAX && noteUs == INT64_MAX) {
			restWake_.wait(lock);
		} else if (std::min(soundUs, noteUs) > now) {
			restWake_.waitUntil(lock, std::min(soundUs, noteUs));
		} else if (soundUs <= noteUs) {
			const Sound sound = std::move(sounds_.front());
			sounds_.pop_front();
			lock.unlock();
			sender_->sendSound(sound);
			lock.lock();
		} else {
			const Note note = std::move(notes_.front());
			notes_.pop_front();
			lock.unlock();
			sender_->sendNote(note.text, note.timecode);
			++metadataOut_;
			lock.lock();
		}
	}
}

// -- What comes from the viewers

void Relay::serveViewers() {
	abi::Tally told{};
	for (;;) {
		const std::int64_t started = nowUs();
		const auto text = sender_->capture(CAPTURE_MS);
		if (text && !text->empty() && !isOfOneConnection(*text)) intake_->sendNote(*text);
		const abi::Tally tally = sender_->tally();
		const bool isNew = isTallyNew_.exchange(false);
		if (isNew || tally.onProgram != told.onProgram || tally.onPreview != told.onPreview)
			intake_->setTally(tally);
		told = tally;
		isOnProgram_ = tally.onProgram;
		isOnPreview_ = tally.onPreview;
		const int connections = sender_->connections();
		if (connections_.exchange(connections) != connections) intake_->wakeWaiters();
		updateFailover();
		std::unique_lock lock(mutex_);
		if (isStopped_) return;
		// The runtime does not wait where there is nobody to wait for.
		if (!text && nowUs() - started < SERVE_US / 2) restWake_.waitUntil(lock, started + SERVE_US);
		if (isStopped_) return;
	}
}

void Relay::updateFailover() {
	const Intake::State source = intake_->state();
	const std::scoped_lock lock(failoverMutex_);
	bool isWanted = false;
	{
		const std::scoped_lock inner(mutex_);
		isWanted =
			options_.wantsFailover && policy_ == Policy::PASSTHROUGH && !isPanic_ && !source.url.empty();
	}
	if (!isWanted) {
		if (isFailoverSet_) sender_->setFailover(nullptr);
		isFailoverSet_ = false;
		return;
	}
	if (!sender_->hasFailover()) return;
	if (isFailoverSet_ && failoverName_ == source.name && failoverUrl_ == source.url) return;
	failoverName_ = source.name;
	failoverUrl_ = source.url;
	const abi::Source target{.name = failoverName_.c_str(), .url = failoverUrl_.c_str()};
	sender_->setFailover(&target);
	isFailoverSet_ = true;
}

Relay::State Relay::state() {
	State state;
	state.connections = connections_;
	state.tally = {.onProgram = isOnProgram_, .onPreview = isOnPreview_};
	state.metadataOut = metadataOut_;
	state.sourceName = sender_->sourceName();
	{
		const std::scoped_lock lock(failoverMutex_);
		state.isFailoverSet = isFailoverSet_;
	}
	const std::scoped_lock lock(mutex_);
	const std::int64_t now = nowUs();
	state.counts = counts_;
	if (last_.facts) state.sentAgeUs = now - lastSentUs_;
	if (paintedUs_) state.paintedAgeUs = now - *paintedUs_;
	const Latencies& latencies = isDirect_ ? directLatencies_ : paintLatencies_;
	if (latencies.count() > 0)
		state.latencyUs = {*latencies.quantile(0.5), *latencies.quantile(0.95), *latencies.quantile(0.99)};
	state.delayUs = delayNowUs_;
	state.shown = shown_;
	return state;
}

}
