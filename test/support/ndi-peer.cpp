// The other side of the tests of NDI, straight on the runtime's C interface: a source whose frames carry
// their number, and a viewer that tells of each frame. It shares the declarations with the addon, and nothing
// else.
//
//   ndi-peer source NAME KEY=VALUE...   says "tally P V" and "note TEXT" as they come, "sent N" at its end
//   ndi-peer viewer URL KEY=VALUE...   says a line for each frame, see `view`; "tally=1" and "note=TEXT" go
//   up
//
// Timecodes are CLOCK_MONOTONIC in 100 ns. The number is in 20 bits, from the left, in the upper 64 lines;
// below them a frame has the luma 180 all over, and alpha that falls from left to right. Ends with its stdin,
// or after `seconds`.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "ndi/runtime.hpp"

using namespace allaprima::ndi;

namespace {

constexpr int BITS = 20, BAND = 64, LUMA = 180;
using Settings = std::map<std::string, std::string>;
std::atomic<bool> isOver{false};

int number(const Settings& settings, const char* key, int otherwise) {
	const auto found = settings.find(key);
	return found == settings.end() ? otherwise : std::atoi(found->second.c_str());
}

std::int64_t nowUs() {
	using namespace std::chrono;
	return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

struct Canvas {
	Canvas(int wide, int high, bool alpha)
		: width(wide),
		  height(high),
		  hasAlpha(alpha),
		  bytes(static_cast<std::size_t>(wide * high * (alpha ? 3 : 2))) {
		for (int i = 0; i < wide * high * 2; i += 2) {
			bytes[static_cast<std::size_t>(i)] = 128;
			bytes[static_cast<std::size_t>(i) + 1] = LUMA;
		}
		if (!alpha) return;
		for (int i = 0; i < wide * high; ++i)
			bytes[static_cast<std::size_t>(wide * high * 2 + i)] =
				static_cast<std::uint8_t>(255 - 255 * (i % wide) / wide);
	}

	/** In both fields alike, or in each its own (`other` on the odd lines). */
	void write(std::uint32_t value, std::uint32_t other) {
		for (int y = 0; y < BAND; ++y)
			for (int x = 0; x < width; ++x) {
				const int bit = std::min(x * BITS / width, BITS - 1);
				const bool isSet = ((y % 2 ? other : value) >> bit) & 1U;
				bytes[static_cast<std::size_t>(2 * (y * width + x) + 1)] = isSet ? 235 : 16;
			}
	}

	int width, height;
	bool hasAlpha;
	std::vector<std::uint8_t> bytes;
};

int source(const RuntimePointer& ndi, const std::string& name, const Settings& settings) {
	const int width = number(settings, "width", 1280), height = number(settings, "height", 720);
	const int rateNum = number(settings, "num", 30), rateDen = number(settings, "den", 1);
	const bool isInterlaced = number(settings, "interlaced", 0), hasSound = number(settings, "sound", 0);
	const bool hasAlpha = number(settings, "alpha", 0), hasNotes = number(settings, "notes", 0);
	const abi::SendCreate create{
		.name = name.c_str(), .groups = nullptr, .clockVideo = false, .clockAudio = false
	};
	abi::SendInstance* sender = ndi->sendCreate(&create);
	if (!sender) return 1;
	std::printf("up\n");

	Canvas canvases[2] = {{width, height, hasAlpha}, {width, height, hasAlpha}};
	const auto samples = static_cast<int>(48000LL * rateDen / rateNum);
	std::vector<float> silence(static_cast<std::size_t>(2 * samples));
	abi::Tally told{};
	const std::int64_t start = nowUs();
	std::uint32_t n = 0;
	for (; !isOver; ++n) {
		const std::int64_t dueUs = start + 1'000'000LL * n * rateDen / rateNum;
		std::this_thread::sleep_for(std::chrono::microseconds(dueUs - nowUs()));
		Canvas& canvas = canvases[n % 2];
		canvas.write(n, isInterlaced ? n + 500'000 : n);
		const std::int64_t timecode = 10 * nowUs();
		const std::string metadata = "<frame n=\"" + std::to_string(n) + "\"/>";
		if (hasSound) {
			const abi::Audio audio{
				.sampleRate = 48000,
				.channels = 2,
				.samples = samples,
				.timecode = timecode,
				.fourcc = abi::FLTP,
				.data = reinterpret_cast<std::uint8_t*>(silence.data()),
				.strideBytes = 4 * samples,
				.metadata = nullptr,
				.timestamp = 0,
			};
			ndi->sendAudio(sender, &audio);
		}
		const abi::Video video{
			.width = width,
			.height = height,
			.fourcc = hasAlpha ? abi::UYVA : abi::UYVY,
			.rateNum = rateNum,
			.rateDen = rateDen,
			.aspect = 16.0F / 9,
			.format = isInterlaced ? abi::INTERLEAVED : abi::PROGRESSIVE,
			.timecode = timecode,
			.data = canvas.bytes.data(),
			.strideBytes = 2 * width,
			.metadata = metadata.c_str(),
			.timestamp = 0,
		};
		ndi->sendVideoAsync(sender, &video);
		if (hasNotes && n % 10 == 0) {
			std::string text = "<note n=\"" + std::to_string(n) + "\"/>";
			const abi::Metadata note{
				.length = static_cast<int>(text.size() + 1), .timecode = timecode, .data = text.data()
			};
			ndi->sendMetadata(sender, &note);
		}
		abi::Metadata note{};
		while (ndi->sendCapture(sender, &note, 0) == abi::METADATA) {
			std::printf("note %s\n", note.data ? note.data : "");
			ndi->sendFreeMetadata(sender, &note);
		}
		abi::Tally tally{};
		ndi->sendTally(sender, &tally, 0);
		if (tally.onProgram != told.onProgram || tally.onPreview != told.onPreview)
			std::printf("tally %d %d\n", tally.onProgram, tally.onPreview);
		told = tally;
	}
	ndi->sendVideoAsync(sender, nullptr);
	std::printf("sent %u\n", n);
	ndi->sendDestroy(sender);
	return 0;
}

/** The number on the lines of one parity. */
std::uint32_t numberIn(const abi::Video& video, int parity) {
	std::uint32_t value = 0;
	const int y = BAND / (video.format >= abi::FIELD_0 ? 4 : 2) + parity;
	for (int bit = 0; bit < BITS; ++bit) {
		const int x = (2 * bit + 1) * video.width / (2 * BITS);
		if (video.data[y * video.strideBytes + 2 * x + 1] > 125) value |= 1U << bit;
	}
	return value;
}

int view(const RuntimePointer& ndi, const std::string& url, const Settings& settings) {
	const abi::RecvCreate create{
		.source = {.name = nullptr, .url = url.c_str()},
		.colorFormat = abi::COLOR_FASTEST,
		.bandwidth = abi::BANDWIDTH_HIGHEST,
		.allowVideoFields = true,
		.receiverName = "viewer",
	};
	abi::RecvInstance* receiver = ndi->recvCreate(&create);
	const abi::Tally tally{.onProgram = number(settings, "tally", 0) != 0, .onPreview = false};
	std::printf("up\n");
	if (tally.onProgram) ndi->recvSetTally(receiver, &tally);
	bool hasSent = settings.find("note") == settings.end();

	std::thread rest([&] {
		while (!isOver) {
			abi::Audio audio{};
			abi::Metadata note{};
			const int type = ndi->recvCapture(receiver, nullptr, &audio, &note, 50);
			const auto now = static_cast<long long>(nowUs());
			if (type == abi::AUDIO) {
				// sound TIMECODE ARRIVED SAMPLES
				std::printf(
					"sound %lld %lld %d\n", static_cast<long long>(audio.timecode), now, audio.samples
				);
				ndi->recvFreeAudio(receiver, &audio);
			} else if (type == abi::METADATA) {
				std::printf("note %s\n", note.data ? note.data : "");
				ndi->recvFreeMetadata(receiver, &note);
			}
		}
	});
	while (!isOver) {
		abi::Video video{};
		if (ndi->recvCapture(receiver, &video, nullptr, nullptr, 50) != abi::VIDEO) continue;
		const auto now = static_cast<long long>(nowUs());
		const bool hasAlpha = video.fourcc == abi::UYVA;
		const int y = video.height * 3 / 4;
		const std::uint8_t* row = video.data + y * video.strideBytes;
		const std::uint8_t* alpha = video.data + video.strideBytes * video.height + y * video.strideBytes / 2;
		double worst = 0;
		for (int x = 0; hasAlpha && x < video.width; ++x)
			worst = std::max(worst, std::abs(alpha[x] - (255.0 - 255 * x / video.width)));
		// frame N OTHER TIMECODE ARRIVED FORMAT WIDTH HEIGHT RATE LUMA ALPHA-OFF ALPHA-LEAST METADATA
		std::printf(
			"frame %u %u %lld %lld %d %d %d %d/%d %d %.0f %d %s\n",
			numberIn(video, 0),
			numberIn(video, 1),
			static_cast<long long>(video.timecode),
			now,
			video.format,
			video.width,
			video.height,
			video.rateNum,
			video.rateDen,
			row[video.width / 2 * 2 + 1],
			hasAlpha ? worst : -1.0,
			hasAlpha ? alpha[video.width - 1] : -1,
			video.metadata ? video.metadata : "-"
		);
		ndi->recvFreeVideo(receiver, &video);
		if (!hasSent) {
			std::string text = settings.at("note");
			const abi::Metadata note{
				.length = static_cast<int>(text.size() + 1),
				.timecode = abi::TIMECODE_NOW,
				.data = text.data()
			};
			hasSent = ndi->recvSendMetadata(receiver, &note);
		}
	}
	rest.join();
	ndi->recvDestroy(receiver);
	return 0;
}

}

int main(int count, char** words) {
	if (count < 3) return 2;
	Settings settings;
	for (int i = 3; i < count; ++i) {
		const std::string word = words[i];
		const auto equals = word.find('=');
		settings[word.substr(0, equals)] = word.substr(equals + 1);
	}
	std::setvbuf(stdout, nullptr, _IOLBF, 0);
	std::thread([] {
		char byte;
		while (read(0, &byte, 1) > 0) {
		}
		isOver = true;
	}).detach();
	if (const int seconds = number(settings, "seconds", 0))
		std::thread([seconds] {
			std::this_thread::sleep_for(std::chrono::seconds(seconds));
			isOver = true;
		}).detach();
	const RuntimePointer ndi = openRuntime();
	return words[1] == std::string("source") ? source(ndi, words[2], settings)
											 : view(ndi, words[2], settings);
}
