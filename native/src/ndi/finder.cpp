#include "finder.hpp"

#include <utility>

namespace allaprima::ndi {

namespace {

const char* orNull(const std::string& text) {
	return text.empty() ? nullptr : text.c_str();
}

}

Finder::Finder(RuntimePointer runtime, const std::string& groups, const std::string& extraIps)
	: runtime_(std::move(runtime)), instance_(nullptr, Destroy{runtime_}) {
	const abi::FindCreate create{
		.showLocalSources = true, .groups = orNull(groups), .extraIps = orNull(extraIps)
	};
	instance_.reset(runtime_->findCreate(&create));
	if (!instance_) throw NdiError("NDI_FINDER", "NDI's runtime refused to look for sources.");
}

bool Finder::wait(std::chrono::milliseconds timeout) {
	return runtime_->findWait(instance_.get(), static_cast<std::uint32_t>(timeout.count()));
}

std::vector<FoundSource> Finder::sources() {
	std::uint32_t count = 0;
	const abi::Source* first = runtime_->findSources(instance_.get(), &count);
	std::vector<FoundSource> found;
	for (std::uint32_t i = 0; first && i < count; ++i) {
		if (first[i].name) found.push_back({first[i].name, first[i].url ? first[i].url : ""});
	}
	return found;
}

std::optional<FoundSource> Finder::find(const std::string& name) {
	const auto found = sources();
	for (const FoundSource& source : found) {
		if (source.name == name) return source;
	}
	for (const FoundSource& source : found) {
		if (source.name.ends_with(" (" + name + ")")) return source;
	}
	return std::nullopt;
}

}
