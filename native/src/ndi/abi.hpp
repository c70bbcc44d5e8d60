#pragma once

#include <cstddef>
#include <cstdint>

// The part of NDI's C interface that is used here, declared by what is known of its memory layout; the
// runtime's own headers are not needed. The names behind NDIlib_ are the runtime's, without their suffixes.
namespace allaprima::ndi::abi {

struct Source {
	const char* name;
	const char* url;
};

struct FindCreate {
	bool showLocalSources;
	const char* groups;
	const char* extraIps;
};

struct SendCreate {
	const char* name;
	const char* groups;
	bool clockVideo;
	bool clockAudio;
};

struct RecvCreate {
	Source source;
	std::int32_t colorFormat;
	std::int32_t bandwidth;
	bool allowVideoFields;
	const char* receiverName;
};

struct Video {
	std::int32_t width, height;
	std::uint32_t fourcc;
	std::int32_t rateNum, rateDen;
	float aspect;
	std::int32_t format;
	std::int64_t timecode;
	std::uint8_t* data;
	std::int32_t strideBytes;
	const char* metadata;
	std::int64_t timestamp;
};

struct Audio {
	std::int32_t sampleRate, channels, samples;
	std::int64_t timecode;
	std::uint32_t fourcc;
	std::uint8_t* data;
	std::int32_t strideBytes;
	const char* metadata;
	std::int64_t timestamp;
};

struct Metadata {
	std::int32_t length;
	std::int64_t timecode;
	char* data;
};

struct Tally {
	bool onProgram;
	bool onPreview;
};

static_assert(sizeof(void*) == 8, "the sizes below are those of 64 bits");
static_assert(sizeof(Source) == 16 && sizeof(FindCreate) == 24 && sizeof(SendCreate) == 24);
static_assert(sizeof(RecvCreate) == 40 && offsetof(RecvCreate, receiverName) == 32);
static_assert(sizeof(Video) == 72 && offsetof(Video, data) == 40 && offsetof(Video, timestamp) == 64);
static_assert(sizeof(Audio) == 64 && offsetof(Audio, data) == 32 && offsetof(Audio, timestamp) == 56);
static_assert(sizeof(Metadata) == 24 && sizeof(Tally) == 2);

constexpr std::uint32_t fourcc(const char (&text)[5]) {
	std::uint32_t code = 0;
	for (int i = 3; i >= 0; --i) code = code << 8 | static_cast<std::uint8_t>(text[i]);
	return code;
}

constexpr std::uint32_t UYVY = fourcc("UYVY"), UYVA = fourcc("UYVA"), NV12 = fourcc("NV12"),
						I420 = fourcc("I420"), BGRA = fourcc("BGRA"), BGRX = fourcc("BGRX"),
						RGBA = fourcc("RGBA"), RGBX = fourcc("RGBX"), FLTP = fourcc("FLTp");

constexpr std::int32_t COLOR_FASTEST = 100, BANDWIDTH_HIGHEST = 100;

enum VideoFormat : std::int32_t { INTERLEAVED = 0, PROGRESSIVE = 1, FIELD_0 = 2, FIELD_1 = 3 };
enum FrameType : std::int32_t { NONE = 0, VIDEO = 1, AUDIO = 2, METADATA = 3, FAILED = 4 };

constexpr std::int64_t TIMECODE_NOW = INT64_MAX;

struct FindInstance;
struct RecvInstance;
struct SendInstance;

}
