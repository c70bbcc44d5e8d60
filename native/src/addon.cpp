#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <napi.h>
#include <opencv2/core.hpp>

#include "addon-arguments.hpp"
#include "metrics.hpp"
#include "ndi/ndi-addon.hpp"
#include "ring-addon.hpp"
#include "thread-priority.hpp"
#include "vulkan.hpp"
#include "workbench.hpp"

// The JavaScript side of sidecar/native.ts: checks arguments, runs the stages on libuv's threads, gives
// promises.
namespace allaprima {
namespace {

constexpr Named<Fit> FITS[] = {{"cover", Fit::COVER}, {"contain", Fit::CONTAIN}, {"stretch", Fit::STRETCH}};

constexpr std::string_view VULKAN_KINDS[] = {"other", "integrated", "discrete", "virtual", "software"};

enum class FlowMethod { DIS, FARNEBACK };
constexpr Named<FlowMethod> FLOW_METHODS[] = {{"dis", FlowMethod::DIS}, {"farneback", FlowMethod::FARNEBACK}};

constexpr int LATENT_CHANNELS_MAX = 64;
/** Frames of a batch. */
constexpr std::uint32_t FLOWS_MAX = 64;
constexpr int PATCH_SIDE_MAX = 64, PATCH_MERGE_MAX = 8, PATCH_FRAMES_MAX = 8;

std::string textOf(const cv::Size& size) {
	return std::to_string(size.width) + "x" + std::to_string(size.height);
}

/** A typed array of known type and length, with the name of the argument it came in. */
template <typename Element>
struct View {
	Napi::TypedArray array;
	std::string name;
};

struct PictureArgument {
	PictureLayout layout;
	View<std::uint8_t> data;
	std::string name;
};

struct MaskArgument {
	cv::Size size;
	View<std::uint8_t> data;
};

struct FlowArgument {
	cv::Size size;
	View<Motion> data;
	std::string name;
};

/**
 * Reads the arguments of one call. Reading a property may run JavaScript, which may detach a buffer that was
 * looked at before: all arguments are read first, addresses are taken last (`pin`).
 */
class Arguments {
public:
	explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

	Napi::Env env() const { return info_.Env(); }

	PictureArgument picture(std::size_t index, const std::string& name) const {
		return pictureOf(info_[index], name);
	}

	PictureArgument rgb(std::size_t index, const std::string& name) const {
		return rgbOf(info_[index], name);
	}

	PictureArgument withAlpha(std::size_t index, const std::string& name) const {
		PictureArgument picture = pictureOf(info_[index], name);
		const PixelFormat format = picture.layout.format;
		if (format != PixelFormat::BGRA && format != PixelFormat::RGBA) {
			const Napi::Value value = info_[index].As<Napi::Object>().Get("format");
			refuse(env(), name + ".format", "'BGRA' or 'RGBA'", describe(value));
		}
		return picture;
	}

	std::array<PictureArgument, 2> rgbPair(std::size_t index, const std::string& name) const {
		const Napi::Value value = info_[index];
		if (!value.IsArray() || value.As<Napi::Array>().Length() != 2) {
			refuse(env(), name, "an array of two pictures", describe(value));
		}
		const auto pair = value.As<Napi::Array>();
		return {rgbOf(pair[0U], name + "[0]"), rgbOf(pair[1U], name + "[1]")};
	}

	FlowArgument flow(std::size_t index, const std::string& name) const { return flowOf(info_[index], name); }

	std::vector<FlowArgument> flows(std::size_t index, const std::string& name) const {
		const Napi::Value value = info_[index];
		const auto length = value.IsArray() ? value.As<Napi::Array>().Length() : 0;
		if (length < 1 || length > FLOWS_MAX) {
			const std::string most = std::to_string(FLOWS_MAX);
			refuse(env(), name, "an array of 1 to " + most + " flows", describe(value));
		}
		std::vector<FlowArgument> flows;
		for (std::uint32_t i = 0; i < length; ++i) {
			flows.push_back(flowOf(value.As<Napi::Array>()[i], name + "[" + std::to_string(i) + "]"));
		}
		return flows;
	}

