#include "ndi-addon.hpp"

#include <climits>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "addon-arguments.hpp"
#include "feed.hpp"
#include "finder.hpp"
#include "intake.hpp"
#include "notify-systemd.hpp"
#include "queued-sender.hpp"
#include "relay.hpp"
#include "runtime.hpp"

namespace allaprima {
namespace {

using namespace ndi;

constexpr Named<Fit> FITS[] = {{"cover", Fit::COVER}, {"contain", Fit::CONTAIN}, {"stretch", Fit::STRETCH}};
constexpr Named<Policy> POLICIES[] = {
	{"passthrough", Policy::PASSTHROUGH}, {"hold", Policy::HOLD}, {"slate", Policy::SLATE}
};
constexpr Named<Policy> AFTER_HOLD[] = {{"slate", Policy::SLATE}, {"passthrough", Policy::PASSTHROUGH}};
constexpr const char* INPUT_STATES[] = {"waiting", "receiving", "stale"};
constexpr const char* SHOWN[] = {"nothing", "painting", "source", "hold", "slate", "direct"};

constexpr std::int64_t RATE_MAX = 1'000'000, WAIT_MS_MAX = 60'000, STALE_MS_MAX = 60'000,
					   HOLD_MS_MAX = 86'400'000;
/** A second at 60 frames and some, or what fits into the memory. */
constexpr std::size_t POOL_FRAMES = 72, POOL_BYTES = std::size_t{512} << 20;
/** A receiver needs one that is being read, one that is newest, and two fields. */
constexpr std::size_t RECEIVER_FRAMES = 6;

// Answers are built with plain Node-API, which reports where the wrapper would throw: a worker that ends
// refuses calls into JavaScript.

napi_value numberOf(napi_env env, double number) {
	napi_value value = nullptr;
	napi_create_double(env, number, &value);
	return value;
}

napi_value textOf(napi_env env, std::string_view text) {
	napi_value value = nullptr;
	napi_create_string_utf8(env, text.data(), text.size(), &value);
	return value;
}

napi_value flagOf(napi_env env, bool flag) {
	napi_value value = nullptr;
	napi_get_boolean(env, flag, &value);
	return value;
}

napi_value undefinedOf(napi_env env) {
	napi_value value = nullptr;
	napi_get_undefined(env, &value);
	return value;
}

napi_value errorOf(napi_env env, const char* code, const std::string& message) {
	napi_value value = nullptr;
	napi_create_error(env, textOf(env, code), textOf(env, message), &value);
	return value;
}

/** An object that is filled member by member. */
class Members {
public:
	explicit Members(napi_env env) : env_(env) { napi_create_object(env, &object_); }

