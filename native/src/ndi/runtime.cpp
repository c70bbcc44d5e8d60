#include "runtime.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <vector>

#include <dlfcn.h>

namespace allaprima::ndi {
namespace {

constexpr const char* GET_IT = " Get the runtime from https://ndi.video/tools/ and see docs/relay.md.";
#ifdef __APPLE__
constexpr std::array LIBRARY_NAMES = {"libndi.dylib"};
constexpr std::array FOLDERS = {"/usr/local/lib"};
#else
constexpr std::array LIBRARY_NAMES = {"libndi.so.6", "libndi.so.5", "libndi.so"};
constexpr std::array FOLDERS = {
	"/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib"
};
#endif
constexpr int MAJOR_LEAST = 5, MAJOR_MOST = 6;

namespace fs = std::filesystem;

bool isFile(const fs::path& path) {
	std::error_code ignored;
	return fs::is_regular_file(path, ignored);
}

/** Whether the first bytes are those of a library, so that a text file is called what it is. */
bool looksLikeLibrary(const fs::path& path) {
	std::array<char, 4> start{};
	std::ifstream(path, std::ios::binary).read(start.data(), start.size());
#ifdef __APPLE__
	return start != std::array<char, 4>{};
#else
	return start == std::array<char, 4>{'\x7f', 'E', 'L', 'F'};
#endif
}

/** 6 of "NDI SDK LINUX 15:38:07 Apr 1 2026 6.3.2.0": the number that starts the last word. */
std::optional<int> majorOf(const std::string& version) {
	const auto start = version.find_last_of(" v\t");
	const std::string last = version.substr(start == std::string::npos ? 0 : start + 1);
	if (last.empty() || !std::isdigit(static_cast<unsigned char>(last[0]))) return std::nullopt;
	return std::atoi(last.c_str());
}

void bind(void* library, Runtime& runtime, std::vector<std::string>& missing) {
	const auto find = [&](const char* name) {
		return dlsym(library, (std::string("NDIlib_") + name).c_str());
	};
#define ALLAPRIMA_NDI_BIND(member, name, ...)                                                                \
	runtime.member = reinterpret_cast<decltype(runtime.member)>(find(name));
	ALLAPRIMA_NDI_REQUIRED(ALLAPRIMA_NDI_BIND)
	ALLAPRIMA_NDI_OPTIONAL(ALLAPRIMA_NDI_BIND)
#undef ALLAPRIMA_NDI_BIND
#define ALLAPRIMA_NDI_CHECK(member, name, ...)                                                               \
	if (!runtime.member) missing.push_back(std::string("NDIlib_") + (name));
	ALLAPRIMA_NDI_REQUIRED(ALLAPRIMA_NDI_CHECK)
#undef ALLAPRIMA_NDI_CHECK
}

/** `path` is a file, or a name that the system's loader is to find; nothing where it finds none. */
std::shared_ptr<Runtime> load(const std::string& path, bool isName) {
	if (!isName && !looksLikeLibrary(path)) {
		throw NdiError(
			"NDI_NO_LIBRARY", "NDI's runtime was expected at " + path + ", but that is no library." + GET_IT
		);
	}
	// Threads of the runtime may outlive its last call: it is never unloaded.
	void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!library) {
		const char* text = dlerror();
		const std::string reason = text ? text : "no reason given";
		if (isName && reason.starts_with(path + ": cannot open shared object file: No such file"))
			return nullptr;
		const bool isAvahi = reason.find("avahi") != std::string::npos;
		throw NdiError(
			"NDI_NOT_LOADABLE",
			"NDI's runtime is there (" + path + ") but cannot be loaded: " + reason + "." +
				(isAvahi ? " Install Avahi's client libraries (Debian: apt install libavahi-client3 "
						   "libavahi-common3)."
						 : " Is it of this kind of machine, and whole? See https://ndi.video/tools/.")
		);
	}
	auto runtime = std::make_shared<Runtime>();
	std::vector<std::string> missing;
	bind(library, *runtime, missing);
	if (!missing.empty()) {
		std::string names;
		for (std::size_t i = 0; i < std::min<std::size_t>(missing.size(), 3); ++i)
			names += (i ? ", " : "") + missing[i];
		if (missing.size() > 3) names += " and " + std::to_string(missing.size() - 3) + " more";
		throw NdiError(
			"NDI_SYMBOLS", path + " is no runtime of NDI 5 or 6: it lacks " + names + "." + GET_IT
		);
	}
	runtime->path = path;
	Dl_info info{};
	if (isName && dladdr(reinterpret_cast<void*>(runtime->version), &info) && info.dli_fname)
		runtime->path = info.dli_fname;
	const char* version = runtime->version();
	runtime->versionText = version ? version : "";
	const auto major = majorOf(runtime->versionText);
	if (!major || *major < MAJOR_LEAST || *major > MAJOR_MOST) {
		throw NdiError(
			"NDI_VERSION",
			"NDI's runtime at " + runtime->path + " says that it is \"" + runtime->versionText +
				"\", but version 5 or 6 is needed." + GET_IT
		);
	}
	if (!runtime->isSupportedCpu()) {
		throw NdiError("NDI_CPU", "NDI's runtime does not run on this processor (it needs SSE4.2 or NEON).");
	}
	if (!runtime->initialize()) {
		throw NdiError(
			"NDI_INITIALIZE",
			"NDI's runtime at " + runtime->path + " (" + runtime->versionText + ") did not start."
		);
	}
	runtime->isInitialized = true;
	return runtime;
}

std::vector<fs::path> filesIn(const fs::path& folder) {
	std::vector<fs::path> files;
	for (const char* name : LIBRARY_NAMES) {
		if (isFile(folder / name)) files.push_back(folder / name);
	}
	return files;
}

RuntimePointer loadConfigured(const std::string& configured) {
	if (isFile(configured)) return load(configured, false);
	const auto files = filesIn(configured);
	if (files.empty()) {
		throw NdiError(
			"NDI_NOT_FOUND",
			"NDI's runtime was to be at " + configured + ", but there is no " + LIBRARY_NAMES[0] + "." +
				GET_IT
		);
	}
	return load(files.front(), false);
}

RuntimePointer loadFromSystem() {
	std::vector<fs::path> folders;
	std::string searched;
	for (const char* variable : {"NDI_RUNTIME_DIR_V6", "NDI_RUNTIME_DIR_V5"}) {
		const char* value = std::getenv(variable);
		const bool isSet = value && *value;
		searched += std::string(variable) + (isSet ? " (" + std::string(value) + ")" : " (not set)") + ", ";
		if (isSet) folders.emplace_back(value);
	}
	for (const char* folder : FOLDERS) {
		folders.emplace_back(folder);
		searched += std::string(folder) + ", ";
	}
	// One that cannot be used does not hide the next; if none can, the first says why.
	std::optional<NdiError> first;
	const auto attempt = [&](const std::string& path, bool isName) -> RuntimePointer {
		try {
			return load(path, isName);
		} catch (const NdiError& error) {
			if (!first) first.emplace(error);
			return nullptr;
		}
	};
	for (const fs::path& folder : folders) {
		for (const fs::path& file : filesIn(folder)) {
			if (auto runtime = attempt(file, false)) return runtime;
		}
	}
	for (const char* name : LIBRARY_NAMES) {
		if (auto runtime = attempt(name, true)) return runtime;
	}
	if (first) throw *first;
	throw NdiError(
		"NDI_NOT_FOUND",
		"NDI's runtime is not installed. Searched: " + searched + "and where the system's loader looks." +
			GET_IT
	);
}

}

Runtime::~Runtime() {
	if (isInitialized) destroy();
}

RuntimePointer openRuntime(const std::string& configured) {
	static std::mutex mutex;
	static std::weak_ptr<const Runtime> current;
	const std::scoped_lock lock(mutex);
	if (auto runtime = current.lock()) return runtime;
	auto runtime = configured.empty() ? loadFromSystem() : loadConfigured(configured);
	current = runtime;
	return runtime;
}

}