	LatentShape latentShape(std::size_t index, const std::string& name) const {
		const Napi::Object object = objectOf(info_[index], name, "a shape");
		const cv::Size size = sizeOf(object, name);
		const int channels =
			static_cast<int>(integerOf(object.Get("channels"), name + ".channels", 1, LATENT_CHANNELS_MAX));
		return {.channels = channels, .width = size.width, .height = size.height};
	}

	PatchLayout patches(std::size_t index, const std::string& name) const {
		const Napi::Object object = objectOf(info_[index], name, "a layout of patches");
		const cv::Size size = sizeOf(object, name);
		const auto count = [&](const char* member, int most) {
			return static_cast<int>(integerOf(object.Get(member), name + "." + member, 1, most));
		};
		const PatchLayout layout{
			.width = size.width,
			.height = size.height,
			.patch = count("patch", PATCH_SIDE_MAX),
			.merge = count("merge", PATCH_MERGE_MAX),
			.frames = count("frames", PATCH_FRAMES_MAX),
		};
		const int token = layout.patch * layout.merge;
		if (size.width % token || size.height % token) {
			refuse(env(), name, "sides in multiples of " + std::to_string(token), textOf(size));
		}
		return layout;
	}

	View<std::uint8_t> bytes(std::size_t index, const std::string& name) const {
		const Napi::Value value = info_[index];
		const bool isBytes =
			value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
		if (!isBytes) refuse(env(), name, "a Uint8Array", describe(value));
		return {value.As<Napi::TypedArray>(), name};
	}

	int integer(std::size_t index, const std::string& name, int least, int most) const {
		return static_cast<int>(integerOf(info_[index], name, least, most));
	}

	MaskArgument mask(std::size_t index, const std::string& name) const {
		const Napi::Object object = objectOf(info_[index], name, "a mask");
		const cv::Size size = sizeOf(object, name);
		return {size, viewOf<std::uint8_t>(object.Get("data"), name + ".data", countOf(size))};
	}

	View<float> floats(std::size_t index, const std::string& name, std::size_t count) const {
		return viewOf<float>(info_[index], name, count);
	}

	bool flag(std::size_t index, const std::string& name) const {
		const Napi::Value value = info_[index];
		if (!value.IsBoolean()) refuse(env(), name, "true or false", describe(value));
		return value.As<Napi::Boolean>();
	}

	double number(std::size_t index, const std::string& name, int least, int most) const {
		const Napi::Value value = info_[index];
		if (value.IsNumber()) {
			const double number = value.As<Napi::Number>().DoubleValue();
			if (number >= least && number <= most) return number;
		}
		refuse(
			env(),
			name,
			"a number from " + std::to_string(least) + " to " + std::to_string(most),
			describe(value)
		);
	}

	template <typename Choice, std::size_t count>
	Choice choice(std::size_t index, const std::string& name, const Named<Choice> (&names)[count]) const {
		return choiceOf(info_[index], name, names);
	}

	void
	sameSize(const cv::Size& seen, const std::string& name, const cv::Size& wanted, const char* like) const {
		if (seen == wanted) return;
		refuse(env(), name, "the size of " + std::string(like) + ", " + textOf(wanted) + ",", textOf(seen));
	}

	void
	atLeast(const cv::Size& seen, const std::string& name, const cv::Size& least, const char* like) const {
		if (seen.width >= least.width && seen.height >= least.height) return;
		refuse(
			env(),
			name,
			"at least the size of " + std::string(like) + ", " + textOf(least) + ",",
			textOf(seen)
		);
	}

	void atMost(const cv::Size& seen, const std::string& name, const cv::Size& most, const char* like) const {
		if (seen.width <= most.width && seen.height <= most.height) return;
		refuse(
			env(), name, "at most the size of " + std::string(like) + ", " + textOf(most) + ",", textOf(seen)
		);
	}

private:
	PictureArgument pictureOf(const Napi::Value& value, const std::string& name) const {
		const Napi::Object object = objectOf(value, name, "a picture");
		const PictureLayout layout = layoutOf(object, name);
		return {
			layout, viewOf<std::uint8_t>(object.Get("data"), name + ".data", pictureByteLength(layout)), name
		};
	}

	FlowArgument flowOf(const Napi::Value& value, const std::string& name) const {
		const Napi::Object object = objectOf(value, name, "a flow");
		const cv::Size size = sizeOf(object, name);
		return {size, viewOf<Motion>(object.Get("data"), name + ".data", countOf(size)), name};
	}

