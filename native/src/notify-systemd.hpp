#pragma once

#include <string>

namespace allaprima {

/** One datagram to the socket in $NOTIFY_SOCKET; false where there is none or nobody listens. */
bool notifySystemd(const std::string& state);

}
