#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include "frame-ring.h"

namespace allaprima {

/** A call to the ring that did not do what was asked. */
class RingError final : public std::runtime_error {
public:
	RingError(frame_ring_status reason, const std::string& message)
		: runtime_error(message), status(reason) {}

	frame_ring_status status;
};

/** What a status means, in a sentence; `error` is the errno of FRAME_RING_SYSTEM. */
inline std::string ringMessage(frame_ring_status status, int error) {
	switch (status) {
	case FRAME_RING_TIMEOUT:
		return "The other side of the ring did not answer in time.";
	case FRAME_RING_ENDED:
		return "The ring is closed.";
	case FRAME_RING_PEER_GONE:
		return "The other side of the ring died or hung up.";
	case FRAME_RING_OTHER_VERSION:
		return "The other side speaks another version of the ring; this side speaks " +
			std::to_string(FRAME_RING_ABI_VERSION) + ".";
	case FRAME_RING_BAD_HEADER:
		return "The other side is no frame ring: its hello or the header of its memory contradicts itself.";
	case FRAME_RING_NOT_SEALED:
		return "The memory of the ring is not sealed: the other side could cut it short.";
	case FRAME_RING_BAD_FRAME:
		return "The picture does not fit into a slot of the ring.";
	case FRAME_RING_TOO_SMALL:
		return "The picture is larger than the memory given for it.";
	case FRAME_RING_TOO_MANY_READERS:
		return "The ring has as many readers as it may have, " + std::to_string(FRAME_RING_READERS_MAX) + ".";
	case FRAME_RING_NOBODY_THERE:
		return "Nobody listens at the path of the ring.";
	case FRAME_RING_PATH_IN_USE:
		return "Something else is at the path of the ring already.";
	case FRAME_RING_BAD_ARGUMENT:
		return "A path of a ring has at most 107 bytes and is listened at once, and a descriptor comes from "
			   "ringPair.";
	case FRAME_RING_SYSTEM:
		return std::string("The system refused what the ring needs: ") + std::strerror(error) + ".";
	default:
		return frame_ring_status_name(status);
	}
}

inline void checkRing(frame_ring_status status) {
	if (status != FRAME_RING_OK) throw RingError(status, ringMessage(status, errno));
}

}
