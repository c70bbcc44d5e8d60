#include "ring-addon.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "addon-arguments.hpp"
#include "ring-reader.hpp"
#include "ring-status.hpp"
#include "ring-writer.hpp"

namespace allaprima {
namespace {

constexpr std::uint32_t FOURCCS[] = {
	FRAME_RING_RGB, FRAME_RING_BGRA, FRAME_RING_RGBA, FRAME_RING_NV12, FRAME_RING_I420, FRAME_RING_UYVY
};
static_assert(std::size(FOURCCS) == std::size(PIXEL_FORMATS));
static_assert(PICTURE_SIDE_MAX == FRAME_RING_SIDE_MAX);

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

napi_value undefinedOf(napi_env env) {
	napi_value value = nullptr;
	napi_get_undefined(env, &value);
	return value;
}

napi_value errorOf(napi_env env, frame_ring_status status, int error) {
	napi_value value = nullptr;
	napi_create_error(
		env, textOf(env, frame_ring_status_name(status)), textOf(env, ringMessage(status, error)), &value
	);
	return value;
}

/** Runs what may throw a RingError, and throws it as JavaScript's, with its name as the code. */
template <typename Work>
auto rethrowing(Napi::Env env, Work work) {
	try {
		return work();
	} catch (const RingError& error) {
		auto thrown = Napi::Error::New(env, error.what());
		thrown.Set("code", Napi::String::New(env, frame_ring_status_name(error.status)));
		throw thrown;
	} catch (const std::bad_alloc&) {
		throw Napi::Error::New(env, "Out of memory.");
	} catch (const std::system_error& error) {
		throw Napi::Error::New(env, std::string("No thread for the ring: ") + error.what() + ".");
	}
}

/** The Frame of sidecar/frame/frame.ts, and `missed`. */
napi_value frameOf(napi_env env, const frame_ring_taken& taken) {
	const frame_ring_frame& frame = taken.frame;
	napi_value layout = nullptr, object = nullptr;
	napi_create_object(env, &layout);
	const auto format = std::ranges::find(FOURCCS, frame.format) - std::begin(FOURCCS);
	napi_set_named_property(env, layout, "format", textOf(env, PIXEL_FORMATS[format].name));
	napi_set_named_property(env, layout, "width", numberOf(env, frame.width));
	napi_set_named_property(env, layout, "height", numberOf(env, frame.height));
	const bool is601 = frame.matrix == FRAME_RING_BT601, isLimited = frame.range == FRAME_RING_LIMITED;
	napi_set_named_property(env, layout, "matrix", textOf(env, is601 ? "bt601" : "bt709"));
	napi_set_named_property(env, layout, "range", textOf(env, isLimited ? "limited" : "full"));

	napi_create_object(env, &object);
	const std::pair<const char*, double> members[] = {
		{"sequence", static_cast<double>(frame.sequence)},
		{"slot", taken.slot},
		{"capturedUs", static_cast<double>(frame.captured_us)},
		{"timestampUs", static_cast<double>(frame.timestamp_us)},
		{"durationUs", static_cast<double>(frame.duration_us)},
		{"missed", static_cast<double>(taken.missed)},
	};
	for (const auto& [name, number] : members)
		napi_set_named_property(env, object, name, numberOf(env, number));
	napi_set_named_property(env, object, "layout", layout);
	return object;
}

frame_ring_frame frameOf(const Napi::Value& value) {
	const Napi::Object object = objectOf(value, "frame", "a frame");
	const PictureLayout layout =
		layoutOf(objectOf(object.Get("layout"), "frame.layout", "a layout"), "frame.layout");
	const auto timeOf = [&](const char* member) {
		return integerOf(
			object.Get(member), std::string("frame.") + member, -FRAME_RING_NUMBER_MAX, FRAME_RING_NUMBER_MAX
		);
	};
	frame_ring_frame frame{};
	frame.sequence = static_cast<std::uint64_t>(
		integerOf(object.Get("sequence"), "frame.sequence", 0, FRAME_RING_NUMBER_MAX)
	);
	frame.captured_us = timeOf("capturedUs");
	frame.timestamp_us = timeOf("timestampUs");
	frame.duration_us = timeOf("durationUs");
	frame.format = FOURCCS[static_cast<std::size_t>(layout.format)];
	frame.width = static_cast<std::uint32_t>(layout.width);
	frame.height = static_cast<std::uint32_t>(layout.height);
	frame.matrix = layout.matrix == ColorMatrix::BT601 ? FRAME_RING_BT601 : FRAME_RING_BT709;
	frame.range = layout.range == ColorRange::LIMITED ? FRAME_RING_LIMITED : FRAME_RING_FULL_RANGE;
	frame_ring_frame_pack(&frame);
	return frame;
}

/** The bytes of a Uint8Array; no JavaScript may run between this and their use. */
std::span<std::uint8_t> bytesOf(const Napi::Value& value, const std::string& name) {
	const bool isBytes =
		value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
	if (!isBytes) refuse(value.Env(), name, "a Uint8Array", describe(value));
	std::size_t length = 0;
	void* data = nullptr;
	// The wrapper would ask for the ArrayBuffer, which shared memory has not.
	napi_get_typedarray_info(value.Env(), value, nullptr, &length, &data, nullptr, nullptr);
	if (data == nullptr || length == 0)
		refuse(value.Env(), name, "a view of memory", "an empty or detached one");
	return {static_cast<std::uint8_t*>(data), length};
}

std::string pathOf(const Napi::Value& value) {
	if (!value.IsString()) refuse(value.Env(), "path", "a string", describe(value));
	const std::string path = value.As<Napi::String>().Utf8Value();
	if (path.find('\0') != std::string::npos)
		refuse(value.Env(), "path", "a path", "one with a null character");
	return path;
}

int descriptorOf(const Napi::Value& value) {
	return static_cast<int>(integerOf(value, "fd", 0, INT_MAX));
}

class RingWriterObject final : public Napi::ObjectWrap<RingWriterObject> {
public:
	static Napi::Function define(Napi::Env env) {
		return DefineClass(
			env,
			"RingWriter",
			{
				InstanceMethod("listen", &RingWriterObject::listen),
				InstanceMethod("adopt", &RingWriterObject::adopt),
				InstanceMethod("write", &RingWriterObject::write),
				InstanceMethod("readerCount", &RingWriterObject::readerCount),
				InstanceMethod("close", &RingWriterObject::close),
			}
		);
	}

