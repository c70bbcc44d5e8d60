// SPDX-License-Identifier: GPL-2.0-or-later
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <util/bmem.h>
#include <util/dstr.h>
#include <util/threading.h>

#include "clock.h"
#include "log.h"
#include "messages.h"
#include "runtime-folder.h"

#define RETRY_MS_MIN 250
#define RETRY_MS_MAX 2000
/** Another protocol does not become ours by asking often. */
#define RETRY_MS_OTHER_PROTOCOL 10000
/** How long a sidecar may take to say hello. */
#define HELLO_MS 5000
/** What waits for a sidecar that does not listen; beyond this lines are dropped. */
#define UNSENT_BYTES_MAX (4 * LINK_LINE_BYTES_MAX)
/** The longest sleep, so that news of the second go out. */
#define NEWS_MS 1000

static pthread_t thread;
static bool is_started;
static int waker = -1;
static atomic_bool is_ending;
static atomic_int state = LINK_ABSENT;

// The thread's own.
static struct dstr unsent;
static char* heard;
static size_t heard_bytes;
static const char* complaint;
static bool has_complained;

enum link_state link_state(void) {
	return (enum link_state)atomic_load(&state);
}

void link_wake(void) {
	const uint64_t one = 1;
	if (waker >= 0 && write(waker, &one, sizeof one) < 0) return; // it is awake
}

bool link_say(const char* line) {
	if (unsent.len > UNSENT_BYTES_MAX) return false;
	dstr_cat(&unsent, line);
	dstr_cat_ch(&unsent, '\n');
	return true;
}

/** A complaint that was made is not repeated until a sidecar was heard that gave none. */
static void complain(const char* what) {
	has_complained = true;
	if (complaint && strcmp(complaint, what) == 0) return;
	complaint = what;
	log_warning("the sidecar %s; trying again", what);
}

static void set_state(enum link_state next) {
	const enum link_state last = (enum link_state)atomic_exchange(&state, next);
	if (last != next) messages_link_changed(next);
}

/** Sleeps until the socket or somebody wants something; gives what poll says of the socket. */
static short sleep_ms(int channel, short events, int64_t ms) {
	struct pollfd entries[2] = {{.fd = waker, .events = POLLIN}, {.fd = channel, .events = events}};
	const int timeout_ms = ms < 0 ? 0 : (int)ms;
	if (poll(entries, channel < 0 ? 1 : 2, timeout_ms) <= 0) return 0;
	uint64_t count;
	if (entries[0].revents && read(waker, &count, sizeof count) < 0) return 0;
	return entries[1].revents;
}

/** Sleeps for the whole time, or until the link ends. */
static void rest(int64_t ms) {
	const int64_t until_us = now_us() + ms * 1000;
	for (int64_t left_us; !atomic_load(&is_ending) && (left_us = until_us - now_us()) > 0;)
		sleep_ms(-1, 0, left_us / 1000 + 1);
}

static int connect_to_sidecar(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!runtime_socket_path("sidecar", address.sun_path)) {
		complain("cannot be reached: the runtime folder must be of this user alone (mode 700)");
		return -1;
	}
	const int channel = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (channel < 0) return -1;
	// Does not block: a listener whose queue is full says EAGAIN.
	if (connect(channel, (struct sockaddr*)&address, sizeof address) == 0) return channel;
	close(channel);
	return -1;
}

bool link_is_answered(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!runtime_socket_path("sidecar", address.sun_path)) return false;
	const int channel = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (channel < 0) return false;
	const bool is_answered =
		connect(channel, (struct sockaddr*)&address, sizeof address) == 0 || errno == EAGAIN;
	close(channel);
	return is_answered;
}

/** False when the sidecar hung up. */
static bool send_unsent(int channel) {
	while (unsent.len > 0) {
		const ssize_t sent = send(channel, unsent.array, unsent.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR) continue;
		if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
		dstr_remove(&unsent, 0, (size_t)sent);
	}
	return true;
}

