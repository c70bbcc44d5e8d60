#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "ndi-fake.hpp"
#include "ndi/finder.hpp"

using namespace allaprima::ndi;

namespace {

struct Refusal {
	std::string code, message;
};

Refusal refusalOf(const std::string& path) {
	try {
		openRuntime(path);
	} catch (const NdiError& error) {
		return {error.code, error.what()};
	}
	return {"", "it was loaded"};
}

bool has(const std::string& text, const std::string& part) {
	return text.find(part) != std::string::npos;
}

}

TEST_CASE("a runtime that is not there, or no runtime at all, is called what it is") {
	const auto absent = refusalOf("/nowhere/at/all");
	CHECK(absent.code == "NDI_NOT_FOUND");
	CHECK(has(absent.message, "/nowhere/at/all"));
	CHECK(has(absent.message, "https://ndi.video"));

	const auto text = std::filesystem::temp_directory_path() / "allaprima-test-libndi.so.6";
	std::ofstream(text) << "not a library\n";
	CHECK(refusalOf(text).code == "NDI_NO_LIBRARY");
	std::ofstream(text, std::ios::binary) << "\x7f"
											 "ELF and nothing more";
	const auto broken = refusalOf(text);
	CHECK(broken.code == "NDI_NOT_LOADABLE");
	CHECK(has(broken.message, text.string()));
	std::filesystem::remove(text);
}

TEST_CASE("a library that is no NDI of version 5 or 6 is refused with what it lacks or says") {
	const auto incomplete = refusalOf(fakePath("broken"));
	CHECK(incomplete.code == "NDI_SYMBOLS");
	CHECK(has(incomplete.message, "NDIlib_send_destroy"));
	for (const auto* kind : {"version-4", "version-7"}) {
		const auto refusal = refusalOf(fakePath(kind));
		CHECK(refusal.code == "NDI_VERSION");
		CHECK(has(refusal.message, "version 5 or 6"));
	}
	CHECK(refusalOf(fakePath("no-cpu")).code == "NDI_CPU");
	CHECK(refusalOf(fakePath("no-start")).code == "NDI_INITIALIZE");
}

TEST_CASE("version 5 is welcome, and what it lacks is a feature that is not there") {
	const auto old = openRuntime(fakePath("old"));
	CHECK(!old->sendSetFailover);
	CHECK(has(old->versionText, "5.6.1"));
}

TEST_CASE("the runtime is loaded once, and ended with its last holder") {
	const Fake fake;
	CHECK(openRuntime("/nowhere/at/all") == fake.runtime);
	CHECK(fake.counts().is_initialized);
	const auto* controls = fake.controls;
	{
		const Fake again;
	}
	CHECK(fake.counts().is_initialized);
	static_cast<void>(controls);
}

TEST_CASE("a source is found by its whole name or by its own") {
	const Fake fake;
	{
		Finder finder(fake.runtime, "", "10.0.0.1");
		CHECK(finder.sources().size() == 2);
		CHECK(finder.find("CAM")->url == "10.0.0.1:5961");
		CHECK(finder.find("HERE (CAM)")->name == "HERE (CAM)");
		CHECK(!finder.find("AM"));
	}
	CHECK(fake.counts().finders == 0);
}