	Members& add(const char* name, napi_value value) {
		napi_set_named_property(env_, object_, name, value);
		return *this;
	}
	Members& number(const char* name, double value) { return add(name, numberOf(env_, value)); }
	Members& count(const char* name, std::uint64_t value) { return number(name, static_cast<double>(value)); }
	Members& text(const char* name, std::string_view value) { return add(name, textOf(env_, value)); }
	Members& textOrNone(const char* name, const std::string& value) {
		return add(name, value.empty() ? undefinedOf(env_) : textOf(env_, value));
	}
	Members& flag(const char* name, bool value) { return add(name, flagOf(env_, value)); }
	Members& ms(const char* name, std::optional<std::int64_t> us) {
		return add(name, us ? numberOf(env_, static_cast<double>(*us) / 1000) : undefinedOf(env_));
	}
	operator napi_value() const { return object_; }

private:
	napi_env env_;
	napi_value object_ = nullptr;
};

napi_value layoutTo(napi_env env, const PictureLayout& layout) {
	return Members(env)
		.text("format", PIXEL_FORMATS[static_cast<std::size_t>(layout.format)].name)
		.number("width", layout.width)
		.number("height", layout.height)
		.text("matrix", COLOR_MATRICES[static_cast<std::size_t>(layout.matrix)].name)
		.text("range", COLOR_RANGES[static_cast<std::size_t>(layout.range)].name);
}

napi_value tallyTo(napi_env env, const abi::Tally& tally) {
	return Members(env).flag("onProgram", tally.onProgram).flag("onPreview", tally.onPreview);
}

/** Runs what may throw, and throws it as JavaScript's. */
template <typename Work>
auto rethrowing(Napi::Env env, Work work) {
	try {
		return work();
	} catch (const NdiError& error) {
		auto thrown = Napi::Error::New(env, error.what());
		thrown.Set("code", Napi::String::New(env, error.code));
		throw thrown;
	} catch (const std::bad_alloc&) {
		throw Napi::Error::New(env, "Out of memory.");
	} catch (const std::system_error& error) {
		throw Napi::Error::New(env, std::string("No thread for NDI: ") + error.what() + ".");
	}
}

// -- Arguments

std::string stringOf(const Napi::Value& value, const std::string& name, bool isNeeded = true) {
	if (!isNeeded && value.IsUndefined()) return {};
	if (!value.IsString()) refuse(value.Env(), name, "a string", describe(value));
	const std::string text = value.As<Napi::String>().Utf8Value();
	if (text.find('\0') != std::string::npos)
		refuse(value.Env(), name, "a string", "one with a null character");
	return text;
}

bool flagOf(const Napi::Value& value, const std::string& name) {
	if (!value.IsBoolean()) refuse(value.Env(), name, "true or false", describe(value));
	return value.As<Napi::Boolean>().Value();
}

std::int64_t msOf(const Napi::Value& value, const std::string& name, std::int64_t most) {
	if (value.IsNumber()) {
		const double ms = value.As<Napi::Number>().DoubleValue();
		if (ms >= 0 && ms <= static_cast<double>(most)) return static_cast<std::int64_t>(ms * 1000);
	}
	refuse(value.Env(), name, "milliseconds from 0 to " + std::to_string(most), describe(value));
}

/** The bytes of a Uint8Array; no JavaScript may run between this and their use. */
std::span<std::uint8_t> bytesOf(const Napi::Value& value, const std::string& name, std::size_t least) {
	const bool isBytes =
		value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
	if (!isBytes) refuse(value.Env(), name, "a Uint8Array", describe(value));
	std::size_t length = 0;
	void* data = nullptr;
	// The wrapper would ask for the ArrayBuffer, which shared memory has not.
	napi_get_typedarray_info(value.Env(), value, nullptr, &length, &data, nullptr, nullptr);
	if (data == nullptr || length < least) {
		const std::string wanted = "a Uint8Array of " + std::to_string(least) + " bytes or more";
		refuse(value.Env(), name, wanted, std::to_string(data ? length : 0));
	}
	return {static_cast<std::uint8_t*>(data), length};
}

/** A picture of exactly this layout. */
std::span<std::uint8_t>
pictureBytesOf(const Napi::Value& value, const std::string& name, const PictureLayout& layout) {
	const Napi::Object object = objectOf(value, name, "a picture");
	const PictureLayout seen = layoutOf(object, name);
	if (seen.format != layout.format || seen.size() != layout.size()) {
		const auto textOf = [](const PictureLayout& of) {
			return std::string(PIXEL_FORMATS[static_cast<std::size_t>(of.format)].name) + " of " +
				std::to_string(of.width) + "x" + std::to_string(of.height);
		};
		refuse(value.Env(), name, textOf(layout), textOf(seen));
	}
	const std::size_t bytes = pictureByteLength(layout);
	return bytesOf(object.Get("data"), name + ".data", bytes).first(bytes);
}

/** An RGB picture of whatever size it says. */
std::pair<cv::Size, std::span<std::uint8_t>> rgbPictureOf(const Napi::Value& value, const std::string& name) {
	const cv::Size size = sizeOf(objectOf(value, name, "a picture"), name);
	PictureLayout layout;
	layout.width = size.width;
	layout.height = size.height;
	return {size, pictureBytesOf(value, name, layout)};
}

/** A mask of whatever size it says, or none. */
std::optional<OwnMask> maskOf(const Napi::Value& value, const std::string& name) {
	if (value.IsUndefined()) return std::nullopt;
	const Napi::Object object = objectOf(value, name, "a mask");
	const cv::Size size = sizeOf(object, name);
	const auto bytes = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
	const auto data = bytesOf(object.Get("data"), name + ".data", bytes).first(bytes);
	return OwnMask{size, {data.begin(), data.end()}};
}

IntakeOptions intakeOptionsOf(const Napi::Value& value, const std::string& name) {
	const Napi::Object object = objectOf(value, name, "an input");
	IntakeOptions options;
	options.name = stringOf(object.Get("name"), name + ".name", false);
	options.url = stringOf(object.Get("url"), name + ".url", false);
	options.groups = stringOf(object.Get("groups"), name + ".groups", false);
	options.extraIps = stringOf(object.Get("extraIps"), name + ".extraIps", false);
	options.receiverName = stringOf(object.Get("receiverName"), name + ".receiverName", false);
	const Napi::Value fields = object.Get("fields");
	options.keepsFields = fields.IsUndefined() || flagOf(fields, name + ".fields");
	if (options.name.empty() && options.url.empty()) refuse(value.Env(), name, "a name or a url", "neither");
	return options;
}

std::pair<int, int> frameRateOf(const Napi::Value& value, const std::string& name) {
	const Napi::Object object = objectOf(value, name, "a frame rate");
	return {
		static_cast<int>(integerOf(object.Get("num"), name + ".num", 1, RATE_MAX)),
		static_cast<int>(integerOf(object.Get("den"), name + ".den", 1, RATE_MAX)),
	};
}

RelayOptions relayOptionsOf(const Napi::Object& object) {
	RelayOptions options;
	const Napi::Object output = objectOf(object.Get("output"), "output", "an output");
	options.outputName = stringOf(output.Get("name"), "output.name");
	if (options.outputName.empty()) refuse(object.Env(), "output.name", "a name", "an empty one");
	options.outputGroups = stringOf(output.Get("groups"), "output.groups", false);
	options.wantsFailover = flagOf(output.Get("failover"), "output.failover");
	options.fit = choiceOf(object.Get("fit"), "fit", FITS);
	options.policy = choiceOf(object.Get("failure"), "failure", POLICIES);
	const Napi::Value hold = object.Get("holdMs");
	const bool isForever = hold.IsString() && hold.As<Napi::String>().Utf8Value() == "forever";
	if (!isForever) options.holdUs = msOf(hold, "holdMs", HOLD_MS_MAX);
	options.afterHold = choiceOf(object.Get("afterHold"), "afterHold", AFTER_HOLD);
	options.staleAfterUs = msOf(object.Get("staleAfterMs"), "staleAfterMs", STALE_MS_MAX);
	const Napi::Value delay = object.Get("delayMs");
	const bool isMeasured = delay.IsString() && delay.As<Napi::String>().Utf8Value() == "auto";
	if (!isMeasured) options.delayUs = msOf(delay, "delayMs", Delay::MOST_US / 1000);
	const auto [size, slate] = rgbPictureOf(object.Get("slate"), "slate");
	options.slateSize = size;
	options.slate.assign(slate.begin(), slate.end());
	return options;
}

// -- The runtime

/** Keeps the runtime for as long as the environment lives, so that what is made in between finds it. */
void keepRuntime(napi_env env, RuntimePointer runtime) {
	napi_add_env_cleanup_hook(
		env,
		[](void* held) { delete static_cast<RuntimePointer*>(held); },
		new RuntimePointer(std::move(runtime))
	);
}

/** (runtimePath) */
Napi::Value openNdi(const Napi::CallbackInfo& info) {
	const Napi::Env env = info.Env();
	const std::string path = stringOf(info[0], "runtimePath");
	return rethrowing(env, [&]() -> Napi::Value {
		RuntimePointer runtime = openRuntime(path);
		const Members members = Members(env)
									.text("path", runtime->path)
									.text("version", runtime->versionText)
									.flag("hasFailover", runtime->sendSetFailover != nullptr);
		keepRuntime(env, std::move(runtime));
		return {env, members};
	});
}

class FindTask final : public Napi::AsyncWorker {
public:
	FindTask(Napi::Env env, std::string groups, std::string extraIps, std::int64_t waitUs)
		: AsyncWorker(env, "allaprima NDI"),
		  groups_(std::move(groups)),
		  extraIps_(std::move(extraIps)),
		  waitUs_(waitUs) {}

