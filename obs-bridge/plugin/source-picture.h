// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <graphics/graphics.h>
#include <obs.h>

/**
 * What the filter is put on, rendered once a tick into a texture: sRGB, BGRA of 8 bits. Whoever shows or taps
 * it takes it from here, however often the source is in the picture. All of it on the graphics thread.
 */
struct source_picture {
	/** The newest picture and the one before, which `newest` names; `count` of them were rendered. */
	gs_texrender_t* renders[2];
	/** The same with straight alpha that is the coverage of a mask, where there was one: for the tap alone.
	 */
	gs_texrender_t* masked[2];
	bool is_masked[2];
	size_t newest;
	uint64_t count;
	uint32_t width;
	uint32_t height;
	/** Whether the newest is of this tick. */
	bool is_current;
	/**
	 * Straight alpha: a video's pixels as they are. Else premultiplied. The way to light, blending and the
	 * way back cost llvmpipe 2 ms for 640x360, and a video has nothing to be blended with.
	 */
	bool is_straight;
	/** Whether the last picture that was tapped lets nothing through: what was painted needs no mask. */
	bool is_opaque;
	/** Between its begin and its end: whoever is in it must not sample it. */
	bool is_rendering;
	/** When it was rendered, on the monotonic clock. */
	int64_t captured_us;
};

/**
 * What a filter is put on, which may be another filter, and the source at the end of that; null where the
 * filter is on its way out. Held by whoever draws: libobs takes both away from a filter while that renders.
 */
struct filtered {
	obs_source_t* target;
	obs_source_t* parent;
};

/** Draws what would be seen without the filter. */
void filtered_draw(struct filtered filtered);

/** A new tick: what there is, is of the last one. */
void source_picture_tick(struct source_picture* picture, uint32_t width, uint32_t height);

/** Renders the target unless that was done in this tick; false where there is nothing to render. */
bool source_picture_render(struct source_picture* picture, struct filtered filtered);

/** The picture of this tick or of an earlier one, or null. */
gs_texture_t* source_picture_texture(const struct source_picture* picture);

/** What is tapped of the two pictures, or null: with a mask where that was wished. */
gs_texture_t* source_picture_tapped(const struct source_picture* picture);
gs_texture_t* source_picture_previous_tapped(const struct source_picture* picture);

/** In the graphics context. */
void source_picture_free(struct source_picture* picture);