	PictureArgument rgbOf(const Napi::Value& value, const std::string& name) const {
		PictureArgument picture = pictureOf(value, name);
		if (picture.layout.format != PixelFormat::RGB) {
			refuse(env(), name + ".format", "'RGB'", describe(value.As<Napi::Object>().Get("format")));
		}
		return picture;
	}

	static std::size_t countOf(const cv::Size& size) {
		return static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
	}

	/** A view of `count` elements: bytes in a Uint8Array, anything else in a Float32Array. */
	template <typename Element>
	View<Element> viewOf(const Napi::Value& value, const std::string& name, std::size_t count) const {
		constexpr bool bytes = std::is_same_v<Element, std::uint8_t>;
		constexpr auto type = bytes ? napi_uint8_array : napi_float32_array;
		const std::size_t length = count * sizeof(Element) / (bytes ? 1 : sizeof(float));
		const std::string expected =
			(bytes ? "a Uint8Array of " : "a Float32Array of ") + std::to_string(length) + " elements";
		if (!value.IsTypedArray()) refuse(env(), name, expected, describe(value));

		const auto array = value.As<Napi::TypedArray>();
		if (array.TypedArrayType() != type) refuse(env(), name, expected, "another type of array");
		if (array.ElementLength() != length) {
			refuse(env(), name, expected, std::to_string(array.ElementLength()));
		}
		return {array, name};
	}

	const Napi::CallbackInfo& info_;
};

napi_value undefinedOf(napi_env env) {
	napi_value value = nullptr;
	napi_get_undefined(env, &value);
	return value;
}

napi_value numberOf(napi_env env, double number) {
	napi_value value = nullptr;
	napi_create_double(env, number, &value);
	return value;
}

napi_value objectOf(napi_env env, std::initializer_list<std::pair<const char*, double>> members) {
	napi_value object = nullptr;
	napi_create_object(env, &object);
	for (const auto& [name, number] : members)
		napi_set_named_property(env, object, name, numberOf(env, number));
	return object;
}

napi_value replyOf(napi_env env, double result) {
	return numberOf(env, result);
}

/** A Uint8Array of its own. */
napi_value replyOf(napi_env env, const std::vector<std::uint8_t>& bytes) {
	void* data = nullptr;
	napi_value buffer = nullptr, array = nullptr;
	napi_create_arraybuffer(env, bytes.size(), &data, &buffer);
	if (data != nullptr) std::ranges::copy(bytes, static_cast<std::uint8_t*>(data));
	napi_create_typedarray(env, napi_uint8_array, bytes.size(), buffer, 0, &array);
	return array;
}

napi_value replyOf(napi_env env, MaskExtent extent) {
	constexpr const char* NAMES[] = {"nothing", "some", "all"};
	return Napi::String::New(env, NAMES[static_cast<int>(extent)]);
}

napi_value replyOf(napi_env env, const PictureDifference& result) {
	return objectOf(
		env, {{"meanAbsolute", result.meanAbsolute}, {"psnrDb", result.psnrDb}, {"ssim", result.ssim}}
	);
}

napi_value replyOf(napi_env env, const PictureDetail& result) {
	return objectOf(env, {{"sobel", result.sobel}, {"hfFft", result.hfFft}});
}

napi_value replyOf(napi_env env, const WarpingError& result) {
	return objectOf(
		env, {{"all", result.all}, {"visible", result.visible}, {"visibleFraction", result.visibleFraction}}
	);
}

/**
 * One call on a thread of libuv. Node ends a worker only when the work under way has come back, and by then
 * refuses calls into JavaScript: the answer is given with plain Node-API, which reports that, where the
 * wrapper would throw.
 */
template <typename Work>
class Task final : public Napi::AsyncWorker {
	using Result = std::invoke_result_t<Work&, Workbench&>;
	using Kept = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

public:
	Task(
		Napi::Env env,
		napi_deferred deferred,
		const char* name,
		std::shared_ptr<WorkbenchPool> pool,
		std::vector<Napi::ObjectReference> views,
		Work work
	)
		: AsyncWorker(env, "allaprima"),
		  deferred_(deferred),
		  name_(name),
		  pool_(std::move(pool)),
		  views_(std::move(views)),
		  work_(std::move(work)) {}

