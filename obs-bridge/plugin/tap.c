// SPDX-License-Identifier: GPL-2.0-or-later
#include "tap.h"

#include <frame-ring.h>
#include <inttypes.h>
#include <obs.h>
#include <pthread.h>
#include <string.h>
#include <util/bmem.h>
#include <util/threading.h>

#include "clock.h"
#include "log.h"
#include "straight-alpha.h"

#define STAGED_COUNT 2

/** A picture that was captured longer ago was left over when its source was hidden. */
#define LEFT_OVER_US 250000

/** A driver none of whose stagings is shorter draws on the CPU first; a GPU's takes some 20 us. */
#define WAIT_US 250
#define TIMED_COUNT 16

/** A picture on its way from the GPU. */
struct staged {
	gs_stagesurf_t* surface;
	bool is_pending;
	bool is_straight;
	/** Its alpha is that of a mask, and says nothing of what the source lets through. */
	bool is_masked;
	/** Which of the source's pictures it is. */
	uint64_t count;
	struct frame_ring_frame frame;
};

struct tap {
	char name[64];
	void (*on_place)(void* param);
	void* param;

	// Graphics thread.
	struct staged staged[STAGED_COUNT];
	size_t next;
	bool stages_late;
	unsigned int timed_count;
	int64_t shortest_us;
	uint64_t sequence;
	uint64_t published;
	uint8_t* row;
	size_t row_bytes;
	uint32_t skipped_width, skipped_height;

	pthread_t thread;
	/** Guards what follows, for moments: a ring is made and unmade outside of it. */
	pthread_mutex_t mutex;
	pthread_cond_t wanted;
	bool is_ending;
	uint32_t wanted_width, wanted_height;
	struct frame_ring_writer* writer;
	struct tap_place place;
	unsigned int ring_count;
};

/** Makes a ring that readers can reach, or gives null and says why. */
static struct frame_ring_writer* make_ring(struct tap* tap, struct tap_place* place) {
	char name[96];
	snprintf(name, sizeof name, "%s-%u", tap->name, tap->ring_count++);
	if (!runtime_socket_path(name, place->path)) {
		log_warning("no socket for %s: the runtime folder must be of this user alone (mode 700)", name);
		return NULL;
	}
	struct frame_ring_writer* writer = NULL;
	const uint64_t bytes = (uint64_t)place->width * place->height * 4;
	enum frame_ring_status status = frame_ring_writer_create(FRAME_RING_SLOTS_MIN, bytes, &writer);
	if (status == FRAME_RING_OK) {
		status = frame_ring_writer_listen(writer, place->path);
		if (status != FRAME_RING_OK) frame_ring_writer_close(writer);
	}
	if (status == FRAME_RING_OK) return writer;
	log_warning("no ring of %" PRIu64 " bytes a picture: %s", bytes, frame_ring_status_name(status));
	return NULL;
}

/** Serves the readers of one ring until another size is wanted. Comes and goes with the mutex locked. */
static void serve_ring(struct tap* tap) {
	struct tap_place place = {.width = tap->wanted_width, .height = tap->wanted_height};
	pthread_mutex_unlock(&tap->mutex);
	struct frame_ring_writer* writer = make_ring(tap, &place);
	pthread_mutex_lock(&tap->mutex);
	const bool is_wanted =
		!tap->is_ending && tap->wanted_width == place.width && tap->wanted_height == place.height;
	if (!writer && is_wanted) {
		// Not again before something else is wanted: what is missing now would be missing at the next tick.
		tap->wanted_width = tap->wanted_height = 0;
		tap->skipped_width = place.width;
		tap->skipped_height = place.height;
	}
	if (!writer) return;
	if (is_wanted) {
		tap->writer = writer;
		tap->place = place;
		pthread_mutex_unlock(&tap->mutex);
		tap->on_place(tap->param);
		frame_ring_writer_serve(writer, -1);
		pthread_mutex_lock(&tap->mutex);
		tap->writer = NULL;
		tap->place = (struct tap_place){.path = ""};
	}
	pthread_mutex_unlock(&tap->mutex);
	frame_ring_writer_close(writer);
	pthread_mutex_lock(&tap->mutex);
}

