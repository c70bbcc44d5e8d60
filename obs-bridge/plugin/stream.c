// SPDX-License-Identifier: GPL-2.0-or-later
#include "stream.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <util/platform.h>

#include "link.h"
#include "messages.h"

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct stream* list[STREAMS_MAX];
static size_t list_count;
static unsigned int opened_count;
static atomic_bool is_panic;
static atomic_bool has_left_dialogs;

static uint64_t random_bits(void) {
	uint64_t bits = 0;
	if (getrandom(&bits, sizeof bits, 0) != sizeof bits) bits = os_gettime_ns();
	return bits;
}

const char* stream_instance(void) {
	static char instance[40];
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&mutex);
	if (!instance[0])
		snprintf(instance, sizeof instance, "%ld-%08x", (long)getpid(), (unsigned int)random_bits());
	pthread_mutex_unlock(&mutex);
	return instance;
}

static bool is_key_taken(const char* key) {
	for (size_t i = 0; i < list_count; ++i)
		if (strcmp(list[i]->key, key) == 0) return true;
	return false;
}

static void tell_place(void* param) {
	stream_touch(param);
}

struct stream* stream_open(obs_source_t* filter, const char* key) {
	struct stream* stream = bzalloc(sizeof *stream);
	stream->references = 1;
	stream->filter = obs_source_get_weak_source(filter);
	pthread_mutex_init(&stream->mutex, NULL);

	pthread_mutex_lock(&list_mutex);
	const bool has_room = list_count < STREAMS_MAX;
	if (has_room) {
		snprintf(stream->id, sizeof stream->id, "%s-%u", stream_instance(), ++opened_count);
		// A copy of a filter has the settings of the first, its key among them.
		copy_text(stream->key, sizeof stream->key, key);
		while (!stream->key[0] || is_key_taken(stream->key))
			snprintf(stream->key, sizeof stream->key, "%016llx", (unsigned long long)random_bits());
		char name[STREAM_ID_BYTES + 8];
		snprintf(name, sizeof name, "obs-%s", stream->id);
		stream->painted = painted_create();
		stream->tap = tap_create(name, tell_place, stream);
		list[list_count++] = stream;
	}
	pthread_mutex_unlock(&list_mutex);
	if (has_room) return stream;
	stream_release(stream);
	return NULL;
}

void stream_close(struct stream* stream) {
	pthread_mutex_lock(&list_mutex);
	for (size_t i = 0; i < list_count; ++i) {
		if (list[i] != stream) continue;
		memmove(&list[i], &list[i + 1], (list_count - i - 1) * sizeof list[0]);
		list_count -= 1;
		break;
	}
	pthread_mutex_unlock(&list_mutex);
	messages_stream_removed(stream->id);
	stream_release(stream);
}

struct stream* stream_reference(struct stream* stream) {
	atomic_fetch_add(&stream->references, 1);
	return stream;
}

void stream_release(struct stream* stream) {
	if (!stream || atomic_fetch_sub(&stream->references, 1) != 1) return;
	tap_destroy(stream->tap);
	painted_destroy(stream->painted);
	obs_enter_graphics();
	source_picture_free(&stream->source);
	obs_leave_graphics();
	obs_weak_source_release(stream->filter);
	pthread_mutex_destroy(&stream->mutex);
	bfree(stream);
}

size_t streams_list(struct stream* streams[STREAMS_MAX]) {
	pthread_mutex_lock(&list_mutex);
	const size_t count = list_count;
	for (size_t i = 0; i < count; ++i) streams[i] = stream_reference(list[i]);
	pthread_mutex_unlock(&list_mutex);
	return count;
}

void streams_release(struct stream* streams[STREAMS_MAX], size_t count) {
	for (size_t i = 0; i < count; ++i) stream_release(streams[i]);
}

static bool has_name(struct stream* stream, const char* name) {
	if (!*name || strcmp(stream->id, name) == 0 || strcmp(stream->key, name) == 0) return true;
	pthread_mutex_lock(&stream->mutex);
	const bool is_same = strcmp(stream->name, name) == 0;
	pthread_mutex_unlock(&stream->mutex);
	return is_same;
}

struct stream* stream_find(const char* name) {
	struct stream* found = NULL;
	pthread_mutex_lock(&list_mutex);
	for (size_t i = 0; i < list_count && !found; ++i)
		if (has_name(list[i], name)) found = stream_reference(list[i]);
	pthread_mutex_unlock(&list_mutex);
	return found;
}

void stream_get_name(struct stream* stream, char name[STREAM_NAME_BYTES]) {
	pthread_mutex_lock(&stream->mutex);
	memcpy(name, stream->name, STREAM_NAME_BYTES);
	pthread_mutex_unlock(&stream->mutex);
}

void stream_get_wishes(struct stream* stream, struct stream_wishes* wishes) {
	pthread_mutex_lock(&stream->mutex);
	*wishes = stream->wishes;
	pthread_mutex_unlock(&stream->mutex);
}

void stream_get_report(struct stream* stream, struct stream_report* report) {
	pthread_mutex_lock(&stream->mutex);
	*report = stream->report;
	pthread_mutex_unlock(&stream->mutex);
}

void stream_get_view(struct stream* stream, struct stream_view* view) {
	pthread_mutex_lock(&stream->mutex);
	*view = stream->view;
	pthread_mutex_unlock(&stream->mutex);
}

void stream_touch(struct stream* stream) {
	atomic_store(&stream->is_dirty, true);
	link_wake();
}

void streams_leave_dialogs(void) {
	atomic_store(&has_left_dialogs, true);
}

void stream_refresh_dialog(struct stream* stream) {
	if (atomic_load(&has_left_dialogs)) return;
	obs_source_t* filter = obs_weak_source_get_source(stream->filter);
	if (!filter) return;
	obs_source_update_properties(filter);
	obs_source_release(filter);
}

void streams_refresh_dialogs(void) {
	struct stream* streams[STREAMS_MAX];
	const size_t count = streams_list(streams);
	for (size_t i = 0; i < count; ++i) stream_refresh_dialog(streams[i]);
	streams_release(streams, count);
}

void stream_describe_failure(const struct stream_wishes* wishes, obs_data_t* data) {
	obs_data_set_string(data, "failure", failure_policy_name(wishes->failure));
	if (wishes->hold_s > 0) obs_data_set_int(data, "holdS", wishes->hold_s);
	obs_data_set_string(data, "afterHold", failure_policy_name(wishes->after_hold));
}

void copy_text(char* to, size_t to_bytes, const char* from) {
	size_t length = strlen(from);
	if (length >= to_bytes) {
		length = to_bytes - 1;
		while (length > 0 && ((unsigned char)from[length] & 0xC0) == 0x80) length -= 1;
	}
	memcpy(to, from, length);
	memset(to + length, 0, to_bytes - length);
}

const char* stream_mode_name(enum stream_mode mode) {
	return mode == MODE_TAP ? "tap" : "replace";
}

void panic_set(bool is_on) {
	atomic_store(&is_panic, is_on);
}

bool panic_is_on(void) {
	return atomic_load(&is_panic);
}