	void Execute() override {
		try {
			const auto bench = pool_->take();
			if constexpr (std::is_void_v<Result>) {
				work_(*bench);
				result_.emplace();
			} else {
				result_.emplace(work_(*bench));
			}
		} catch (const std::bad_alloc&) {
			error_ = std::string(name_) + " ran out of memory.";
		} catch (const cv::Exception& exception) {
			error_ =
				std::string(name_) + " failed in OpenCV: " + exception.err + " (" + exception.func + ").";
		} catch (const std::exception& exception) {
			error_ = std::string(name_) + " failed: " + exception.what();
		}
	}

	void OnWorkComplete(Napi::Env env, napi_status) override {
		napi_handle_scope scope = nullptr;
		if (napi_open_handle_scope(env, &scope) == napi_ok) {
			settle(env);
			napi_close_handle_scope(env, scope);
		}
		Destroy();
	}

private:
	void settle(napi_env env) {
		if (result_) {
			if constexpr (std::is_void_v<Result>) {
				napi_resolve_deferred(env, deferred_, undefinedOf(env));
			} else {
				napi_resolve_deferred(env, deferred_, replyOf(env, *result_));
			}
			return;
		}
		if (error_.empty()) error_ = std::string(name_) + " was cancelled.";
		napi_value message = nullptr, error = nullptr;
		napi_create_string_utf8(env, error_.data(), error_.size(), &message);
		napi_create_error(env, nullptr, message, &error);
		napi_reject_deferred(env, deferred_, error);
	}

	napi_deferred deferred_;
	const char* name_;
	std::shared_ptr<WorkbenchPool> pool_;
	std::vector<Napi::ObjectReference> views_; // keep the memory alive
	Work work_;
	std::optional<Kept> result_;
	std::string error_;
};

/** A call of which the arguments are read: takes addresses, then sends the work off. */
class Call {
public:
	Call(Napi::Env env, const char* name, napi_deferred deferred, std::shared_ptr<WorkbenchPool> pool)
		: env_(env), name_(name), deferred_(deferred), pool_(std::move(pool)) {}

	template <typename Element>
	std::span<Element> pin(const View<Element>& view) {
		std::size_t length = 0;
		void* data = nullptr;
		// The wrapper would ask for the ArrayBuffer, which shared memory has not.
		const napi_status status =
			napi_get_typedarray_info(env_, view.array, nullptr, &length, &data, nullptr, nullptr);
		if (status != napi_ok || data == nullptr || length == 0) {
			refuse(env_, view.name, "a view of memory", "a detached one");
		}
		views_.push_back(Napi::Persistent(view.array.template As<Napi::Object>()));
		const std::size_t bytes = length * (std::is_same_v<Element, std::uint8_t> ? 1 : sizeof(float));
		return {static_cast<Element*>(data), bytes / sizeof(Element)};
	}

	Picture pin(const PictureArgument& picture) { return {picture.layout, pin(picture.data)}; }

	Mask pin(const MaskArgument& mask) { return {mask.size, pin(mask.data)}; }

	Flow pin(const FlowArgument& flow) { return {flow.size.width, flow.size.height, pin(flow.data)}; }

	template <typename A, typename B>
	void
	apart(const std::string& name, std::span<A> target, std::span<B> source, const std::string& other) const {
		const auto a = std::as_bytes(target), b = std::as_bytes(source);
		const std::less_equal<const std::byte*> before;
		if (before(a.data() + a.size(), b.data()) || before(b.data() + b.size(), a.data())) return;
		refuse(env_, name, "memory apart from " + other, "memory that overlaps it");
	}