static void* serve(void* param) {
	struct tap* tap = param;
	os_set_thread_name("allaprima tap");
	pthread_mutex_lock(&tap->mutex);
	while (!tap->is_ending) {
		if (tap->wanted_width > 0)
			serve_ring(tap);
		else
			pthread_cond_wait(&tap->wanted, &tap->mutex);
	}
	pthread_mutex_unlock(&tap->mutex);
	return NULL;
}

struct tap* tap_create(const char* name, void (*on_place)(void* param), void* param) {
	struct tap* tap = bzalloc(sizeof *tap);
	snprintf(tap->name, sizeof tap->name, "%s", name);
	tap->on_place = on_place;
	tap->param = param;
	pthread_mutex_init(&tap->mutex, NULL);
	pthread_cond_init(&tap->wanted, NULL);
	pthread_create(&tap->thread, NULL, serve, tap);
	return tap;
}

/** With the mutex locked. */
static void wake(struct tap* tap) {
	if (tap->writer) frame_ring_writer_interrupt(tap->writer);
	pthread_cond_signal(&tap->wanted);
}

void tap_resize(struct tap* tap, uint32_t width, uint32_t height) {
	if (width > FRAME_RING_SIDE_MAX || height > FRAME_RING_SIDE_MAX || width == 0 || height == 0)
		width = height = 0;
	pthread_mutex_lock(&tap->mutex);
	const bool was_refused = width > 0 && width == tap->skipped_width && height == tap->skipped_height;
	if (!was_refused && (tap->wanted_width != width || tap->wanted_height != height)) {
		tap->wanted_width = width;
		tap->wanted_height = height;
		tap->skipped_width = tap->skipped_height = 0;
		wake(tap);
	}
	pthread_mutex_unlock(&tap->mutex);
}

void tap_place(struct tap* tap, struct tap_place* place) {
	pthread_mutex_lock(&tap->mutex);
	*place = tap->place;
	pthread_mutex_unlock(&tap->mutex);
}

bool tap_is_read(struct tap* tap) {
	pthread_mutex_lock(&tap->mutex);
	const bool is_read = tap->writer && frame_ring_writer_reader_count(tap->writer) > 0;
	pthread_mutex_unlock(&tap->mutex);
	return is_read;
}

/** One row, with the alpha divided out where that was multiplied in. */
static void write_row(struct tap* tap, uint32_t y, const uint8_t* data, size_t row_bytes, bool is_straight) {
	if (is_straight) {
		frame_ring_writer_put(tap->writer, y * row_bytes, data, row_bytes);
		return;
	}
	if (tap->row_bytes < row_bytes) {
		tap->row = brealloc(tap->row, row_bytes);
		tap->row_bytes = row_bytes;
	}
	copy_row_straight(tap->row, data, row_bytes / 4);
	frame_ring_writer_put(tap->writer, y * row_bytes, tap->row, row_bytes);
}

/** Copies a picture that has come from the GPU into the ring; true where the source is opaque all over. */
static bool write_rows(struct tap* tap, const struct staged* staged, const uint8_t* data, uint32_t stride) {
	const struct frame_ring_frame* frame = &staged->frame;
	const size_t row_bytes = (size_t)frame->width * 4;
	bool is_opaque = !staged->is_masked;
	frame_ring_writer_begin(tap->writer);
	for (uint32_t y = 0; y < frame->height; ++y) {
		const uint8_t* row = data + (size_t)y * stride;
		const bool is_row_solid = (is_opaque || !staged->is_straight) && is_row_opaque(row, frame->width);
		write_row(tap, y, row, row_bytes, staged->is_straight || is_row_solid);
		is_opaque = is_opaque && is_row_solid;
	}
	if (frame_ring_writer_commit(tap->writer, frame, NULL) == FRAME_RING_OK) tap->published += 1;
	return is_opaque;
}

static bool publish(struct tap* tap, struct staged* staged) {
	if (!staged->is_pending) return false;
	staged->is_pending = false;
	if (now_us() - staged->frame.captured_us > LEFT_OVER_US) return false;
	uint8_t* data = NULL;
	uint32_t stride = 0;
	if (!gs_stagesurface_map(staged->surface, &data, &stride)) return false;
	pthread_mutex_lock(&tap->mutex);
	// Of another size: the ring was made anew meanwhile.
	const bool fits =
		tap->writer && tap->place.width == staged->frame.width && tap->place.height == staged->frame.height;
	const bool is_opaque = fits && write_rows(tap, staged, data, stride);
	pthread_mutex_unlock(&tap->mutex);
	gs_stagesurface_unmap(staged->surface);
	return is_opaque;
}