	/** (slotCount, slotBytes) */
	explicit RingWriterObject(const Napi::CallbackInfo& info) : ObjectWrap(info), env_(info.Env()) {
		const auto slotCount = integerOf(info[0], "slotCount", FRAME_RING_SLOTS_MIN, FRAME_RING_SLOTS_MAX);
		const auto slotBytes =
			integerOf(info[1], "slotBytes", 1, static_cast<std::int64_t>(FRAME_RING_PAYLOAD_BYTES_MAX));
		rethrowing(info.Env(), [&] {
			ring_ = std::make_unique<RingWriter>(
				static_cast<std::uint32_t>(slotCount), static_cast<std::uint64_t>(slotBytes)
			);
		});
		// A worker that ends must not leave the ring's thread behind.
		napi_add_env_cleanup_hook(env_, tearDown, this);
	}
	RingWriterObject(const RingWriterObject&) = delete;
	RingWriterObject& operator=(const RingWriterObject&) = delete;
	~RingWriterObject() override { end(); }

private:
	static void tearDown(void* self) { static_cast<RingWriterObject*>(self)->ring_.reset(); }

	void end() {
		if (!ring_) return;
		napi_remove_env_cleanup_hook(env_, tearDown, this);
		ring_.reset();
	}

	RingWriter& ring(Napi::Env env) const {
		if (!ring_) {
			rethrowing(env, [] { checkRing(FRAME_RING_ENDED); });
		}
		return *ring_;
	}