	template <typename Work>
	void run(Work work) {
		auto task = std::make_unique<Task<Work>>(
			env_, deferred_, name_, std::move(pool_), std::move(views_), std::move(work)
		);
		task->Queue();
		static_cast<void>(task.release()); // it destroys itself when it has answered
	}

private:
	Napi::Env env_;
	const char* name_;
	napi_deferred deferred_;
	std::shared_ptr<WorkbenchPool> pool_;
	std::vector<Napi::ObjectReference> views_;
};

/** One instance in each environment: workers load the addon again. */
class Addon final : public Napi::Addon<Addon> {
public:
	Addon(Napi::Env env, Napi::Object exports) : pool_(std::make_shared<WorkbenchPool>()) {
		// The engine's threads own the cores.
		cv::setNumThreads(1);
		DefineAddon(
			exports,
			{
				InstanceValue(
					"opencvVersion", Napi::String::New(env, cv::getVersionString()), napi_enumerable
				),
				InstanceMethod("lowerThreadPriority", &Addon::lowerThreadPriority, napi_enumerable),
				InstanceMethod("vulkanDevices", &Addon::vulkanDevices, napi_enumerable),
				InstanceMethod("convert", &Addon::convert, napi_enumerable),
				InstanceMethod("patchRows", &Addon::patchRows, napi_enumerable),
				InstanceMethod("encodeJpeg", &Addon::encodeJpeg, napi_enumerable),
				InstanceMethod("decodeJpeg", &Addon::decodeJpeg, napi_enumerable),
				InstanceMethod("opticalFlow", &Addon::opticalFlow, napi_enumerable),
				InstanceMethod("warp", &Addon::warp, napi_enumerable),
				InstanceMethod("moveLatents", &Addon::moveLatents, napi_enumerable),
				InstanceMethod("blend", &Addon::blend, napi_enumerable),
				InstanceMethod("paintRegion", &Addon::paintRegion, napi_enumerable),
				InstanceMethod("takeAlpha", &Addon::takeAlpha, napi_enumerable),
				InstanceMethod("shapeMask", &Addon::shapeMask, napi_enumerable),
				InstanceMethod("advectNoise", &Addon::advectNoise, napi_enumerable),
				InstanceMethod("thumbnailDifference", &Addon::thumbnailDifference, napi_enumerable),
				InstanceMethod("blockDifference", &Addon::blockDifference, napi_enumerable),
				InstanceMethod("meanMotion", &Addon::meanMotion, napi_enumerable),
				InstanceMethod("pictureDifference", &Addon::pictureDifference, napi_enumerable),
				InstanceMethod("pictureDetail", &Addon::pictureDetail, napi_enumerable),
				InstanceMethod("warpingError", &Addon::warpingError, napi_enumerable),
			}
		);
		defineNdi(env, exports);
		defineRing(env, exports);
	}

private:
	/** Gives a promise of what `prepare` sends off; a wrong argument rejects it. */
	template <typename Prepare>
	Napi::Value promise(const Napi::CallbackInfo& info, const char* name, Prepare prepare) {
		const Napi::Env env = info.Env();
		napi_deferred deferred = nullptr;
		napi_value promise = nullptr;
		if (napi_create_promise(env, &deferred, &promise) != napi_ok) throw Napi::Error::New(env);
		try {
			Call call(env, name, deferred, pool_);
			prepare(Arguments(info), call);
		} catch (const Napi::Error& error) {
			napi_reject_deferred(env, deferred, error.Value());
		} catch (const std::bad_alloc&) {
			napi_reject_deferred(env, deferred, Napi::Error::New(env, "Out of memory.").Value());
		}
		return {env, promise};
	}

	void lowerThreadPriority(const Napi::CallbackInfo& info) {
		const auto steps = integerOf(info[0], "steps", 0, PRIORITY_STEPS_MAX);
		allaprima::lowerThreadPriority(static_cast<int>(steps));
	}

	Napi::Value vulkanDevices(const Napi::CallbackInfo& info) {
		const Napi::Env env = info.Env();
		const auto devices = allaprima::vulkanDevices();
		Napi::Array array = Napi::Array::New(env, devices.size());
		for (std::uint32_t i = 0; i < devices.size(); ++i) {
			const VulkanDevice& device = devices[i];
			Napi::Object object = Napi::Object::New(env);
			object["name"] = device.name;
			object["kind"] = std::string(VULKAN_KINDS[static_cast<std::size_t>(device.kind)]);
			object["driver"] = device.driver;
			object["memoryBytes"] = static_cast<double>(device.memoryBytes);
			array[i] = object;
		}
		return array;
	}

	Napi::Value convert(const Napi::CallbackInfo& info) {
		return promise(info, "convert", [](const Arguments& arguments, Call& call) {
			const auto source = arguments.picture(0, "source");
			const auto target = arguments.picture(1, "target");
			const auto fit = arguments.choice(2, "fit", FITS);
			const auto from = call.pin(source), to = call.pin(target);
			call.apart("target.data", to.data, from.data, "source.data");
			call.run([=](Workbench& bench) { bench.convert.convert(from, to, fit); });
		});
	}

