// SPDX-License-Identifier: GPL-2.0-or-later
#include "launcher.h"

#include <errno.h>
#include <obs-module.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <util/threading.h>

#include "child.h"
#include "clock.h"
#include "launch-log.h"
#include "link.h"
#include "log.h"
#include "stream.h"

/** How often is looked whether the sidecar, ours or another, is still there. */
#define LOOK_MS 100
#define LOOK_AT_OTHERS_MS 1000
/** Before it is started again: doubled from the first to the last with each that ended early. */
#define RETRY_MS_MIN 250
#define RETRY_MS_MAX 8000
/** One that lived longer did not fail at its start. */
#define EARLY_MS 10000
#define EARLY_ENDS_MAX 6
/** The sidecar gives itself 3 s for a clean end. */
#define END_MS 4000

static pthread_t thread;
static bool is_started;
static int waker = -1;
static atomic_bool is_ending;
static atomic_bool is_changed;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct launch_view published;

// The thread's own.
static struct launch_log said;

const char* launch_state_name(enum launch_state state) {
	static const char* const names[] = {"off", "waiting", "running", "failed"};
	return names[state];
}

void launcher_view(struct launch_view* view) {
	pthread_mutex_lock(&mutex);
	*view = published;
	pthread_mutex_unlock(&mutex);
}

static void publish(enum launch_state state, pid_t pid, const char* problem) {
	pthread_mutex_lock(&mutex);
	const bool is_news = state != published.state || strcmp(problem, published.problem) != 0;
	published.state = state;
	published.pid = pid;
	copy_text(published.problem, sizeof published.problem, problem);
	pthread_mutex_unlock(&mutex);
	if (is_news) streams_refresh_dialogs();
}

/** Sleeps until something is said, somebody wants something, or the time is over. */
static void sleep_ms(int output, int ms) {
	struct pollfd entries[2] = {{.fd = waker, .events = POLLIN}, {.fd = output, .events = POLLIN}};
	if (poll(entries, output < 0 ? 1 : 2, ms) <= 0) return;
	uint64_t count;
	if (entries[0].revents && read(waker, &count, sizeof count) < 0) return;
}

static bool is_wanted(void) {
	return !atomic_load(&is_ending) && !atomic_load(&is_changed);
}

/** Sleeps for the whole time, below zero for ever, or until something else is wanted. */
static void rest(int64_t ms) {
	const int64_t until_us = now_us() + ms * 1000;
	while (is_wanted()) {
		const int64_t left_us = until_us - now_us();
		if (ms >= 0 && left_us <= 0) break;
		sleep_ms(-1, ms < 0 ? -1 : (int)(left_us / 1000 + 1));
	}
}