static bool prepare_surface(struct tap* tap, struct staged* staged, uint32_t width, uint32_t height) {
	if (staged->surface && gs_stagesurface_get_width(staged->surface) == width &&
		gs_stagesurface_get_height(staged->surface) == height)
		return true;
	tap->timed_count = 0;
	gs_stagesurface_destroy(staged->surface);
	staged->surface = gs_stagesurface_create(width, height, GS_BGRA);
	return staged->surface != NULL;
}

/** The rate of OBS as a length, for who wants to know how long a picture stays. */
static int64_t frame_duration_us(void) {
	struct obs_video_info video;
	if (!obs_get_video_info(&video) || video.fps_num == 0) return 0;
	return INT64_C(1000000) * video.fps_den / video.fps_num;
}

static void describe(struct tap* tap, struct staged* staged, const struct source_picture* picture) {
	staged->frame = (struct frame_ring_frame){
		.sequence = tap->sequence++,
		.captured_us = picture->captured_us,
		.timestamp_us = (int64_t)(obs_get_video_frame_time() / 1000),
		.duration_us = frame_duration_us(),
		.format = FRAME_RING_BGRA,
		.width = picture->width,
		.height = picture->height,
		.matrix = FRAME_RING_BT709,
		.range = FRAME_RING_FULL_RANGE,
	};
	staged->is_masked = picture->is_masked[picture->newest];
	staged->is_straight = picture->is_straight || staged->is_masked;
	staged->count = picture->count;
	staged->is_pending = frame_ring_frame_pack(&staged->frame) == FRAME_RING_OK;
}

/** Learns from the first stagings of a size when it is best done. */
static void note_time(struct tap* tap, int64_t took_us) {
	if (tap->timed_count == TIMED_COUNT) return;
	if (tap->timed_count == 0 || took_us < tap->shortest_us) tap->shortest_us = took_us;
	tap->timed_count += 1;
	tap->stages_late = tap->timed_count == TIMED_COUNT && tap->shortest_us > WAIT_US;
}

static bool capture_at_once(struct tap* tap, const struct source_picture* picture) {
	struct staged* staged = &tap->staged[tap->next];
	if (!prepare_surface(tap, staged, picture->width, picture->height)) return false;
	describe(tap, staged, picture);
	const int64_t began_us = now_us();
	gs_stage_texture(staged->surface, source_picture_tapped(picture));
	note_time(tap, now_us() - began_us);
	tap->next = (tap->next + 1) % STAGED_COUNT;
	return publish(tap, &tap->staged[tap->next]);
}

/** What was captured last is staged now, if it still is the picture before this one. */
static bool capture_late(struct tap* tap, const struct source_picture* picture) {
	struct staged* staged = &tap->staged[0];
	bool is_opaque = false;
	if (staged->count + 1 == picture->count && staged->is_pending &&
		prepare_surface(tap, staged, staged->frame.width, staged->frame.height)) {
		gs_stage_texture(staged->surface, source_picture_previous_tapped(picture));
		is_opaque = publish(tap, staged);
	}
	describe(tap, staged, picture);
	return is_opaque;
}

bool tap_capture(struct tap* tap, const struct source_picture* picture) {
	return tap->stages_late ? capture_late(tap, picture) : capture_at_once(tap, picture);
}

uint64_t tap_count(const struct tap* tap) {
	return tap->published;
}

void tap_destroy(struct tap* tap) {
	if (!tap) return;
	pthread_mutex_lock(&tap->mutex);
	tap->is_ending = true;
	wake(tap);
	pthread_mutex_unlock(&tap->mutex);
	pthread_join(tap->thread, NULL);
	pthread_cond_destroy(&tap->wanted);
	pthread_mutex_destroy(&tap->mutex);

	obs_enter_graphics();
	for (size_t i = 0; i < STAGED_COUNT; ++i) gs_stagesurface_destroy(tap->staged[i].surface);
	obs_leave_graphics();
	bfree(tap->row);
	bfree(tap);
}
