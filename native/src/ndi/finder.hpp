#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime.hpp"

namespace allaprima::ndi {

struct FoundSource {
	std::string name;
	std::string url;
};

/** Looks for sources for as long as it lives. One thread at a time. */
class Finder {
public:
	/** Throws NdiError. */
	Finder(RuntimePointer runtime, const std::string& groups, const std::string& extraIps);

	/** True if the list changed within `timeout`. */
	bool wait(std::chrono::milliseconds timeout);
	std::vector<FoundSource> sources();
	/** The source called so: by its whole name "MACHINE (NAME)", or else the first whose NAME it is. */
	std::optional<FoundSource> find(const std::string& name);

private:
	struct Destroy {
		RuntimePointer runtime;
		void operator()(abi::FindInstance* instance) const { runtime->findDestroy(instance); }
	};

	RuntimePointer runtime_;
	std::unique_ptr<abi::FindInstance, Destroy> instance_;
};

}