	Napi::Value patchRows(const Napi::CallbackInfo& info) {
		return promise(info, "patchRows", [](const Arguments& arguments, Call& call) {
			const auto picture = arguments.rgb(0, "picture");
			const PatchLayout layout = arguments.patches(1, "layout");
			const auto rows = arguments.floats(2, "rows", layout.rows() * layout.columns());
			const auto from = call.pin(picture);
			const auto to = call.pin(rows);
			call.apart("rows", to, from.data, "picture.data");
			call.run([=](Workbench& bench) { bench.patchRows(from, layout, to); });
		});
	}

	Napi::Value encodeJpeg(const Napi::CallbackInfo& info) {
		return promise(info, "encodeJpeg", [](const Arguments& arguments, Call& call) {
			const auto source = arguments.rgb(0, "source");
			const int quality = arguments.integer(1, "quality", 1, 100);
			const auto from = call.pin(source);
			call.run([=](Workbench& bench) {
				const auto bytes = bench.jpeg.encode(from, quality);
				return std::vector<std::uint8_t>(bytes.begin(), bytes.end());
			});
		});
	}

	Napi::Value decodeJpeg(const Napi::CallbackInfo& info) {
		return promise(info, "decodeJpeg", [](const Arguments& arguments, Call& call) {
			const auto jpeg = arguments.bytes(0, "jpeg");
			const auto target = arguments.rgb(1, "target");
			const auto from = call.pin(jpeg);
			const auto to = call.pin(target);
			call.apart("target.data", to.data, from, "jpeg");
			call.run([=](Workbench& bench) { bench.jpeg.decode(from, to); });
		});
	}

	Napi::Value opticalFlow(const Napi::CallbackInfo& info) {
		return promise(info, "opticalFlow", [](const Arguments& arguments, Call& call) {
			const auto previous = arguments.rgb(0, "previous");
			const auto next = arguments.rgb(1, "next");
			const auto flow = arguments.flow(2, "flow");
			const auto method = arguments.choice(3, "method", FLOW_METHODS);
			arguments.sameSize(next.layout.size(), "next", previous.layout.size(), "previous");
			if (method == FlowMethod::FARNEBACK) {
				arguments.sameSize(flow.size, "flow", previous.layout.size(), "previous");
			} else {
				arguments.atMost(flow.size, "flow", previous.layout.size(), "previous");
			}
			const auto from = call.pin(previous), to = call.pin(next);
			const auto motion = call.pin(flow);
			call.apart("flow.data", motion.data, from.data, "previous.data");
			call.apart("flow.data", motion.data, to.data, "next.data");
			call.run([=](Workbench& bench) {
				if (method == FlowMethod::DIS) {
					bench.opticalFlow.dis(from, to, motion);
				} else {
					bench.opticalFlow.farneback(from, to, motion);
				}
			});
		});
	}

	Napi::Value warp(const Napi::CallbackInfo& info) {
		return promise(info, "warp", [](const Arguments& arguments, Call& call) {
			const auto source = arguments.rgb(0, "source");
			const auto flow = arguments.flow(1, "flow");
			const auto target = arguments.rgb(2, "target");
			arguments.sameSize(flow.size, "flow", source.layout.size(), "source");
			arguments.sameSize(target.layout.size(), "target", source.layout.size(), "source");
			const auto from = call.pin(source), to = call.pin(target);
			const auto motion = call.pin(flow);
			call.apart("target.data", to.data, from.data, "source.data");
			call.apart("target.data", to.data, motion.data, "flow.data");
			call.run([=](Workbench& bench) { bench.warp(from, motion, to); });
		});
	}