	Napi::Value promise() {
		napi_value promise = nullptr;
		if (napi_create_promise(Env(), &deferred_, &promise) != napi_ok) throw Napi::Error::New(Env());
		return {Env(), promise};
	}

	void Execute() override {
		try {
			Finder finder(openRuntime(), groups_, extraIps_);
			const std::int64_t until = nowUs() + waitUs_;
			for (std::int64_t now = nowUs(); now < until; now = nowUs())
				finder.wait(std::chrono::milliseconds((until - now + 999) / 1000));
			found_ = finder.sources();
		} catch (const NdiError& error) {
			code_ = error.code;
			error_ = error.what();
		} catch (const std::exception& error) {
			code_ = "NDI_FINDER";
			error_ = error.what();
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
		if (!error_.empty()) {
			napi_reject_deferred(env, deferred_, errorOf(env, code_, error_));
			return;
		}
		napi_value list = nullptr;
		napi_create_array_with_length(env, found_.size(), &list);
		for (std::uint32_t i = 0; i < found_.size(); ++i)
			napi_set_element(
				env, list, i, Members(env).text("name", found_[i].name).text("url", found_[i].url)
			);
		napi_resolve_deferred(env, deferred_, list);
	}

	napi_deferred deferred_ = nullptr;
	std::string groups_, extraIps_;
	std::int64_t waitUs_;
	std::vector<FoundSource> found_;
	const char* code_ = "";
	std::string error_;
};

/** (groups, extraIps, waitMs) */
Napi::Value findSources(const Napi::CallbackInfo& info) {
	auto task = std::make_unique<FindTask>(
		info.Env(),
		stringOf(info[0], "groups"),
		stringOf(info[1], "extraIps"),
		msOf(info[2], "waitMs", WAIT_MS_MAX)
	);
	const Napi::Value promise = task->promise();
	task->Queue();
	static_cast<void>(task.release()); // it destroys itself when it has answered
	return promise;
}

// -- What comes in

/**
 * An intake, a relay behind it where there is one, and the promise that its feed works for. The feed tells by
 * a thread-safe function, whose calls may come after the end of this: they hold it weakly.
 */
class IntakeSession : public std::enable_shared_from_this<IntakeSession> {
public:
	explicit IntakeSession(napi_env env) : env_(env) {}
	IntakeSession(const IntakeSession&) = delete;
	IntakeSession& operator=(const IntakeSession&) = delete;
	~IntakeSession() { close(); }