	void listen(const Napi::CallbackInfo& info) {
		const std::string path = pathOf(info[0]);
		rethrowing(info.Env(), [&] { ring(info.Env()).listen(path); });
	}

	void adopt(const Napi::CallbackInfo& info) {
		const int fd = descriptorOf(info[0]);
		rethrowing(info.Env(), [&] { ring(info.Env()).adopt(fd); });
	}

	Napi::Value write(const Napi::CallbackInfo& info) {
		const frame_ring_frame frame = frameOf(info[0]);
		RingWriter& ring = this->ring(info.Env());
		const auto data = bytesOf(info[1], "data");
		if (data.size() != frame.payload_bytes) {
			refuse(
				info.Env(),
				"data",
				"a Uint8Array of " + std::to_string(frame.payload_bytes) + " elements",
				std::to_string(data.size())
			);
		}
		const std::uint32_t slot = rethrowing(info.Env(), [&] { return ring.write(frame, data); });
		return Napi::Number::New(info.Env(), slot);
	}

	Napi::Value readerCount(const Napi::CallbackInfo& info) {
		return Napi::Number::New(info.Env(), ring_ ? ring_->readerCount() : 0);
	}

	void close(const Napi::CallbackInfo&) { end(); }

	napi_env env_;
	std::unique_ptr<RingWriter> ring_;
};

/**
 * A reader and the promise that its thread works for. The thread tells by a thread-safe function, whose calls
 * may come after the end of this: they hold it weakly.
 */
class ReaderSession : public std::enable_shared_from_this<ReaderSession> {
public:
	explicit ReaderSession(napi_env env) : env_(env) {}
	ReaderSession(const ReaderSession&) = delete;
	ReaderSession& operator=(const ReaderSession&) = delete;
	~ReaderSession() { close(); }

	/** Takes `ring`. */
	void start(frame_ring_reader* ring) {
		const napi_status status = napi_create_threadsafe_function(
			env_,
			nullptr,
			nullptr,
			textOf(env_, "allaprima ring"),
			0,
			1,
			nullptr,
			nullptr,
			nullptr,
			deliver,
			&wakeUp_
		);
		if (status != napi_ok) {
			frame_ring_reader_close(ring);
			throw std::bad_alloc();
		}
		// Only a promise under way keeps Node alive.
		napi_unref_threadsafe_function(env_, wakeUp_);
		try {
			reader_.emplace(ring, [this] { wakeUp(); });
		} catch (...) {
			napi_release_threadsafe_function(wakeUp_, napi_tsfn_release);
			throw;
		}
		// After the function was made, and so before Node takes it away: the thread ends while it can still
		// call.
		napi_add_env_cleanup_hook(env_, tearDown, this);
		isOpen_ = true;
	}

	bool isBusy() const { return deferred_ != nullptr; }
	RingReader* reader() { return isOpen_ ? &*reader_ : nullptr; }
	/** Whether `open` came to its good end. */
	bool isReady() const { return isReady_; }

	/** A promise of what `ask` asks of the reader. `self` and `view` stay alive until it settles. */
	template <typename Ask>
	napi_value promise(napi_value self, napi_value view, bool isOpening, Ask ask) {
		napi_value promise = nullptr;
		if (napi_create_promise(env_, &deferred_, &promise) != napi_ok) throw Napi::Error::New(env_);
		isOpening_ = isOpening;
		napi_create_reference(env_, self, 1, &self_);
		if (view) napi_create_reference(env_, view, 1, &view_);
		napi_ref_threadsafe_function(env_, wakeUp_);
		ask(*reader_);
		return promise;
	}