	Napi::Value moveLatents(const Napi::CallbackInfo& info) {
		return promise(info, "moveLatents", [](const Arguments& arguments, Call& call) {
			const auto shape = arguments.latentShape(1, "shape");
			const std::size_t offsetCount = 2 * shape.planeCount();
			const auto latents = arguments.floats(0, "latents", shape.count());
			const auto flows = arguments.flows(2, "flows");
			const auto target = arguments.floats(3, "target", shape.count());
			const auto offsets = arguments.floats(4, "offsets", offsetCount);
			for (const auto& flow : flows) {
				arguments.atLeast(flow.size, flow.name, {shape.width, shape.height}, "shape");
			}
			const auto from = call.pin(latents), to = call.pin(target), rest = call.pin(offsets);
			call.apart("target", to, from, "latents");
			call.apart("offsets", rest, from, "latents");
			call.apart("offsets", rest, to, "target");
			std::vector<Flow> motions;
			for (const auto& flow : flows) {
				motions.push_back(call.pin(flow));
				call.apart("target", to, motions.back().data, flow.name + ".data");
				call.apart("offsets", rest, motions.back().data, flow.name + ".data");
			}
			call.run([=](Workbench& bench) { bench.moveLatents(from, shape, motions, to, rest); });
		});
	}

	Napi::Value blend(const Napi::CallbackInfo& info) {
		return promise(info, "blend", [](const Arguments& arguments, Call& call) {
			const auto painting = arguments.rgb(0, "painting");
			const auto frame = arguments.rgb(1, "frame");
			const auto lastPainting = arguments.rgb(2, "lastPainting");
			const auto lastFrame = arguments.rgb(3, "lastFrame");
			const auto flow = arguments.flow(4, "flow");
			const double weight = arguments.number(5, "weight", 0, 1);
			const auto size = painting.layout.size();
			arguments.sameSize(frame.layout.size(), "frame", size, "painting");
			arguments.sameSize(lastPainting.layout.size(), "lastPainting", size, "painting");
			arguments.sameSize(lastFrame.layout.size(), "lastFrame", size, "painting");
			arguments.atMost(flow.size, "flow", size, "painting");
			const auto to = call.pin(painting), of = call.pin(frame);
			const auto before = call.pin(lastPainting), ofBefore = call.pin(lastFrame);
			const auto motion = call.pin(flow);
			call.apart("painting.data", to.data, of.data, "frame.data");
			call.apart("painting.data", to.data, before.data, "lastPainting.data");
			call.apart("painting.data", to.data, ofBefore.data, "lastFrame.data");
			call.apart("painting.data", to.data, motion.data, "flow.data");
			call.run([=](Workbench& bench) { bench.blend(to, of, {before, ofBefore}, motion, weight); });
		});
	}

	Napi::Value paintRegion(const Napi::CallbackInfo& info) {
		return promise(info, "paintRegion", [](const Arguments& arguments, Call& call) {
			const auto painting = arguments.rgb(0, "painting");
			const auto mask = arguments.mask(1, "mask");
			const auto fit = arguments.choice(2, "fit", FITS);
			const auto picture = arguments.picture(3, "picture");
			const auto from = call.pin(painting), to = call.pin(picture);
			const auto where = call.pin(mask);
			call.apart("picture.data", to.data, from.data, "painting.data");
			call.apart("picture.data", to.data, where.data, "mask.data");
			call.run([=](Workbench& bench) { bench.region.paint(bench.convert, from, where, fit, to); });
		});
	}

	Napi::Value takeAlpha(const Napi::CallbackInfo& info) {
		return promise(info, "takeAlpha", [](const Arguments& arguments, Call& call) {
			const auto picture = arguments.withAlpha(0, "picture");
			const auto mask = arguments.mask(1, "mask");
			arguments.sameSize(mask.size, "mask", picture.layout.size(), "picture");
			const auto from = call.pin(picture);
			const auto to = call.pin(mask);
			call.apart("mask.data", to.data, from.data, "picture.data");
			call.run([=](Workbench&) { allaprima::takeAlpha(from, to); });
		});
	}

	Napi::Value shapeMask(const Napi::CallbackInfo& info) {
		return promise(info, "shapeMask", [](const Arguments& arguments, Call& call) {
			const auto mask = arguments.mask(0, "mask");
			const bool inverted = arguments.flag(1, "isInverted");
			const double feather = arguments.number(2, "featherPx", 0, PICTURE_SIDE_MAX);
			const auto target = arguments.mask(3, "target");
			arguments.sameSize(target.size, "target", mask.size, "mask");
			const auto from = call.pin(mask), to = call.pin(target);
			call.apart("target.data", to.data, from.data, "mask.data");
			call.run([=](Workbench& bench) { return bench.shapeMask(from, inverted, feather, to); });
		});
	}