	/** Throws NdiError, std::system_error. */
	void start(IntakeOptions options, std::optional<RelayOptions> relayOptions, bool isOnlyWhenWatched) {
		RuntimePointer runtime = openRuntime();
		pool_ = std::make_shared<FramePool>(relayOptions ? POOL_FRAMES : RECEIVER_FRAMES, POOL_BYTES);
		intake_ = std::make_shared<Intake>(runtime, std::move(options), pool_);
		if (relayOptions) relay_ = std::make_shared<Relay>(runtime, intake_, pool_, std::move(*relayOptions));
		const napi_status status = napi_create_threadsafe_function(
			env_,
			nullptr,
			nullptr,
			textOf(env_, "allaprima NDI"),
			0,
			1,
			nullptr,
			nullptr,
			nullptr,
			deliver,
			&wakeUp_
		);
		if (status != napi_ok) throw std::bad_alloc();
		// Only a promise under way keeps Node alive.
		napi_unref_threadsafe_function(env_, wakeUp_);
		// After the function was made, and so before Node takes it away: the threads end while they can still
		// call.
		napi_add_env_cleanup_hook(env_, tearDown, this);
		isOpen_ = true;
		feed_ = std::make_unique<Feed>(
			intake_,
			[relay = relay_, isOnlyWhenWatched] {
				return !relay || !isOnlyWhenWatched || relay->connections() > 0;
			},
			[this] { wakeUp(); }
		);
		if (relay_) relay_->start();
		intake_->start(relay_);
	}

	bool isBusy() const { return deferred_ != nullptr; }
	Feed* feed() { return isOpen_ ? feed_.get() : nullptr; }
	Relay* relay() { return isOpen_ ? relay_.get() : nullptr; }

