/*
 * A runtime of NDI without a network: what a test pushes is captured, what is sent is written down. At
 * compile time: FAKE_VERSION, FAKE_NO_CPU, FAKE_NO_START, FAKE_OLD (no optional functions), FAKE_BROKEN (a
 * needed one is missing).
 */
#define _GNU_SOURCE
#include "fake-libndi.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef FAKE_VERSION
#define FAKE_VERSION "FAKE NDI 10:00:00 Jan  1 2026 6.3.2.0"
#endif
#define EXPORT __attribute__((visibility("default")))

enum { SENT_MAX = 4096, QUEUE_MAX = 1024, NONE = 0, VIDEO = 1, AUDIO = 2, METADATA = 3, FAILED = 4 };

struct audio {
	int32_t sample_rate, channels, samples;
	int64_t timecode;
	uint32_t fourcc;
	uint8_t* data;
	int32_t stride_bytes;
	const char* metadata;
	int64_t timestamp;
};

struct metadata {
	int32_t length;
	int64_t timecode;
	char* data;
};

struct source {
	const char* name;
	const char* url;
};

struct tally {
	bool on_program, on_preview;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct fake_counts counts;
static struct fake_video videos[QUEUE_MAX];
static struct audio sounds[QUEUE_MAX];
static char* notes[QUEUE_MAX];
static char* notes_up[QUEUE_MAX];
static int video_count, sound_count, note_count, note_up_count;
static struct fake_sent sent[SENT_MAX];
static int sent_count;
static int64_t sound_timecodes[SENT_MAX], sound_us[SENT_MAX];
static char* notes_sent[QUEUE_MAX];
static int connections;
static bool on_program, hangs, fails;
/* What the sender owns, and what it was. */
static const uint8_t* owned;
static size_t owned_bytes;
static uint64_t owned_sum;

static int64_t now_us(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static uint64_t sum_of(const uint8_t* bytes, size_t count) {
	uint64_t sum = 0;
	for (size_t i = 0; i < count; i++) sum = sum * 31 + bytes[i];
	return sum;
}

/* Waits until `count` is more than nothing, for at most so long; with the mutex held. */
static void wait_for(const int* count, const int* other, uint32_t timeout_ms) {
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!fails && *count == 0 && *other == 0 && timeout_ms > 0)
		if (pthread_cond_timedwait(&changed, &mutex, &until) != 0) break;
	while (hangs) pthread_cond_wait(&changed, &mutex);
}

static void* first_of(void* items, int* count, size_t bytes, void* item) {
	memcpy(item, items, bytes);
	memmove(items, (char*)items + bytes, (size_t)--*count * bytes);
	return item;
}

/* -- What the test does -- */

static void reset(void) {
	pthread_mutex_lock(&mutex);
	const struct fake_counts alive = counts;
	memset(&counts, 0, sizeof counts);
	counts.receivers = alive.receivers;
	counts.senders = alive.senders;
	counts.finders = alive.finders;
	counts.is_initialized = alive.is_initialized;
	for (int i = 0; i < video_count; i++) free(videos[i].data);
	for (int i = 0; i < sound_count; i++) free(sounds[i].data);
	for (int i = 0; i < note_count; i++) free(notes[i]);
	for (int i = 0; i < note_up_count; i++) free(notes_up[i]);
	for (int i = 0; i < QUEUE_MAX; i++) {
		free(notes_sent[i]);
		notes_sent[i] = NULL;
	}
	video_count = sound_count = note_count = note_up_count = sent_count = connections = 0;
	on_program = hangs = fails = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static void push_video(const struct fake_video* frame) {
	pthread_mutex_lock(&mutex);
	if (video_count < QUEUE_MAX) {
		videos[video_count++] = *frame;
	} else {
		free(frame->data);
	}
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static void push_sound(int64_t timecode, int32_t samples) {
	pthread_mutex_lock(&mutex);
	const struct audio sound = {
		.sample_rate = 48000,
		.channels = 2,
		.samples = samples,
		.timecode = timecode,
		.fourcc = 0x70544c46,
		.data = samples > 0 ? calloc(2 * (size_t)samples, 4) : NULL,
		.stride_bytes = 4 * samples,
	};
	sounds[sound_count++] = sound;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static void push_note(const char* text) {
	pthread_mutex_lock(&mutex);
	notes[note_count++] = text ? strdup(text) : NULL;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static void push_note_up(const char* text) {
	pthread_mutex_lock(&mutex);
	notes_up[note_up_count++] = strdup(text);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static void set_viewers(int count, bool is_on_program) {
	pthread_mutex_lock(&mutex);
	connections = count;
	on_program = is_on_program;
	pthread_mutex_unlock(&mutex);
}

static void set_hanging(bool value) {
	pthread_mutex_lock(&mutex);
	hangs = value;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static void set_failing(bool value) {
	pthread_mutex_lock(&mutex);
	fails = value;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static int get_sent_count(void) {
	pthread_mutex_lock(&mutex);
	const int count = sent_count;
	pthread_mutex_unlock(&mutex);
	return count;
}

static bool get_sent(int index, struct fake_sent* frame) {
	pthread_mutex_lock(&mutex);
	const bool is_there = index >= 0 && index < sent_count;
	if (is_there) *frame = sent[index];
	pthread_mutex_unlock(&mutex);
	return is_there;
}

static int64_t sound_sent_us(int64_t timecode) {
	int64_t at = -1;
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < counts.sounds_sent && i < SENT_MAX; i++)
		if (sound_timecodes[i] == timecode) at = sound_us[i];
	pthread_mutex_unlock(&mutex);
	return at;
}

static bool note_sent(const char* text) {
	bool is_there = false;
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < counts.notes_sent && i < QUEUE_MAX; i++)
		if (strcmp(notes_sent[i], text) == 0) is_there = true;
	pthread_mutex_unlock(&mutex);
	return is_there;
}

static void get_counts(struct fake_counts* out) {
	pthread_mutex_lock(&mutex);
	*out = counts;
	pthread_mutex_unlock(&mutex);
}

EXPORT const struct fake_controls* fake_ndi_controls(void) {
	static const struct fake_controls controls = {
		reset,
		push_video,
		push_sound,
		push_note,
		push_note_up,
		set_viewers,
		set_hanging,
		set_failing,
		get_sent_count,
		get_sent,
		sound_sent_us,
		note_sent,
		get_counts,
	};
	return &controls;
}

/* -- NDI: the library and its finder -- */

EXPORT const char* NDIlib_version(void) {
	return FAKE_VERSION;
}

EXPORT bool NDIlib_is_supported_CPU(void) {
#ifdef FAKE_NO_CPU
	return false;
#else
	return true;
#endif
}

EXPORT bool NDIlib_initialize(void) {
#ifdef FAKE_NO_START
	return false;
#else
	counts.is_initialized = true;
	return true;
#endif
}

EXPORT void NDIlib_destroy(void) {
	counts.is_initialized = false;
}

static int finder, receiver_marks[64], sender;

EXPORT void* NDIlib_find_create_v2(const void* create) {
	(void)create;
	pthread_mutex_lock(&mutex);
	counts.finders++;
	pthread_mutex_unlock(&mutex);
	return &finder;
}

EXPORT bool NDIlib_find_wait_for_sources(void* instance, uint32_t timeout_ms) {
	(void)instance;
	const struct timespec time = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
	nanosleep(&time, NULL);
	return false;
}

EXPORT const struct source* NDIlib_find_get_current_sources(void* instance, uint32_t* count) {
	(void)instance;
	static const struct source sources[] = {
		{"HERE (CAM)", "10.0.0.1:5961"}, {NULL, NULL}, {"THERE (CAM 2)", NULL}
	};
	*count = 3;
	return sources;
}

EXPORT void NDIlib_find_destroy(void* instance) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	counts.finders--;
	pthread_mutex_unlock(&mutex);
}

/* -- NDI: the receiver -- */

EXPORT void* NDIlib_recv_create_v3(const void* create) {
	(void)create;
	pthread_mutex_lock(&mutex);
	counts.receivers++;
	void* instance = &receiver_marks[counts.receivers_made++ % 64];
	pthread_mutex_unlock(&mutex);
	return instance;
}

EXPORT void NDIlib_recv_connect(void* instance, const struct source* source) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	if (source) counts.connects++;
	pthread_mutex_unlock(&mutex);
}

EXPORT int32_t NDIlib_recv_capture_v3(
	void* instance, struct fake_video* video, struct audio* audio, struct metadata* note, uint32_t timeout_ms
) {
	(void)instance;
	const int nothing = 0;
	int type = NONE;
	pthread_mutex_lock(&mutex);
	wait_for(video ? &video_count : &sound_count, video ? &nothing : &note_count, timeout_ms);
	if (fails) {
		type = FAILED;
	} else if (video && video_count > 0) {
		first_of(videos, &video_count, sizeof *videos, video);
		counts.frames_out++;
		type = VIDEO;
	} else if (audio && sound_count > 0) {
		first_of(sounds, &sound_count, sizeof *sounds, audio);
		counts.frames_out++;
		type = AUDIO;
	} else if (note && note_count > 0) {
		first_of(notes, &note_count, sizeof *notes, &note->data);
		note->length = note->data ? (int32_t)strlen(note->data) + 1 : 0;
		note->timecode = 0;
		counts.frames_out++;
		type = METADATA;
	}
	pthread_mutex_unlock(&mutex);
	return type;
}

static void give_back(void* data) {
	free(data);
	pthread_mutex_lock(&mutex);
	counts.frames_out--;
	pthread_mutex_unlock(&mutex);
}

EXPORT void NDIlib_recv_free_video_v2(void* instance, const struct fake_video* video) {
	(void)instance;
	give_back(video->data);
}

EXPORT void NDIlib_recv_free_audio_v3(void* instance, const struct audio* audio) {
	(void)instance;
	give_back(audio->data);
}

EXPORT void NDIlib_recv_free_metadata(void* instance, const struct metadata* note) {
	(void)instance;
	give_back(note->data);
}

EXPORT bool NDIlib_recv_send_metadata(void* instance, const struct metadata* note) {
	(void)instance, (void)note;
	pthread_mutex_lock(&mutex);
	counts.notes_up++;
	pthread_mutex_unlock(&mutex);
	return true;
}

EXPORT bool NDIlib_recv_set_tally(void* instance, const struct tally* tally) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	counts.on_program = tally->on_program;
	pthread_mutex_unlock(&mutex);
	return true;
}

EXPORT void NDIlib_recv_destroy(void* instance) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	counts.receivers--;
	pthread_mutex_unlock(&mutex);
}

/* -- NDI: the sender -- */

EXPORT void* NDIlib_send_create(const void* create) {
	(void)create;
	pthread_mutex_lock(&mutex);
	counts.senders++;
	pthread_mutex_unlock(&mutex);
	return &sender;
}

EXPORT void NDIlib_send_send_video_async_v2(void* instance, const struct fake_video* video) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	if (owned && sum_of(owned, owned_bytes) != owned_sum) counts.broken_frames++;
	owned = NULL;
	if (video) {
		const bool has_alpha = video->fourcc == 0x41565955;
		const size_t colours = (size_t)video->stride_bytes * (size_t)video->height;
		const size_t middle =
			(size_t)(video->height / 2) * (size_t)video->stride_bytes + (size_t)(video->width / 4) * 4;
		owned = video->data;
		owned_bytes = colours + (has_alpha ? (size_t)video->width * (size_t)video->height : 0);
		owned_sum = sum_of(owned, owned_bytes);
		if (sent_count < SENT_MAX) {
			const struct fake_sent frame = {
				.width = video->width,
				.height = video->height,
				.rate_num = video->rate_num,
				.rate_den = video->rate_den,
				.format = video->format,
				.fourcc = video->fourcc,
				.timecode = video->timecode,
				.luma = video->data[middle + 1],
				.alpha =
					has_alpha ? video->data[colours + (size_t)video->width * (size_t)video->height / 2] : -1,
				.has_metadata = video->metadata != NULL,
				.at_us = now_us(),
			};
			sent[sent_count++] = frame;
		}
	}
	pthread_mutex_unlock(&mutex);
}

EXPORT void NDIlib_send_send_audio_v3(void* instance, const struct audio* audio) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	sound_timecodes[counts.sounds_sent % SENT_MAX] = audio->timecode;
	sound_us[counts.sounds_sent++ % SENT_MAX] = now_us();
	pthread_mutex_unlock(&mutex);
}

