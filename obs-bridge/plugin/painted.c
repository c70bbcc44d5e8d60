// SPDX-License-Identifier: GPL-2.0-or-later
#include "painted.h"

#include <frame-ring.h>
#include <obs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <util/bmem.h>
#include <util/threading.h>

#include "clock.h"
#include "log.h"
#include "runtime-folder.h"

/** How long to wait before a ring is tried again: doubled from the first to the last. */
#define RETRY_MS_MIN 100
#define RETRY_MS_MAX 2000

#define OPEN_TIMEOUT_MS 2000

/** 8192x8192 BGRA: what asks for more is no painting. */
#define PICTURE_BYTES_MAX (UINT64_C(8192) * 8192 * 4)

/** Four bytes a pixel, tight. */
struct picture {
	uint8_t* data;
	size_t capacity_bytes;
	uint32_t width;
	uint32_t height;
	enum gs_color_format format;
	int64_t captured_us;
	int64_t arrived_us;
};

struct painted {
	// Graphics thread.
	struct picture* front;
	gs_texture_t* texture;
	uint32_t texture_width, texture_height;
	enum gs_color_format texture_format;
	bool is_uploaded;

	pthread_t thread;
	/** Guards what follows, for moments. */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_ending;
	char path[SOCKET_PATH_BYTES];
	/** Counts the paths, so that the thread sees that the one it reads is no longer wanted. */
	unsigned int path_count;
	struct frame_ring_reader* reader;
	struct picture* ready;
	bool is_ready_new;

	// The thread's own.
	struct picture* back;
	uint8_t* payload;
	size_t payload_bytes;
	enum frame_ring_status complaint;

	struct picture pictures[3];
};

/** A complaint that was made is not repeated until something went well. */
static void complain(struct painted* painted, const char* what, enum frame_ring_status status) {
	if (painted->complaint == status) return;
	painted->complaint = status;
	log_warning("painted frames: %s: %s", what, frame_ring_status_name(status));
}

static bool reserve(uint8_t** data, size_t* capacity_bytes, size_t bytes) {
	if (*capacity_bytes >= bytes) return true;
	free(*data);
	*data = malloc(bytes); // not bmalloc, which ends OBS where memory is short
	*capacity_bytes = *data ? bytes : 0;
	return *data != NULL;
}

/** BGRA of RGB. */
static void widen(uint8_t* to, const uint8_t* from, size_t pixels) {
	for (size_t i = 0; i < pixels; ++i) {
		to[4 * i] = from[3 * i + 2];
		to[4 * i + 1] = from[3 * i + 1];
		to[4 * i + 2] = from[3 * i];
		to[4 * i + 3] = 255;
	}
}

/** Turns what was read into a picture for the GPU. */
static enum frame_ring_status accept_frame(struct painted* painted, const struct frame_ring_frame* frame) {
	struct picture* back = painted->back;
	const size_t pixels = (size_t)frame->width * frame->height;
	switch (frame->format) {
	case FRAME_RING_BGRA:
		back->format = GS_BGRA;
		break;
	case FRAME_RING_RGBA:
		back->format = GS_RGBA;
		break;
	case FRAME_RING_RGB:
		back->format = GS_BGRA;
		break;
	default:
		return FRAME_RING_BAD_FRAME;
	}
	if (frame->format == FRAME_RING_RGB) {
		if (!reserve(&back->data, &back->capacity_bytes, pixels * 4)) return FRAME_RING_SYSTEM;
		widen(back->data, painted->payload, pixels);
	} else {
		uint8_t* data = back->data;
		const size_t capacity_bytes = back->capacity_bytes;
		back->data = painted->payload;
		back->capacity_bytes = painted->payload_bytes;
		painted->payload = data;
		painted->payload_bytes = capacity_bytes;
	}
	back->width = frame->width;
	back->height = frame->height;
	back->arrived_us = now_us();
	// A stamp of the future would never grow old.
	back->captured_us = frame->captured_us < back->arrived_us ? frame->captured_us : back->arrived_us;
	return FRAME_RING_OK;
}

static void hand_over(struct painted* painted) {
	pthread_mutex_lock(&painted->mutex);
	struct picture* ready = painted->ready;
	painted->ready = painted->back;
	painted->back = ready;
	painted->is_ready_new = true;
	pthread_mutex_unlock(&painted->mutex);
}

/** Reads pictures until the ring ends or is no longer wanted. */
static enum frame_ring_status read_ring(struct painted* painted, struct frame_ring_reader* reader) {
	enum frame_ring_status status = frame_ring_reader_open(reader, OPEN_TIMEOUT_MS);
	if (status != FRAME_RING_OK) return status;
	bool is_good = false;
	for (;;) {
		status = frame_ring_reader_wait(reader, -1);
		if (status != FRAME_RING_OK) return status;
		struct frame_ring_taken taken;
		memset(&taken, 0, sizeof taken);
		status = frame_ring_read_newest(reader, painted->payload, painted->payload_bytes, &taken);
		if (status == FRAME_RING_TOO_SMALL) {
			const uint64_t bytes = taken.frame.payload_bytes;
			if (bytes > PICTURE_BYTES_MAX ||
				!reserve(&painted->payload, &painted->payload_bytes, (size_t)bytes)) {
				complain(painted, "a picture is too large", status);
				return status;
			}
			continue;
		}
		if (status == FRAME_RING_OK) status = accept_frame(painted, &taken.frame);
		if (status == FRAME_RING_OK) {
			hand_over(painted);
			if (!is_good) painted->complaint = FRAME_RING_OK;
			is_good = true;
		} else if (status != FRAME_RING_NO_FRAME) {
			complain(painted, "a picture was not understood", status);
		}
	}
}