	/** Ends the thread; a promise under way resolves to nothing. */
	void close() {
		if (!isOpen_) return;
		const auto alive = weak_from_this().lock();
		isOpen_ = false;
		reader_->stop();
		settle(true);
		reader_.reset();
		napi_remove_env_cleanup_hook(env_, tearDown, this);
		napi_release_threadsafe_function(wakeUp_, napi_tsfn_release);
	}

private:
	/** On the reader's thread. */
	void wakeUp() {
		auto session = std::make_unique<std::weak_ptr<ReaderSession>>(weak_from_this());
		if (napi_call_threadsafe_function(wakeUp_, session.get(), napi_tsfn_nonblocking) == napi_ok)
			static_cast<void>(session.release());
	}

	/** On the thread of JavaScript; `env` is null when that is over. */
	static void deliver(napi_env env, napi_value, void*, void* data) {
		const std::unique_ptr<std::weak_ptr<ReaderSession>> held(
			static_cast<std::weak_ptr<ReaderSession>*>(data)
		);
		if (!env) return;
		if (const auto session = held->lock()) session->settle(false);
	}

	/** The environment ends, and takes the function and the promise with it. */
	static void tearDown(void* self) {
		auto& session = *static_cast<ReaderSession*>(self);
		session.isOpen_ = false;
		session.reader_.reset();
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
		auto outcome = reader_->takeOutcome();
		if (!outcome) {
			if (!isClosing) return;
			outcome = RingReader::Outcome{.status = FRAME_RING_INTERRUPTED, .error = 0, .taken = {}};
		}
		napi_handle_scope scope = nullptr;
		if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
		const napi_deferred deferred = deferred_;
		const bool isOpening = isOpening_;
		napi_unref_threadsafe_function(env_, wakeUp_);
		answer(deferred, isOpening, *outcome);
		forget();
		napi_close_handle_scope(env_, scope);
	}

	void answer(napi_deferred deferred, bool isOpening, const RingReader::Outcome& outcome) {
		switch (outcome.status) {
		case FRAME_RING_OK:
			isReady_ = true;
			napi_resolve_deferred(env_, deferred, isOpening ? geometry() : frameOf(env_, outcome.taken));
			break;
		case FRAME_RING_ENDED:
		case FRAME_RING_INTERRUPTED:
			napi_resolve_deferred(env_, deferred, undefinedOf(env_));
			break;
		default:
			napi_reject_deferred(env_, deferred, errorOf(env_, outcome.status, outcome.error));
		}
	}

	napi_value geometry() {
		const frame_ring_reader* ring = reader_->ring();
		napi_value object = nullptr, generation = nullptr;
		napi_create_object(env_, &object);
		napi_create_bigint_uint64(env_, frame_ring_reader_generation(ring), &generation);
		napi_set_named_property(
			env_, object, "slotCount", numberOf(env_, frame_ring_reader_slot_count(ring))
		);
		const auto slotBytes = static_cast<double>(frame_ring_reader_payload_bytes_max(ring));
		napi_set_named_property(env_, object, "slotBytes", numberOf(env_, slotBytes));
		napi_set_named_property(env_, object, "generation", generation);
		return object;
	}

	napi_env env_;
	napi_threadsafe_function wakeUp_ = nullptr;
	std::optional<RingReader> reader_;
	bool isOpen_ = false;
	bool isReady_ = false;
	napi_deferred deferred_ = nullptr;
	bool isOpening_ = false;
	napi_ref self_ = nullptr;
	napi_ref view_ = nullptr;
};

class RingReaderObject final : public Napi::ObjectWrap<RingReaderObject> {
public:
	static Napi::Function define(Napi::Env env) {
		return DefineClass(
			env,
			"RingReader",
			{
				InstanceMethod("open", &RingReaderObject::open),
				InstanceMethod("next", &RingReaderObject::next),
				InstanceMethod("read", &RingReaderObject::read),
				InstanceMethod("close", &RingReaderObject::close),
			}
		);
	}

