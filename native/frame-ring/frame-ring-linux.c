// SPDX-License-Identifier: MIT
#define _GNU_SOURCE // memfd_create, accept4, ppoll

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "frame-ring-platform.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 // Linux 5.1
#endif

/** Without these a peer could take away pages that are mapped here, and the next access would be SIGBUS. */
#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/** What a channel may hold, in bytes: the kernel makes it a handful of doorbells, more of which tell no more.
 */
#define CHANNEL_BYTES 4096

/** More descriptors than a message may carry, so that a peer's surplus is seen and closed. */
#define HANDLES_MAX 8

#define POLL_ENTRIES_MAX 64

static void close_keeping_errno(int fd) {
	const int error = errno;
	close(fd);
	errno = error;
}

static enum frame_ring_status status_of_errno(void) {
	switch (errno) {
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		return FRAME_RING_NO_FRAME;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return FRAME_RING_PEER_GONE;
	default:
		return FRAME_RING_SYSTEM;
	}
}

// Memory.

static enum frame_ring_status seal(int fd) {
	// From here nobody maps it for writing but who has: a reader cannot scribble into what others read.
	if (fcntl(fd, F_ADD_SEALS, SEALS_NEEDED | F_SEAL_FUTURE_WRITE) == 0) return FRAME_RING_OK;
	if (errno == EINVAL && fcntl(fd, F_ADD_SEALS, SEALS_NEEDED) == 0) return FRAME_RING_OK;
	return FRAME_RING_SYSTEM;
}

enum frame_ring_status frame_ring_memory_create(uint64_t bytes, struct frame_ring_memory* memory) {
	const int fd = memfd_create("frame-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) return FRAME_RING_SYSTEM;
	// All pages now: a lack of memory is an error here and not a signal later, and no picture waits for
	// pages.
	const int error = posix_fallocate(fd, 0, (off_t)bytes);
	if (error != 0) {
		close(fd);
		errno = error;
		return FRAME_RING_SYSTEM;
	}
	void* address = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (address == MAP_FAILED) {
		close_keeping_errno(fd);
		return FRAME_RING_SYSTEM;
	}
	*memory = (struct frame_ring_memory){address, bytes, fd};
	const enum frame_ring_status status = seal(fd);
	if (status != FRAME_RING_OK) {
		const int seal_error = errno;
		frame_ring_memory_release(memory);
		errno = seal_error;
	}
	return status;
}

/** Seals are looked at before the size, which then is final. */
static enum frame_ring_status sealed_size(int fd, uint64_t* bytes) {
	const int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED) return FRAME_RING_NOT_SEALED;
	// Huge pages have seals too, and still may run out under a reader.
	struct statfs system;
	if (fstatfs(fd, &system) != 0 || system.f_type != TMPFS_MAGIC) return FRAME_RING_NOT_SEALED;
	struct stat file;
	if (fstat(fd, &file) != 0) return FRAME_RING_SYSTEM;
	if (file.st_size <= 0 || (uint64_t)file.st_size > SIZE_MAX / 2) return FRAME_RING_BAD_HEADER;
	*bytes = (uint64_t)file.st_size;
	return FRAME_RING_OK;
}

enum frame_ring_status frame_ring_memory_map(frame_ring_handle handle, struct frame_ring_memory* memory) {
	const int fd = (int)handle;
	uint64_t bytes = 0;
	const enum frame_ring_status status = sealed_size(fd, &bytes);
	if (status != FRAME_RING_OK) {
		close_keeping_errno(fd);
		return status;
	}
	void* address = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
	close_keeping_errno(fd);
	if (address == MAP_FAILED) return FRAME_RING_SYSTEM;
	*memory = (struct frame_ring_memory){address, bytes, FRAME_RING_NO_HANDLE};
	return FRAME_RING_OK;
}

void frame_ring_memory_release(struct frame_ring_memory* memory) {
	if (memory->address) munmap(memory->address, (size_t)memory->bytes);
	if (memory->handle != FRAME_RING_NO_HANDLE) close((int)memory->handle);
	*memory = (struct frame_ring_memory){NULL, 0, FRAME_RING_NO_HANDLE};
}

// Channels.

static enum frame_ring_status address_of(const char* path, struct sockaddr_un* address) {
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	const size_t length = strlen(path);
	if (length == 0 || length >= sizeof address->sun_path) return FRAME_RING_BAD_ARGUMENT;
	memcpy(address->sun_path, path, length + 1);
	return FRAME_RING_OK;
}

