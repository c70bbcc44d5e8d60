// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <graphics/graphics.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * The way back: painted frames of the sidecar's ring to a texture. A thread of its own waits and copies; the
 * graphics thread takes the newest whole picture there is, and never waits. Whatever the other side does, the
 * last good picture stays.
 */
struct painted;

struct painted* painted_create(void);

/** Reads the ring that listens at `path` from now on, and again whenever it comes back; "" reads none. Any
 * thread. */
void painted_follow(struct painted* painted, const char* path);

struct painting {
	gs_texture_t* texture;
	int64_t captured_us;
	int64_t arrived_us;
};

/** What is known of the newest picture, without fetching it; false before there is one. Graphics thread. */
bool painted_peek(struct painted* painted, struct painting* painting);

/**
 * Uploads the newest picture unless that was done. The texture is the painted's own. `is_new` where it was
 * not given before. False before there is one. Graphics thread, in the graphics context.
 */
bool painted_take(struct painted* painted, struct painting* painting, bool* is_new);

/** Not in the graphics context, and when no other thread has it. Null is fine. */
void painted_destroy(struct painted* painted);