	Napi::Value advectNoise(const Napi::CallbackInfo& info) {
		return promise(info, "advectNoise", [](const Arguments& arguments, Call& call) {
			const auto shape = arguments.latentShape(2, "shape");
			const std::size_t coordinates = 2 * shape.count() / static_cast<std::size_t>(shape.channels);
			const auto field = arguments.floats(0, "field", shape.count());
			const auto from = arguments.floats(1, "from", coordinates);
			const auto flow = arguments.flow(3, "flow");
			const auto to = arguments.floats(4, "to", coordinates);
			const auto samples = arguments.floats(5, "samples", shape.count());
			arguments.atLeast(flow.size, "flow", {shape.width, shape.height}, "shape");
			const auto source = call.pin(field), start = call.pin(from);
			const auto end = call.pin(to), target = call.pin(samples);
			const auto motion = call.pin(flow);
			call.apart("samples", target, end, "to");
			for (const auto& [written, name] : {std::pair(end, "to"), std::pair(target, "samples")}) {
				call.apart(name, written, source, "field");
				call.apart(name, written, start, "from");
				call.apart(name, written, motion.data, "flow.data");
			}
			call.run([=](Workbench& bench) { bench.carryNoise(source, start, shape, motion, end, target); });
		});
	}

	Napi::Value thumbnailDifference(const Napi::CallbackInfo& info) {
		return promise(info, "thumbnailDifference", [](const Arguments& arguments, Call& call) {
			const auto [a, b] = samePictures(arguments, call);
			call.run([a, b](Workbench&) { return allaprima::thumbnailDifference(a, b); });
		});
	}

	Napi::Value blockDifference(const Napi::CallbackInfo& info) {
		return promise(info, "blockDifference", [](const Arguments& arguments, Call& call) {
			const auto [a, b] = samePictures(arguments, call);
			call.run([a, b](Workbench&) { return allaprima::blockDifference(a, b); });
		});
	}

	Napi::Value meanMotion(const Napi::CallbackInfo& info) {
		return promise(info, "meanMotion", [](const Arguments& arguments, Call& call) {
			const auto flow = call.pin(arguments.flow(0, "flow"));
			call.run([flow](Workbench&) { return allaprima::meanMotion(flow); });
		});
	}

	Napi::Value pictureDifference(const Napi::CallbackInfo& info) {
		return promise(info, "pictureDifference", [](const Arguments& arguments, Call& call) {
			const auto [a, b] = samePictures(arguments, call);
			call.run([a, b](Workbench&) { return allaprima::pictureDifference(a, b); });
		});
	}

	Napi::Value pictureDetail(const Napi::CallbackInfo& info) {
		return promise(info, "pictureDetail", [](const Arguments& arguments, Call& call) {
			const auto picture = call.pin(arguments.rgb(0, "picture"));
			call.run([picture](Workbench&) { return allaprima::pictureDetail(picture); });
		});
	}

	Napi::Value warpingError(const Napi::CallbackInfo& info) {
		return promise(info, "warpingError", [](const Arguments& arguments, Call& call) {
			const auto inputs = arguments.rgbPair(0, "inputs");
			const auto outputs = arguments.rgbPair(1, "outputs");
			const cv::Size size = inputs[0].layout.size();
			for (const auto* picture : {&inputs[1], &outputs[0], &outputs[1]}) {
				arguments.sameSize(picture->layout.size(), picture->name, size, "inputs[0]");
			}
			const std::array in{call.pin(inputs[0]), call.pin(inputs[1])};
			const std::array out{call.pin(outputs[0]), call.pin(outputs[1])};
			call.run([in, out](Workbench&) { return allaprima::warpingError(in, out); });
		});
	}

	static std::pair<Picture, Picture> samePictures(const Arguments& arguments, Call& call) {
		const auto a = arguments.rgb(0, "a");
		const auto b = arguments.rgb(1, "b");
		arguments.sameSize(b.layout.size(), "b", a.layout.size(), "a");
		return {call.pin(a), call.pin(b)};
	}

	std::shared_ptr<WorkbenchPool> pool_;
};

NODE_API_NAMED_ADDON(allaprima, Addon)

}
}