	/** A promise of what `ask` asks of the feed. `self` and `view` stay alive until it settles. */
	template <typename Ask>
	napi_value promise(napi_value self, napi_value view, Ask ask) {
		napi_value promise = nullptr;
		if (napi_create_promise(env_, &deferred_, &promise) != napi_ok) throw Napi::Error::New(env_);
		napi_create_reference(env_, self, 1, &self_);
		if (view) napi_create_reference(env_, view, 1, &view_);
		napi_ref_threadsafe_function(env_, wakeUp_);
		ask(*feed_);
		return promise;
	}

	/** Ends the threads; a promise under way resolves to nothing. */
	void close() {
		if (!isOpen_) return;
		const auto alive = weak_from_this().lock();
		isOpen_ = false;
		feed_->stop();
		settle(true);
		end();
		napi_remove_env_cleanup_hook(env_, tearDown, this);
		napi_release_threadsafe_function(wakeUp_, napi_tsfn_release);
	}

	napi_value state() {
		if (isOpen_) look();
		const Intake::State& in = lastIntake_;
		Members members(env_);
		members.text("inputState", INPUT_STATES[static_cast<int>(in.input)])
			.count("framesIn", in.framesIn)
			.textOrNone("dropReason", in.dropReason)
			.ms("frameAgeMs", in.frameAgeUs)
			.count("audioFrames", in.audioFrames)
			.count("metadataIn", in.metadataIn)
			.count("reconnects", in.reconnects)
			.count("receiverRestarts", in.restarts)
			.count("poolUsed", poolUsed_)
			.textOrNone("url", in.url)
			.count("framesDropped", in.framesDropped + (lastRelay_ ? lastRelay_->counts.dropped : 0));
		if (lastRelay_) addRelay(members, *lastRelay_);
		return members;
	}

private:
	void look() {
		lastIntake_ = intake_->state();
		poolUsed_ = pool_->used();
		if (relay_) lastRelay_ = relay_->state();
	}

	void addRelay(Members& members, const Relay::State& out) {
		members.number("connections", out.connections)
			.add("tally", tallyTo(env_, out.tally))
			.count("framesPainted", out.counts.painted)
			.count("framesPassed", out.counts.passed)
			.count("framesHeld", out.counts.held)
			.count("framesSlate", out.counts.slate)
			.count("framesRepeated", out.counts.repeated)
			.count("framesFilled", out.counts.filled)
			.count("framesLate", out.counts.late)
			.ms("sentAgeMs", out.sentAgeUs)
			.ms("paintedAgeMs", out.paintedAgeUs)
			.ms("delayMs", out.delayUs)
			.count("metadataOut", out.metadataOut)
			.text("shown", SHOWN[static_cast<int>(out.shown)])
			.text("sourceName", out.sourceName)
			.flag("isFailoverSet", out.isFailoverSet);
		napi_value latency = undefinedOf(env_);
		if (out.latencyUs) {
			const auto [p50, p95, p99] = *out.latencyUs;
			latency = Members(env_).ms("p50", p50).ms("p95", p95).ms("p99", p99);
		}
		members.add("latencyMs", latency);
	}

	/** The threads, and what they hold: an output that is closed is not to be found any more. */
	void end() {
		look();
		feed_.reset();
		intake_->stop();
		if (relay_) relay_->stop();
		relay_.reset();
		intake_.reset();
		pool_.reset();
	}

	/** On the feed's thread. */
	void wakeUp() {
		auto session = std::make_unique<std::weak_ptr<IntakeSession>>(weak_from_this());
		if (napi_call_threadsafe_function(wakeUp_, session.get(), napi_tsfn_nonblocking) == napi_ok)
			static_cast<void>(session.release());
	}

	/** On the thread of JavaScript; `env` is null when that is over. */
	static void deliver(napi_env env, napi_value, void*, void* data) {
		const std::unique_ptr<std::weak_ptr<IntakeSession>> held(
			static_cast<std::weak_ptr<IntakeSession>*>(data)
		);
		if (!env) return;
		if (const auto session = held->lock()) session->settle(false);
	}

	/** The environment ends, and takes the function and the promise with it. */
	static void tearDown(void* self) {
		auto& session = *static_cast<IntakeSession*>(self);
		session.isOpen_ = false;
		session.feed_->stop();
		session.end();
		session.forget();
	}

