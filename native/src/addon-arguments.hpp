#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <napi.h>
#include <opencv2/core/types.hpp>

#include "picture.hpp"

// What the parts of the addon that speak JavaScript read from arguments, and how they refuse them.
namespace allaprima {

/** A value by the name it has in TypeScript. */
template <typename Value>
struct Named {
	std::string_view name;
	Value value;
};

constexpr Named<PixelFormat> PIXEL_FORMATS[] = {
	{"RGB", PixelFormat::RGB},
	{"BGRA", PixelFormat::BGRA},
	{"RGBA", PixelFormat::RGBA},
	{"NV12", PixelFormat::NV12},
	{"I420", PixelFormat::I420},
	{"UYVY", PixelFormat::UYVY},
};
constexpr Named<ColorMatrix> COLOR_MATRICES[] = {
	{"bt601", ColorMatrix::BT601}, {"bt709", ColorMatrix::BT709}
};
constexpr Named<ColorRange> COLOR_RANGES[] = {{"limited", ColorRange::LIMITED}, {"full", ColorRange::FULL}};

/** What a caller handed over, in words; runs no JavaScript. */
inline std::string describe(const Napi::Value& value) {
	if (value.IsUndefined()) return "undefined";
	if (value.IsNull()) return "null";
	if (value.IsNumber() || value.IsBoolean()) return value.ToString().Utf8Value();
	if (value.IsString()) {
		const std::string text = value.As<Napi::String>().Utf8Value();
		return "'" + (text.size() > 40 ? text.substr(0, 40) + "..." : text) + "'";
	}
	if (value.IsTypedArray()) {
		return "a typed array of " + std::to_string(value.As<Napi::TypedArray>().ByteLength()) + " bytes";
	}
	if (value.IsFunction()) return "a function";
	if (value.IsArray()) return "an array of " + std::to_string(value.As<Napi::Array>().Length());
	return value.IsObject() ? "an object" : "a value of another type";
}

[[noreturn]] inline void
refuse(Napi::Env env, const std::string& name, const std::string& expected, const std::string& received) {
	throw Napi::TypeError::New(
		env, "Expected " + expected + " for " + name + " but received " + received + "."
	);
}

inline Napi::Object objectOf(const Napi::Value& value, const std::string& name, const char* what) {
	if (!value.IsObject()) refuse(value.Env(), name, what, describe(value));
	return value.As<Napi::Object>();
}

inline std::int64_t
integerOf(const Napi::Value& value, const std::string& name, std::int64_t least, std::int64_t most) {
	if (value.IsNumber()) {
		const double number = value.As<Napi::Number>().DoubleValue();
		const bool isWithin = number >= static_cast<double>(least) && number <= static_cast<double>(most);
		if (isWithin && number == std::floor(number)) return static_cast<std::int64_t>(number);
	}
	refuse(
		value.Env(),
		name,
		"an integer from " + std::to_string(least) + " to " + std::to_string(most),
		describe(value)
	);
}

template <typename Choice, std::size_t count>
Choice choiceOf(const Napi::Value& value, const std::string& name, const Named<Choice> (&names)[count]) {
	std::string expected;
	const std::string seen = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
	for (const auto& [text, choice] : names) {
		if (seen == text) return choice;
		expected += (expected.empty() ? "'" : ", '") + std::string(text) + "'";
	}
	refuse(value.Env(), name, "one of " + expected, describe(value));
}

inline cv::Size sizeOf(const Napi::Object& object, const std::string& name) {
	const auto width = integerOf(object.Get("width"), name + ".width", 1, PICTURE_SIDE_MAX);
	const auto height = integerOf(object.Get("height"), name + ".height", 1, PICTURE_SIDE_MAX);
	return {static_cast<int>(width), static_cast<int>(height)};
}

inline PictureLayout layoutOf(const Napi::Object& object, const std::string& name) {
	const cv::Size size = sizeOf(object, name);
	return {
		.format = choiceOf(object.Get("format"), name + ".format", PIXEL_FORMATS),
		.width = size.width,
		.height = size.height,
		.matrix = choiceOf(object.Get("matrix"), name + ".matrix", COLOR_MATRICES),
		.range = choiceOf(object.Get("range"), name + ".range", COLOR_RANGES),
	};
}

}