static void wait_ms(struct painted* painted, int ms) {
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&painted->changed, &painted->mutex, &until);
}

/** Connects to the path and reads it. Comes and goes with the mutex locked; FRAME_RING_OK where it was good.
 */
static enum frame_ring_status follow_once(struct painted* painted) {
	char path[SOCKET_PATH_BYTES];
	memcpy(path, painted->path, sizeof path);
	const unsigned int path_count = painted->path_count;
	pthread_mutex_unlock(&painted->mutex);
	struct frame_ring_reader* reader = NULL;
	enum frame_ring_status status = frame_ring_reader_connect(path, &reader);
	pthread_mutex_lock(&painted->mutex);
	if (status != FRAME_RING_OK) return status;
	if (!painted->is_ending && painted->path_count == path_count) {
		painted->reader = reader;
		pthread_mutex_unlock(&painted->mutex);
		status = read_ring(painted, reader);
		pthread_mutex_lock(&painted->mutex);
		painted->reader = NULL;
	}
	frame_ring_reader_close(reader);
	return status;
}

static void* follow(void* param) {
	struct painted* painted = param;
	os_set_thread_name("allaprima painted");
	int retry_ms = RETRY_MS_MIN;
	pthread_mutex_lock(&painted->mutex);
	while (!painted->is_ending) {
		if (painted->path[0] == '\0') {
			pthread_cond_wait(&painted->changed, &painted->mutex);
			retry_ms = RETRY_MS_MIN;
			continue;
		}
		const unsigned int path_count = painted->path_count;
		const enum frame_ring_status status = follow_once(painted);
		if (painted->is_ending || painted->path_count != path_count) {
			retry_ms = RETRY_MS_MIN;
			continue;
		}
		if (status == FRAME_RING_OTHER_VERSION || status == FRAME_RING_BAD_HEADER ||
			status == FRAME_RING_NOT_SEALED)
			complain(painted, painted->path, status);
		wait_ms(painted, retry_ms);
		retry_ms = retry_ms * 2 < RETRY_MS_MAX ? retry_ms * 2 : RETRY_MS_MAX;
	}
	pthread_mutex_unlock(&painted->mutex);
	return NULL;
}

struct painted* painted_create(void) {
	struct painted* painted = bzalloc(sizeof *painted);
	painted->front = &painted->pictures[0];
	painted->ready = &painted->pictures[1];
	painted->back = &painted->pictures[2];
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&painted->mutex, NULL);
	pthread_cond_init(&painted->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_create(&painted->thread, NULL, follow, painted);
	return painted;
}

/** With the mutex locked. */
static void wake(struct painted* painted) {
	if (painted->reader) frame_ring_reader_interrupt(painted->reader);
	pthread_cond_signal(&painted->changed);
}

void painted_follow(struct painted* painted, const char* path) {
	pthread_mutex_lock(&painted->mutex);
	snprintf(painted->path, sizeof painted->path, "%s", path);
	painted->path_count += 1;
	wake(painted);
	pthread_mutex_unlock(&painted->mutex);
}

/** Makes the newest picture the front one. */
static void swap_front(struct painted* painted) {
	pthread_mutex_lock(&painted->mutex);
	if (painted->is_ready_new) {
		struct picture* front = painted->front;
		painted->front = painted->ready;
		painted->ready = front;
		painted->is_ready_new = false;
		painted->is_uploaded = false;
	}
	pthread_mutex_unlock(&painted->mutex);
}

static void describe(const struct painted* painted, struct painting* painting) {
	*painting = (struct painting){painted->texture, painted->front->captured_us, painted->front->arrived_us};
}

bool painted_peek(struct painted* painted, struct painting* painting) {
	swap_front(painted);
	describe(painted, painting);
	return painted->front->width > 0;
}

static bool prepare_texture(struct painted* painted, const struct picture* picture) {
	if (painted->texture && painted->texture_width == picture->width &&
		painted->texture_height == picture->height && painted->texture_format == picture->format)
		return true;
	gs_texture_destroy(painted->texture);
	painted->texture =
		gs_texture_create(picture->width, picture->height, picture->format, 1, NULL, GS_DYNAMIC);
	painted->texture_width = picture->width;
	painted->texture_height = picture->height;
	painted->texture_format = picture->format;
	return painted->texture != NULL;
}

bool painted_take(struct painted* painted, struct painting* painting, bool* is_new) {
	swap_front(painted);
	const struct picture* front = painted->front;
	*is_new = false;
	if (front->width == 0) return false;
	if (!painted->is_uploaded) {
		if (!prepare_texture(painted, front)) return false;
		gs_texture_set_image(painted->texture, front->data, front->width * 4, false);
		painted->is_uploaded = true;
		*is_new = true;
	}
	describe(painted, painting);
	return painted->texture != NULL;
}

void painted_destroy(struct painted* painted) {
	if (!painted) return;
	pthread_mutex_lock(&painted->mutex);
	painted->is_ending = true;
	wake(painted);
	pthread_mutex_unlock(&painted->mutex);
	pthread_join(painted->thread, NULL);
	pthread_cond_destroy(&painted->changed);
	pthread_mutex_destroy(&painted->mutex);

	obs_enter_graphics();
	gs_texture_destroy(painted->texture);
	obs_leave_graphics();
	for (size_t i = 0; i < 3; ++i) free(painted->pictures[i].data);
	free(painted->payload);
	bfree(painted);
}