	void forget() {
		deferred_ = nullptr;
		for (napi_ref* reference : {&self_, &view_}) {
			if (*reference) napi_delete_reference(env_, *reference);
			*reference = nullptr;
		}
	}

	void settle(bool isClosing) {
		if (!deferred_) return;
		auto outcome = feed_->takeOutcome();
		if (!outcome) {
			if (!isClosing) return;
			outcome.emplace();
		}
		napi_handle_scope scope = nullptr;
		if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
		const napi_deferred deferred = deferred_;
		napi_unref_threadsafe_function(env_, wakeUp_);
		answer(deferred, *outcome);
		forget();
		napi_close_handle_scope(env_, scope);
	}

	void answer(napi_deferred deferred, const Feed::Outcome& outcome) {
		switch (outcome.status) {
		case Feed::Status::OK:
			napi_resolve_deferred(env_, deferred, outcome.isOpening ? formatOf(outcome) : frameOf(outcome));
			break;
		case Feed::Status::NONE:
			napi_resolve_deferred(env_, deferred, undefinedOf(env_));
			break;
		case Feed::Status::TOO_SMALL:
			napi_reject_deferred(
				env_, deferred, errorOf(env_, "NDI_TARGET", "The frame does not fit into its target.")
			);
			break;
		case Feed::Status::FAILED:
			napi_reject_deferred(env_, deferred, errorOf(env_, "NDI_FRAME", outcome.error));
			break;
		}
	}

	napi_value formatOf(const Feed::Outcome& outcome) {
		const FrameFacts& facts = outcome.facts;
		const double squareAspect = static_cast<double>(facts.width) / facts.height;
		return Members(env_)
			.add("layout", layoutTo(env_, outcome.layout))
			.add("frameRate", Members(env_).number("num", facts.rateNum).number("den", facts.rateDen))
			.number("aspect", facts.aspect > 0 ? static_cast<double>(facts.aspect) : squareAspect)
			.flag("isInterlaced", facts.isInterlaced)
			.flag("hasAlpha", facts.kind == FrameKind::UYVA)
			.flag("hasAudio", outcome.hasSound);
	}

	napi_value frameOf(const Feed::Outcome& outcome) {
		napi_value timecode = nullptr;
		napi_create_bigint_int64(env_, outcome.facts.timecode, &timecode);
		return Members(env_)
			.count("sequence", outcome.facts.sequence)
			.count("missed", outcome.missed)
			.number("capturedUs", static_cast<double>(outcome.facts.arrivedUs))
			.add("timecode", timecode)
			.add("layout", layoutTo(env_, outcome.layout));
	}

	napi_env env_;
	napi_threadsafe_function wakeUp_ = nullptr;
	std::shared_ptr<FramePool> pool_;
	std::shared_ptr<Intake> intake_;
	std::shared_ptr<Relay> relay_;
	std::unique_ptr<Feed> feed_;
	bool isOpen_ = false;
	Intake::State lastIntake_;
	std::size_t poolUsed_ = 0;
	std::optional<Relay::State> lastRelay_;
	napi_deferred deferred_ = nullptr;
	napi_ref self_ = nullptr;
	napi_ref view_ = nullptr;
};

/** What receivers and relays have alike. */
template <typename Self>
class IntakeObject : public Napi::ObjectWrap<Self> {
public:
	explicit IntakeObject(const Napi::CallbackInfo& info)
		: Napi::ObjectWrap<Self>(info), session_(std::make_shared<IntakeSession>(info.Env())) {}

protected:
	using Base = Napi::ObjectWrap<Self>;

	/** The feed, if it is open and idle. */
	Feed& idle(Napi::Env env) {
		if (session_->isBusy()) throw Napi::Error::New(env, "This is at another open or next.");
		return *session_->feed();
	}

	/** (timeoutMs) */
	Napi::Value open(const Napi::CallbackInfo& info) {
		const std::int64_t timeoutUs = msOf(info[0], "timeoutMs", INT_MAX);
		if (!session_->feed()) return nothing(info.Env());
		idle(info.Env());
		return {info.Env(), session_->promise(info.This(), nullptr, [&](Feed& feed) {
					feed.open(nowUs() + timeoutUs);
				})};
	}