static int open_socket(void) {
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void hold_little(int fd) {
	const int bytes = CHANNEL_BYTES;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

/** Removes what a dead process left at the path; FRAME_RING_PATH_IN_USE where somebody answers. */
static enum frame_ring_status clear_path(const struct sockaddr_un* address) {
	struct stat entry;
	if (lstat(address->sun_path, &entry) != 0) return errno == ENOENT ? FRAME_RING_OK : FRAME_RING_SYSTEM;
	if (!S_ISSOCK(entry.st_mode)) return FRAME_RING_PATH_IN_USE;
	const int fd = open_socket();
	if (fd < 0) return FRAME_RING_SYSTEM;
	const bool is_dead =
		connect(fd, (const struct sockaddr*)address, sizeof *address) != 0 && errno == ECONNREFUSED;
	close(fd);
	if (!is_dead) return FRAME_RING_PATH_IN_USE;
	return unlink(address->sun_path) == 0 || errno == ENOENT ? FRAME_RING_OK : FRAME_RING_SYSTEM;
}

static enum frame_ring_status bind_at(int fd, const struct sockaddr_un* address) {
	// The entry at the path gets this mode as it comes into being; there is no moment when others may
	// connect.
	if (fchmod(fd, S_IRUSR | S_IWUSR) != 0) return FRAME_RING_SYSTEM;
	for (int attempt = 0;; ++attempt) {
		if (bind(fd, (const struct sockaddr*)address, sizeof *address) == 0) return FRAME_RING_OK;
		if (errno != EADDRINUSE) return FRAME_RING_SYSTEM;
		if (attempt > 0) return FRAME_RING_PATH_IN_USE;
		const enum frame_ring_status status = clear_path(address);
		if (status != FRAME_RING_OK) return status;
	}
}

enum frame_ring_status frame_ring_listen(const char* path, struct frame_ring_listener* listener) {
	struct sockaddr_un address;
	enum frame_ring_status status = address_of(path, &address);
	if (status != FRAME_RING_OK) return status;
	char* kept = strdup(path);
	const int fd = open_socket();
	struct stat entry;
	if (!kept || fd < 0) {
		status = FRAME_RING_SYSTEM;
	} else if ((status = bind_at(fd, &address)) == FRAME_RING_OK) {
		if (lstat(path, &entry) == 0 && listen(fd, (int)FRAME_RING_READERS_MAX) == 0) {
			*listener = (struct frame_ring_listener){fd, kept, {entry.st_dev, entry.st_ino}};
			return FRAME_RING_OK;
		}
		status = FRAME_RING_SYSTEM;
	}
	if (fd >= 0) close_keeping_errno(fd);
	free(kept);
	return status;
}

enum frame_ring_status
frame_ring_accept(const struct frame_ring_listener* listener, frame_ring_handle* channel) {
	const int fd = accept4((int)listener->handle, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) return errno == ECONNABORTED ? FRAME_RING_NO_FRAME : status_of_errno();
	hold_little(fd);
	*channel = fd;
	return FRAME_RING_OK;
}

void frame_ring_unlisten(struct frame_ring_listener* listener) {
	if (listener->handle == FRAME_RING_NO_HANDLE) return;
	struct stat entry;
	const bool is_ours = lstat(listener->path, &entry) == 0 && entry.st_dev == listener->identity[0] &&
		entry.st_ino == listener->identity[1];
	if (is_ours) unlink(listener->path);
	close((int)listener->handle);
	free(listener->path);
	*listener = (struct frame_ring_listener){.handle = FRAME_RING_NO_HANDLE};
}

enum frame_ring_status frame_ring_connect(const char* path, frame_ring_handle* channel) {
	struct sockaddr_un address;
	const enum frame_ring_status status = address_of(path, &address);
	if (status != FRAME_RING_OK) return status;
	const int fd = open_socket();
	if (fd < 0) return FRAME_RING_SYSTEM;
	if (connect(fd, (const struct sockaddr*)&address, sizeof address) != 0) {
		close_keeping_errno(fd);
		// EPROTOTYPE: somebody listens, for something else.
		const bool is_nobody = errno == ENOENT || errno == ECONNREFUSED || errno == EPROTOTYPE;
		return is_nobody ? FRAME_RING_NOBODY_THERE : FRAME_RING_SYSTEM;
	}
	hold_little(fd);
	*channel = fd;
	return FRAME_RING_OK;
}

enum frame_ring_status frame_ring_pair(frame_ring_handle ends[2]) {
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return FRAME_RING_SYSTEM;
	ends[0] = fds[0];
	ends[1] = fds[1];
	return FRAME_RING_OK;
}

enum frame_ring_status frame_ring_channel_adopt(frame_ring_handle handle) {
	const int fd = (int)handle;
	int domain = 0, type = 0;
	socklen_t length = sizeof domain;
	if (handle < 0 || handle > INT32_MAX) return FRAME_RING_BAD_ARGUMENT;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) return FRAME_RING_BAD_ARGUMENT;
	length = sizeof type;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return FRAME_RING_BAD_ARGUMENT;
	if (domain != AF_UNIX || type != SOCK_SEQPACKET) return FRAME_RING_BAD_ARGUMENT;
	const int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return FRAME_RING_SYSTEM;
	hold_little(fd);
	return FRAME_RING_OK;
}

void frame_ring_channel_close(frame_ring_handle channel) {
	if (channel != FRAME_RING_NO_HANDLE) close_keeping_errno((int)channel);
}

/** Room for descriptors beside a message, aligned as its headers must be. */
union rights {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(HANDLES_MAX * sizeof(int))];
};