	/** (path or fd) */
	explicit RingReaderObject(const Napi::CallbackInfo& info)
		: ObjectWrap(info), session_(std::make_shared<ReaderSession>(info.Env())) {
		rethrowing(info.Env(), [&] {
			session_->start(
				info[0].IsNumber() ? RingReader::adopt(descriptorOf(info[0]))
								   : RingReader::connect(pathOf(info[0]))
			);
		});
	}

private:
	/** The reader, if it is open and idle. */
	RingReader& idle(Napi::Env env) {
		if (session_->isBusy()) throw Napi::Error::New(env, "The reader is at another open or next.");
		RingReader* reader = session_->reader();
		if (!reader) {
			rethrowing(env, [] { checkRing(FRAME_RING_ENDED); });
		}
		return *reader;
	}

	/** (timeoutMs) */
	Napi::Value open(const Napi::CallbackInfo& info) {
		const auto timeoutMs = static_cast<int>(integerOf(info[0], "timeoutMs", 0, INT_MAX));
		idle(info.Env());
		return {info.Env(), session_->promise(info.This(), nullptr, true, [&](RingReader& reader) {
					reader.open(timeoutMs);
				})};
	}

	/** (target) */
	Napi::Value next(const Napi::CallbackInfo& info) {
		idle(info.Env());
		const auto target = bytesOf(info[0], "target");
		return {info.Env(), session_->promise(info.This(), info[0], false, [&](RingReader& reader) {
					reader.next(target);
				})};
	}

	/** (slot, sequence, target) */
	Napi::Value read(const Napi::CallbackInfo& info) {
		const auto slot = static_cast<std::uint32_t>(integerOf(info[0], "slot", 0, FRAME_RING_SLOTS_MAX - 1));
		const auto sequence =
			static_cast<std::uint64_t>(integerOf(info[1], "sequence", 0, FRAME_RING_NUMBER_MAX));
		RingReader* reader = session_->reader();
		if (!reader) {
			rethrowing(info.Env(), [] { checkRing(FRAME_RING_ENDED); });
		}
		if (!session_->isReady()) throw Napi::Error::New(info.Env(), "The reader is not open yet.");
		const auto target = bytesOf(info[2], "target");
		frame_ring_taken taken{};
		const frame_ring_status status = reader->read(slot, sequence, target, taken);
		if (status == FRAME_RING_NO_FRAME) return info.Env().Undefined();
		rethrowing(info.Env(), [&] { checkRing(status); });
		return {info.Env(), frameOf(info.Env(), taken)};
	}

	void close(const Napi::CallbackInfo&) { session_->close(); }

	std::shared_ptr<ReaderSession> session_;
};

/** Two ends, as file descriptors: one for a child process, one for a reader or writer of this one. */
Napi::Value pair(const Napi::CallbackInfo& info) {
	frame_ring_handle ends[2];
	rethrowing(info.Env(), [&] { checkRing(frame_ring_pair(ends)); });
	auto array = Napi::Array::New(info.Env(), 2);
	for (std::uint32_t i = 0; i < 2; ++i) array.Set(i, static_cast<double>(ends[i]));
	return array;
}

/** (channel, end) */
void pass(const Napi::CallbackInfo& info) {
	rethrowing(info.Env(), [&] { checkRing(frame_ring_pass(descriptorOf(info[0]), descriptorOf(info[1]))); });
}

/** (channel) */
Napi::Value take(const Napi::CallbackInfo& info) {
	frame_ring_handle end = -1;
	rethrowing(info.Env(), [&] { checkRing(frame_ring_take(descriptorOf(info[0]), &end)); });
	return Napi::Number::New(info.Env(), static_cast<double>(end));
}

}

void defineRing(Napi::Env env, Napi::Object exports) {
	exports.Set("RingWriter", RingWriterObject::define(env));
	exports.Set("RingReader", RingReaderObject::define(env));
	exports.Set("ringPair", Napi::Function::New(env, pair, "ringPair"));
	exports.Set("passEnd", Napi::Function::New(env, pass, "passEnd"));
	exports.Set("takeEnd", Napi::Function::New(env, take, "takeEnd"));
}

}
