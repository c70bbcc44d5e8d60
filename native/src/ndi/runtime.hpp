#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include "abi.hpp"

namespace allaprima::ndi {

/** What NDI could not do, for the user; `code` starts with NDI_. */
class NdiError final : public std::runtime_error {
public:
	NdiError(const char* reason, const std::string& message) : runtime_error(message), code(reason) {}

	const char* code;
};

// X(member, name behind NDIlib_, type)
#define ALLAPRIMA_NDI_REQUIRED(X)                                                                            \
	X(version, "version", const char* (*)())                                                                 \
	X(isSupportedCpu, "is_supported_CPU", bool (*)())                                                        \
	X(initialize, "initialize", bool (*)())                                                                  \
	X(destroy, "destroy", void (*)())                                                                        \
	X(findCreate, "find_create_v2", abi::FindInstance* (*)(const abi::FindCreate*))                          \
	X(findWait, "find_wait_for_sources", bool (*)(abi::FindInstance*, std::uint32_t))                        \
	X(findSources, "find_get_current_sources", const abi::Source* (*)(abi::FindInstance*, std::uint32_t*))   \
	X(findDestroy, "find_destroy", void (*)(abi::FindInstance*))                                             \
	X(recvCreate, "recv_create_v3", abi::RecvInstance* (*)(const abi::RecvCreate*))                          \
	X(recvConnect, "recv_connect", void (*)(abi::RecvInstance*, const abi::Source*))                         \
	X(recvCapture,                                                                                           \
	  "recv_capture_v3",                                                                                     \
	  std::int32_t (*)(abi::RecvInstance*, abi::Video*, abi::Audio*, abi::Metadata*, std::uint32_t))         \
	X(recvFreeVideo, "recv_free_video_v2", void (*)(abi::RecvInstance*, const abi::Video*))                  \
	X(recvFreeAudio, "recv_free_audio_v3", void (*)(abi::RecvInstance*, const abi::Audio*))                  \
	X(recvFreeMetadata, "recv_free_metadata", void (*)(abi::RecvInstance*, const abi::Metadata*))            \
	X(recvSendMetadata, "recv_send_metadata", bool (*)(abi::RecvInstance*, const abi::Metadata*))            \
	X(recvSetTally, "recv_set_tally", bool (*)(abi::RecvInstance*, const abi::Tally*))                       \
	X(recvDestroy, "recv_destroy", void (*)(abi::RecvInstance*))                                             \
	X(sendCreate, "send_create", abi::SendInstance* (*)(const abi::SendCreate*))                             \
	X(sendVideoAsync, "send_send_video_async_v2", void (*)(abi::SendInstance*, const abi::Video*))           \
	X(sendAudio, "send_send_audio_v3", void (*)(abi::SendInstance*, const abi::Audio*))                      \
	X(sendMetadata, "send_send_metadata", void (*)(abi::SendInstance*, const abi::Metadata*))                \
	X(sendCapture, "send_capture", std::int32_t (*)(abi::SendInstance*, abi::Metadata*, std::uint32_t))      \
	X(sendFreeMetadata, "send_free_metadata", void (*)(abi::SendInstance*, const abi::Metadata*))            \
	X(sendTally, "send_get_tally", bool (*)(abi::SendInstance*, abi::Tally*, std::uint32_t))                 \
	X(sendConnections, "send_get_no_connections", int (*)(abi::SendInstance*, std::uint32_t))                \
	X(sendDestroy, "send_destroy", void (*)(abi::SendInstance*))

// Null where the runtime has none.
#define ALLAPRIMA_NDI_OPTIONAL(X)                                                                            \
	X(sendSetFailover, "send_set_failover", void (*)(abi::SendInstance*, const abi::Source*))                \
	X(sendSourceName, "send_get_source_name", const abi::Source* (*)(abi::SendInstance*))                    \
	X(sendAddConnectionMetadata,                                                                             \
	  "send_add_connection_metadata",                                                                        \
	  void (*)(abi::SendInstance*, const abi::Metadata*))                                                    \
	X(sendClearConnectionMetadata, "send_clear_connection_metadata", void (*)(abi::SendInstance*))           \
	X(recvAddConnectionMetadata,                                                                             \
	  "recv_add_connection_metadata",                                                                        \
	  void (*)(abi::RecvInstance*, const abi::Metadata*))

/** The functions of a loaded runtime, which is initialized for as long as this is held. */
struct Runtime {
	Runtime() = default;
	Runtime(const Runtime&) = delete;
	Runtime& operator=(const Runtime&) = delete;
	~Runtime();

#define ALLAPRIMA_NDI_MEMBER(member, name, ...)                                                              \
	std::add_pointer_t<std::remove_pointer_t<__VA_ARGS__>> member = nullptr;
	ALLAPRIMA_NDI_REQUIRED(ALLAPRIMA_NDI_MEMBER)
	ALLAPRIMA_NDI_OPTIONAL(ALLAPRIMA_NDI_MEMBER)
#undef ALLAPRIMA_NDI_MEMBER

	std::string path;
	std::string versionText;
	bool isInitialized = false;
};

using RuntimePointer = std::shared_ptr<const Runtime>;

/**
 * The runtime of this process. The first call loads it: from `configured` alone where that is not empty (the
 * library, or a folder with it), else from the folders in NDI_RUNTIME_DIR_V6 and _V5, where installers put
 * it, and where the system looks. Throws NdiError.
 */
RuntimePointer openRuntime(const std::string& configured = {});

}
