// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <graphics/graphics.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime-folder.h"
#include "source-picture.h"

/**
 * The way out: the source's picture to a frame ring (BGRA, straight alpha; with a mask, its coverage in the
 * place of alpha), one picture a tick, fetched a tick after it was drawn, so that the graphics thread never
 * waits for it. Where a GPU draws, it is staged at once, in two surfaces. A driver that draws on the CPU
 * (llvmpipe) would have the drawing done before it stages: with such a one, which shows by its time, it is
 * staged when it is fetched. The ring's memory is taken, and its readers are served, on a thread of the tap's
 * own.
 */
struct tap;

struct tap_place {
	/** Empty while there is no ring. */
	char path[SOCKET_PATH_BYTES];
	uint32_t width;
	uint32_t height;
};

/** `name` begins the names of its sockets. `on_place` is called on the tap's thread when there is a ring. */
struct tap* tap_create(const char* name, void (*on_place)(void* param), void* param);

/** Asks for a ring of this size, and comes back at once; 0 gives the ring back. Any thread. */
void tap_resize(struct tap* tap, uint32_t width, uint32_t height);

/** Where the ring is. Any thread. */
void tap_place(struct tap* tap, struct tap_place* place);

/** Whether anybody reads: a picture for nobody is not worth its cost. Graphics thread. */
bool tap_is_read(struct tap* tap);

/**
 * Stages the picture of this tick, and publishes the one before: true where that was, and its source lets
 * nothing through anywhere, as far as is known. Graphics thread, in the graphics context.
 */
bool tap_capture(struct tap* tap, const struct source_picture* picture);

/** Pictures published. Graphics thread. */
uint64_t tap_count(const struct tap* tap);

/** Not in the graphics context, and when no other thread has it. Null is fine. */
void tap_destroy(struct tap* tap);