enum frame_ring_status frame_ring_send(
	frame_ring_handle channel, const void* message, size_t bytes, const struct frame_ring_memory* memory
) {
	union rights rights;
	struct iovec part = {(void*)(uintptr_t)message, bytes};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	if (memory) {
		const int fd = (int)memory->handle;
		memset(&rights, 0, sizeof rights);
		rights.header.cmsg_len = CMSG_LEN(sizeof fd);
		rights.header.cmsg_level = SOL_SOCKET;
		rights.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&rights.header), &fd, sizeof fd);
		header.msg_control = &rights;
		header.msg_controllen = CMSG_SPACE(sizeof fd);
	}
	ssize_t sent = 0;
	do sent = sendmsg((int)channel, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? status_of_errno() : FRAME_RING_OK;
}

/** Keeps the first descriptor that came along and closes the others. */
static void take_rights(struct msghdr* header, frame_ring_handle* memory) {
	for (struct cmsghdr* item = CMSG_FIRSTHDR(header); item; item = CMSG_NXTHDR(header, item)) {
		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
		const size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; ++i) {
			int fd = -1;
			memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
			if (memory && *memory == FRAME_RING_NO_HANDLE) {
				*memory = fd;
			} else {
				close(fd);
			}
		}
	}
}

enum frame_ring_status
frame_ring_receive(frame_ring_handle channel, void* message, size_t* bytes, frame_ring_handle* memory) {
	union rights rights;
	struct iovec part = {message, *bytes};
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights
	};
	if (memory) *memory = FRAME_RING_NO_HANDLE;
	ssize_t received = 0;
	// MSG_TRUNC: the message's own length is the answer.
	do received = recvmsg((int)channel, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	while (received < 0 && errno == EINTR);
	if (received < 0) return status_of_errno();
	take_rights(&header, memory);
	if (received == 0) {
		if (memory && *memory != FRAME_RING_NO_HANDLE) close((int)*memory);
		if (memory) *memory = FRAME_RING_NO_HANDLE;
		return FRAME_RING_PEER_GONE;
	}
	*bytes = (size_t)received;
	return FRAME_RING_OK;
}

// Waiting.

enum frame_ring_status frame_ring_waker_create(frame_ring_handle* waker) {
	const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0) return FRAME_RING_SYSTEM;
	*waker = fd;
	return FRAME_RING_OK;
}

void frame_ring_waker_wake(frame_ring_handle waker) {
	const uint64_t one = 1;
	// Fails only where 2^64 - 1 wakes are kept already.
	if (write((int)waker, &one, sizeof one) < 0) return;
}

void frame_ring_waker_drain(frame_ring_handle waker) {
	uint64_t count = 0;
	if (read((int)waker, &count, sizeof count) < 0) return;
}

void frame_ring_waker_release(frame_ring_handle waker) {
	if (waker != FRAME_RING_NO_HANDLE) close_keeping_errno((int)waker);
}

enum frame_ring_status
frame_ring_poll(struct frame_ring_poll_entry* entries, size_t count, int64_t until_us) {
	struct pollfd polled[POLL_ENTRIES_MAX];
	if (count > POLL_ENTRIES_MAX) return FRAME_RING_BAD_ARGUMENT;
	for (size_t i = 0; i < count; ++i) polled[i] = (struct pollfd){(int)entries[i].handle, POLLIN, 0};
	for (;;) {
		const int64_t left_us = until_us < 0 ? 0 : until_us - frame_ring_now_us();
		const int64_t wait_us = left_us < 0 ? 0 : left_us;
		const struct timespec timeout = {(time_t)(wait_us / 1000000), (long)(wait_us % 1000000) * 1000};
		const int ready = ppoll(polled, (nfds_t)count, until_us < 0 ? NULL : &timeout, NULL);
		if (ready == 0) return FRAME_RING_TIMEOUT;
		if (ready > 0) break;
		if (errno != EINTR) return FRAME_RING_SYSTEM;
	}
	for (size_t i = 0; i < count; ++i) entries[i].is_ready = polled[i].revents != 0;
	return FRAME_RING_OK;
}

int64_t frame_ring_now_us(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t frame_ring_random(void) {
	uint64_t number = 0;
	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
		number = (uint64_t)frame_ring_now_us() << 20 ^ (uint64_t)getpid();
	}
	return number;
}