/** Hears one line; false where it is the end of this connection. */
static bool hear_line(const char* line) {
	switch (messages_hear(line, link_state() == LINK_UP)) {
	case HEARD_HELLO:
		set_state(LINK_UP);
		return true;
	case HEARD_OTHER_PROTOCOL:
		complain("speaks another protocol");
		set_state(LINK_OTHER_PROTOCOL);
		return false;
	case HEARD_NONSENSE:
		complain("said what is no message");
		return false;
	case HEARD_MESSAGE:
		break;
	}
	return true;
}

/** Hears every whole line that has come. */
static bool hear_lines(void) {
	char* line = heard;
	char* const end = heard + heard_bytes;
	for (char* stop; (stop = memchr(line, '\n', (size_t)(end - line))) != NULL; line = stop + 1) {
		*stop = '\0';
		// A zero inside would hide the rest.
		if (strlen(line) != (size_t)(stop - line)) {
			complain("said what is no message");
			return false;
		}
		if (stop > line && !hear_line(line)) return false;
	}
	heard_bytes = (size_t)(end - line);
	memmove(heard, line, heard_bytes);
	return true;
}

/** False when the sidecar hung up or is to be hung up on. */
static bool receive(int channel) {
	const size_t room = LINK_LINE_BYTES_MAX - heard_bytes;
	if (room == 0) {
		complain("said a line of more than 64 KiB");
		return false;
	}
	const ssize_t got = recv(channel, heard + heard_bytes, room, MSG_DONTWAIT);
	if (got == 0) return false;
	if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
	heard_bytes += (size_t)got;
	return hear_lines();
}

/** From connect to hang-up; true where a sidecar of our protocol answered. The wishes of all streams are told
 * anew. */
static bool converse(int channel) {
	bool was_up = false;
	dstr_resize(&unsent, 0);
	heard_bytes = 0;
	const int64_t hello_until_us = now_us() + HELLO_MS * 1000;
	messages_greet();
	while (!atomic_load(&is_ending)) {
		const bool is_up = link_state() == LINK_UP;
		if (is_up) {
			was_up = true;
			messages_say_news();
		} else if (now_us() > hello_until_us) {
			complain("does not answer");
			break;
		}
		if (!send_unsent(channel)) break;
		const short events = (short)(POLLIN | (unsent.len > 0 ? POLLOUT : 0));
		const short ready = sleep_ms(channel, events, NEWS_MS);
		if ((ready & (POLLIN | POLLHUP | POLLERR)) && !receive(channel)) break;
	}
	return was_up;
}

static void* run(void* param) {
	os_set_thread_name("allaprima link");
	int retry_ms = RETRY_MS_MIN;
	while (!atomic_load(&is_ending)) {
		const int channel = connect_to_sidecar();
		bool was_up = false;
		if (channel >= 0) {
			has_complained = false;
			was_up = converse(channel) && !has_complained;
			close(channel);
			if (was_up) complaint = NULL;
		}
		const bool is_other = link_state() == LINK_OTHER_PROTOCOL;
		if (channel < 0 || !is_other) set_state(LINK_ABSENT);
		if (was_up) retry_ms = RETRY_MS_MIN;
		rest(channel >= 0 && is_other ? RETRY_MS_OTHER_PROTOCOL : retry_ms);
		retry_ms = retry_ms * 2 < RETRY_MS_MAX ? retry_ms * 2 : RETRY_MS_MAX;
	}
	set_state(LINK_ABSENT);
	return NULL;
}

void link_start(void) {
	waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	heard = bmalloc(LINK_LINE_BYTES_MAX);
	is_started = pthread_create(&thread, NULL, run, NULL) == 0;
}

void link_stop(void) {
	if (!is_started) return;
	is_started = false;
	atomic_store(&is_ending, true);
	link_wake();
	pthread_join(thread, NULL);
	dstr_free(&unsent);
	bfree(heard);
}

void link_unload(void) {
	if (waker >= 0) close(waker);
	waker = -1;
}
