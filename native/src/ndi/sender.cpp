#include "sender.hpp"

#include <utility>

namespace allaprima::ndi {

namespace {

abi::Metadata metadataOf(std::string& text, std::int64_t timecode) {
	return {.length = static_cast<std::int32_t>(text.size() + 1), .timecode = timecode, .data = text.data()};
}

constexpr const char* PRODUCT =
	R"(<ndi_product long_name="Alla Prima" short_name="allaprima" manufacturer="Alla Prima"/>)";

}

Sender::Sender(RuntimePointer runtime, const std::string& name, const std::string& groups)
	: runtime_(std::move(runtime)), instance_(nullptr, Destroy{runtime_}), sourceName_(name) {
	const abi::SendCreate create{
		.name = name.c_str(),
		.groups = groups.empty() ? nullptr : groups.c_str(),
		.clockVideo = false,
		.clockAudio = false
	};
	instance_.reset(runtime_->sendCreate(&create));
	if (!instance_) {
		throw NdiError(
			"NDI_SENDER",
			"NDI's runtime refused a source called \"" + name + "\": is there one of this name already?"
		);
	}
	if (runtime_->sendSourceName) {
		const abi::Source* source = runtime_->sendSourceName(instance_.get());
		if (source && source->name) sourceName_ = source->name;
	}
	setWelcome({});
}

Sender::~Sender() {
	// From here the runtime owns no frame.
	runtime_->sendVideoAsync(instance_.get(), nullptr);
}

void Sender::send(FrameRef pixels, FrameRef facts) {
	const auto fourcc = [&] {
		switch (pixels->kind) {
		case FrameKind::UYVA:
			return abi::UYVA;
		case FrameKind::BGRA:
			return abi::BGRA;
		default:
			return abi::UYVY;
		}
	}();
	const int pairs = (pixels->width + 1) / 2;
	const abi::Video video{
		.width = pixels->width,
		.height = pixels->height,
		.fourcc = fourcc,
		.rateNum = facts->rateNum,
		.rateDen = facts->rateDen,
		.aspect = facts->aspect,
		.format = facts->isInterlaced ? abi::INTERLEAVED : abi::PROGRESSIVE,
		.timecode = facts->timecode,
		.data = pixels->pixels().data(),
		.strideBytes = pixels->kind == FrameKind::BGRA ? 4 * pixels->width : 4 * pairs,
		.metadata = facts->metadata.empty() ? nullptr : facts->metadata.c_str(),
		.timestamp = 0,
	};
	runtime_->sendVideoAsync(instance_.get(), &video);
	pixels_ = std::move(pixels);
	facts_ = std::move(facts);
}

void Sender::sendSound(const Sound& sound) {
	// The runtime writes to none of it.
	const abi::Audio audio{
		.sampleRate = sound.sampleRate,
		.channels = sound.channels,
		.samples = sound.samples,
		.timecode = sound.timecode,
		.fourcc = abi::FLTP,
		.data = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(sound.planes.data())),
		.strideBytes = 4 * sound.samples,
		.metadata = sound.metadata.empty() ? nullptr : sound.metadata.c_str(),
		.timestamp = 0,
	};
	runtime_->sendAudio(instance_.get(), &audio);
}

void Sender::sendNote(const std::string& text, std::int64_t timecode) {
	std::string copy = text;
	const abi::Metadata metadata = metadataOf(copy, timecode);
	runtime_->sendMetadata(instance_.get(), &metadata);
}

void Sender::setWelcome(const std::string& text) {
	if (!runtime_->sendAddConnectionMetadata || !runtime_->sendClearConnectionMetadata) return;
	runtime_->sendClearConnectionMetadata(instance_.get());
	for (std::string part : {std::string(PRODUCT), text}) {
		if (part.empty()) continue;
		const abi::Metadata metadata = metadataOf(part, abi::TIMECODE_NOW);
		runtime_->sendAddConnectionMetadata(instance_.get(), &metadata);
	}
}

std::optional<std::string> Sender::capture(std::uint32_t timeoutMs) {
	abi::Metadata metadata{};
	if (runtime_->sendCapture(instance_.get(), &metadata, timeoutMs) != abi::METADATA) return std::nullopt;
	std::string text;
	if (metadata.data) text.assign(metadata.data, strnlen(metadata.data, NOTE_BYTES_MAX));
	runtime_->sendFreeMetadata(instance_.get(), &metadata);
	return text;
}

int Sender::connections() const {
	return runtime_->sendConnections(instance_.get(), 0);
}

abi::Tally Sender::tally() const {
	abi::Tally tally{};
	runtime_->sendTally(instance_.get(), &tally, 0);
	return tally;
}

void Sender::setFailover(const abi::Source* source) {
	if (runtime_->sendSetFailover) runtime_->sendSetFailover(instance_.get(), source);
}

}