	/** (target) */
	Napi::Value next(const Napi::CallbackInfo& info) {
		if (!session_->feed()) return nothing(info.Env());
		const std::size_t bytes = idle(info.Env()).byteLength();
		if (bytes == 0) throw Napi::Error::New(info.Env(), "There is no format yet: open comes first.");
		const auto target = bytesOf(info[0], "target", bytes);
		return {info.Env(), session_->promise(info.This(), info[0], [&](Feed& feed) { feed.next(target); })};
	}

	Napi::Value state(const Napi::CallbackInfo& info) { return {info.Env(), session_->state()}; }
	void close(const Napi::CallbackInfo&) { session_->close(); }

	std::shared_ptr<IntakeSession> session_;

private:
	static Napi::Value nothing(Napi::Env env) {
		const auto deferred = Napi::Promise::Deferred::New(env);
		deferred.Resolve(env.Undefined());
		return deferred.Promise();
	}
};

class ReceiverObject final : public IntakeObject<ReceiverObject> {
public:
	static Napi::Function define(Napi::Env env) {
		return DefineClass(
			env,
			"NdiReceiver",
			{
				InstanceMethod("open", &ReceiverObject::open),
				InstanceMethod("next", &ReceiverObject::next),
				InstanceMethod("state", &ReceiverObject::state),
				InstanceMethod("close", &ReceiverObject::close),
			}
		);
	}

	/** (input) */
	explicit ReceiverObject(const Napi::CallbackInfo& info) : IntakeObject(info) {
		IntakeOptions options = intakeOptionsOf(info[0], "input");
		rethrowing(info.Env(), [&] { session_->start(std::move(options), std::nullopt, false); });
	}
};

class RelayObject final : public IntakeObject<RelayObject> {
public:
	static Napi::Function define(Napi::Env env) {
		return DefineClass(
			env,
			"NdiRelay",
			{
				InstanceMethod("open", &RelayObject::open),
				InstanceMethod("next", &RelayObject::next),
				InstanceMethod("painted", &RelayObject::painted),
				InstanceMethod("setDirect", &RelayObject::setDirect),
				InstanceMethod("setPanic", &RelayObject::setPanic),
				InstanceMethod("setFailure", &RelayObject::setFailure),
				InstanceMethod("setStaleAfterMs", &RelayObject::setStaleAfterMs),
				InstanceMethod("state", &RelayObject::state),
				InstanceMethod("close", &RelayObject::close),
			}
		);
	}

	/** (options) */
	explicit RelayObject(const Napi::CallbackInfo& info) : IntakeObject(info) {
		const Napi::Object object = objectOf(info[0], "options", "the options of a relay");
		IntakeOptions input = intakeOptionsOf(object.Get("input"), "input");
		input.keepsAlpha = flagOf(object.Get("alpha"), "alpha");
		const bool isOnlyWhenWatched = flagOf(object.Get("onlyWhenWatched"), "onlyWhenWatched");
		RelayOptions options = relayOptionsOf(object);
		rethrowing(info.Env(), [&] {
			session_->start(std::move(input), std::move(options), isOnlyWhenWatched);
		});
	}

private:
	/** (sequence, picture, mask | undefined) */
	void painted(const Napi::CallbackInfo& info) {
		const auto sequence = static_cast<std::uint64_t>(integerOf(info[0], "sequence", 0, INT64_C(1) << 53));
		// Copied before anything else is read: that may run JavaScript.
		auto mask = maskOf(info[2], "mask");
		const auto picture = rgbPictureOf(info[1], "picture");
		if (Relay* relay = session_->relay())
			rethrowing(info.Env(), [&] {
				relay->painted(sequence, picture.first, picture.second, std::move(mask));
			});
	}

	void setDirect(const Napi::CallbackInfo& info) {
		const bool isOn = flagOf(info[0], "on");
		if (Relay* relay = session_->relay()) relay->setDirect(isOn);
	}

	void setPanic(const Napi::CallbackInfo& info) {
		const bool isOn = flagOf(info[0], "on");
		if (Relay* relay = session_->relay()) relay->setPanic(isOn);
	}

	void setFailure(const Napi::CallbackInfo& info) {
		const Policy policy = choiceOf(info[0], "policy", POLICIES);
		if (Relay* relay = session_->relay()) relay->setPolicy(policy);
	}