/** Reads what there is; false where nobody can say any more. */
static bool hear(const struct child* child) {
	char text[4096];
	const ssize_t got = read(child->output, text, sizeof text);
	if (got > 0) launch_log_write(&said, text, (size_t)got);
	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/** What is left to be heard of one that has ended; bounded, for one that it has started may go on talking. */
static void hear_the_rest(const struct child* child) {
	for (int i = 0; i < 64; ++i) {
		struct pollfd entry = {.fd = child->output, .events = POLLIN};
		if (poll(&entry, 1, 0) <= 0 || !hear(child)) return;
	}
}

/** Follows it to its end, which is brought about where it is no longer wanted; gives what waitpid says. */
static int follow(const struct child* child) {
	int status = 0;
	int64_t asked_us = 0;
	bool is_killed = false, can_hear = true;
	while (!child_has_ended(child, &status)) {
		if (!is_wanted() && asked_us == 0) {
			asked_us = now_us();
			child_ask_to_end(child);
		}
		if (asked_us != 0 && !is_killed && now_us() - asked_us > END_MS * 1000) {
			log_warning("the sidecar did not end within %d ms and is killed", END_MS);
			is_killed = true;
			child_kill(child);
		}
		sleep_ms(can_hear ? child->output : -1, LOOK_MS);
		if (can_hear) can_hear = hear(child);
	}
	hear_the_rest(child);
	return status;
}

static void describe_end(char problem[LAUNCH_PROBLEM_BYTES], int status, const char* last_words) {
	const bool is_signal = WIFSIGNALED(status);
	const int number = is_signal ? WTERMSIG(status) : WEXITSTATUS(status);
	const char* what = is_signal ? "was ended by signal" : "ended with code";
	snprintf(
		problem, LAUNCH_PROBLEM_BYTES, "it %s %d%s%s", what, number, *last_words ? ": " : "", last_words
	);
}

/** From start to end; false where it could not be started at all. */
static bool launch(char** command, char problem[LAUNCH_PROBLEM_BYTES]) {
	struct child child;
	const int error = child_start(&child, command, "/");
	if (error != 0) {
		snprintf(problem, LAUNCH_PROBLEM_BYTES, "%.300s: %s", command[0], strerror(error));
		return false;
	}
	log_info("sidecar started, pid %ld", (long)child.pid);
	publish(LAUNCH_RUNNING, child.pid, "");
	launch_log_open(&said);
	const int status = follow(&child);
	launch_log_close(&said);
	close(child.output);
	describe_end(problem, status, said.last_words);
	return true;
}

static void fail(const char* problem) {
	log_warning("the sidecar could not be started: %s", problem);
	publish(LAUNCH_FAILED, 0, problem);
	rest(-1);
}

/** Keeps a sidecar there until something else is wanted. */
static void keep(char** command) {
	int early_ends = 0;
	while (is_wanted()) {
		if (link_is_answered()) {
			early_ends = 0;
			publish(LAUNCH_WAITING, 0, "");
			do rest(LOOK_AT_OTHERS_MS);
			while (is_wanted() && link_state() == LINK_UP);
			continue;
		}
		char problem[LAUNCH_PROBLEM_BYTES];
		const int64_t started_us = now_us();
		if (!launch(command, problem)) return fail(problem);
		if (!is_wanted()) return;
		early_ends = now_us() - started_us < EARLY_MS * 1000 ? early_ends + 1 : 0;
		if (early_ends >= EARLY_ENDS_MAX) return fail(problem);
		log_warning("the sidecar has gone: %s; starting it again", problem);
		publish(LAUNCH_WAITING, 0, problem);
		const int64_t retry_ms = (int64_t)RETRY_MS_MIN << (early_ends > 0 ? early_ends - 1 : 0);
		rest(retry_ms < RETRY_MS_MAX ? retry_ms : RETRY_MS_MAX);
	}
}

static void* run(void* param) {
	os_set_thread_name("allaprima launcher");
	while (!atomic_load(&is_ending)) {
		atomic_store(&is_changed, false);
		struct launch_settings settings;
		char problem[LAUNCH_PROBLEM_BYTES];
		if (!launch_settings_read(&settings, problem)) {
			fail(problem);
		} else if (settings.is_enabled) {
			keep(settings.command);
		} else {
			publish(LAUNCH_OFF, 0, "");
			rest(-1);
		}
		launch_settings_free(&settings);
	}
	publish(LAUNCH_OFF, 0, "");
	return NULL;
}

static void wake(void) {
	const uint64_t one = 1;
	if (waker >= 0 && write(waker, &one, sizeof one) < 0) return; // it is awake
}

void launcher_start(void) {
	waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	is_started = waker >= 0 && pthread_create(&thread, NULL, run, NULL) == 0;
}

void launcher_apply(void) {
	atomic_store(&is_changed, true);
	wake();
}

void launcher_end(void) {
	atomic_store(&is_ending, true);
	wake();
}

void launcher_join(void) {
	launcher_end();
	if (is_started) pthread_join(thread, NULL);
	is_started = false;
	if (waker >= 0) close(waker);
	waker = -1;
}