EXPORT void NDIlib_send_send_metadata(void* instance, const struct metadata* note) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	if (counts.notes_sent < QUEUE_MAX) notes_sent[counts.notes_sent++] = strdup(note->data);
	pthread_mutex_unlock(&mutex);
}

EXPORT int32_t NDIlib_send_capture(void* instance, struct metadata* note, uint32_t timeout_ms) {
	(void)instance, (void)timeout_ms;
	int type = NONE;
	pthread_mutex_lock(&mutex);
	if (note_up_count > 0) {
		first_of(notes_up, &note_up_count, sizeof *notes_up, &note->data);
		counts.frames_out++;
		type = METADATA;
	}
	pthread_mutex_unlock(&mutex);
	return type;
}

EXPORT void NDIlib_send_free_metadata(void* instance, const struct metadata* note) {
	(void)instance;
	give_back(note->data);
}

EXPORT bool NDIlib_send_get_tally(void* instance, struct tally* tally, uint32_t timeout_ms) {
	(void)instance, (void)timeout_ms;
	pthread_mutex_lock(&mutex);
	tally->on_program = on_program;
	tally->on_preview = false;
	pthread_mutex_unlock(&mutex);
	return true;
}

EXPORT int NDIlib_send_get_no_connections(void* instance, uint32_t timeout_ms) {
	(void)instance, (void)timeout_ms;
	pthread_mutex_lock(&mutex);
	const int count = connections;
	pthread_mutex_unlock(&mutex);
	return count;
}

#ifndef FAKE_BROKEN
EXPORT void NDIlib_send_destroy(void* instance) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	counts.senders--;
	owned = NULL;
	pthread_mutex_unlock(&mutex);
}
#endif

#ifndef FAKE_OLD
EXPORT void NDIlib_send_set_failover(void* instance, const struct source* source) {
	(void)instance;
	pthread_mutex_lock(&mutex);
	counts.has_failover = source != NULL;
	if (source) {
		counts.failovers_set++;
	} else {
		counts.failovers_cleared++;
	}
	pthread_mutex_unlock(&mutex);
}

EXPORT const struct source* NDIlib_send_get_source_name(void* instance) {
	(void)instance;
	static const struct source source = {"HERE (OUT)", NULL};
	return &source;
}

EXPORT void NDIlib_send_add_connection_metadata(void* instance, const struct metadata* note) {
	(void)instance, (void)note;
}

EXPORT void NDIlib_send_clear_connection_metadata(void* instance) {
	(void)instance;
}

EXPORT void NDIlib_recv_add_connection_metadata(void* instance, const struct metadata* note) {
	(void)instance, (void)note;
}
#endif