	void setStaleAfterMs(const Napi::CallbackInfo& info) {
		const std::int64_t us = msOf(info[0], "ms", STALE_MS_MAX);
		if (Relay* relay = session_->relay()) relay->setStaleAfter(us);
	}
};

// -- What goes out by itself

class SenderObject final : public Napi::ObjectWrap<SenderObject> {
public:
	static Napi::Function define(Napi::Env env) {
		return DefineClass(
			env,
			"NdiSender",
			{
				InstanceMethod("send", &SenderObject::send),
				InstanceMethod("state", &SenderObject::state),
				InstanceMethod("close", &SenderObject::close),
			}
		);
	}

	/** (options) */
	explicit SenderObject(const Napi::CallbackInfo& info) : ObjectWrap(info), env_(info.Env()) {
		const Napi::Object object = objectOf(info[0], "options", "the options of a sender");
		const std::string name = stringOf(object.Get("name"), "name");
		if (name.empty()) refuse(info.Env(), "name", "a name", "an empty one");
		const std::string groups = stringOf(object.Get("groups"), "groups", false);
		const PictureLayout layout = layoutOf(objectOf(object.Get("layout"), "layout", "a layout"), "layout");
		const auto [num, den] = frameRateOf(object.Get("frameRate"), "frameRate");
		rethrowing(info.Env(), [&] {
			sender_ = std::make_shared<QueuedSender>(openRuntime(), name, groups, layout, num, den);
			sender_->start();
		});
		napi_add_env_cleanup_hook(env_, tearDown, this);
	}
	SenderObject(const SenderObject&) = delete;
	SenderObject& operator=(const SenderObject&) = delete;
	~SenderObject() override { end(); }

private:
	static void tearDown(void* self) {
		auto& sender = static_cast<SenderObject*>(self)->sender_;
		sender->stop();
		sender.reset();
	}

	void end() {
		if (!sender_) return;
		napi_remove_env_cleanup_hook(env_, tearDown, this);
		tearDown(this);
	}

	/** (picture, timecode) */
	void send(const Napi::CallbackInfo& info) {
		std::int64_t timecode = abi::TIMECODE_NOW;
		if (!info[1].IsUndefined()) {
			if (!info[1].IsBigInt()) refuse(info.Env(), "timecode", "a bigint", describe(info[1]));
			bool isWhole = false;
			timecode = info[1].As<Napi::BigInt>().Int64Value(&isWhole);
			if (!isWhole) refuse(info.Env(), "timecode", "a bigint of 64 bits", "a larger one");
		}
		if (!sender_) return;
		const auto pixels = pictureBytesOf(info[0], "picture", sender_->layout());
		rethrowing(info.Env(), [&] { sender_->send(pixels, timecode); });
	}

	Napi::Value state(const Napi::CallbackInfo& info) {
		if (sender_) state_ = sender_->state();
		const napi_env env = info.Env();
		const Members members = Members(env)
									.number("connections", state_.connections)
									.add("tally", tallyTo(env, state_.tally))
									.count("framesSent", state_.framesSent)
									.count("framesDropped", state_.framesDropped)
									.count("metadataIn", state_.metadataIn)
									.text("sourceName", state_.sourceName);
		return {env, members};
	}

	void close(const Napi::CallbackInfo&) { end(); }

	napi_env env_;
	std::shared_ptr<QueuedSender> sender_;
	QueuedSender::State state_;
};

Napi::Value notify(const Napi::CallbackInfo& info) {
	return Napi::Boolean::New(info.Env(), notifySystemd(stringOf(info[0], "state")));
}

}

void defineNdi(Napi::Env env, Napi::Object exports) {
	exports.Set("ndiOpen", Napi::Function::New(env, openNdi, "ndiOpen"));
	exports.Set("ndiFindSources", Napi::Function::New(env, findSources, "ndiFindSources"));
	exports.Set("NdiReceiver", ReceiverObject::define(env));
	exports.Set("NdiRelay", RelayObject::define(env));
	exports.Set("NdiSender", SenderObject::define(env));
	exports.Set("notifySystemd", Napi::Function::New(env, notify, "notifySystemd"));
}

}
