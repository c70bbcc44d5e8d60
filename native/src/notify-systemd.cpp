#include "notify-systemd.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace allaprima {

bool notifySystemd(const std::string& state) {
	const char* path = std::getenv("NOTIFY_SOCKET");
	if (!path || (path[0] != '/' && path[0] != '@')) return false;
	sockaddr_un address{};
	address.sun_family = AF_UNIX;
	const std::size_t length = std::strlen(path);
	if (length >= sizeof(address.sun_path)) return false;
	std::memcpy(address.sun_path, path, length);
	if (path[0] == '@') address.sun_path[0] = '\0'; // of the abstract kind
	const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (descriptor < 0) return false;
	const auto addressLength = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
	const ssize_t sent = sendto(
		descriptor,
		state.data(),
		state.size(),
		MSG_NOSIGNAL,
		reinterpret_cast<const sockaddr*>(&address),
		addressLength
	);
	close(descriptor);
	return sent == static_cast<ssize_t>(state.size());
}

}
