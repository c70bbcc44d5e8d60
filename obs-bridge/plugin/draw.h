// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <graphics/graphics.h>
#include <stdbool.h>

#include "source-picture.h"

/** Loads the effect, in the graphics context; false where the plugin's data is missing. */
bool draw_load(void);
/** In the graphics context. */
void draw_unload(void);

// Each draws a sprite of this size at the origin, in the graphics context.

/** What was rendered of the source last, if anything. */
void draw_source(const struct source_picture* picture);
/** How much of the painting is shown where. */
struct draw_coverage {
	/** Of the picture's size, premultiplied; null: the painting is shown everywhere. */
	gs_texture_t* mask;
	bool is_by_alpha;
	bool is_inverted;
};
/** The source's colours, straight and byte for byte, with that for alpha. */
void draw_masked(const struct source_picture* picture, const struct draw_coverage* coverage);
/** A painting with the alpha of `mask`; opaque where that is null. */
void draw_painting(gs_texture_t* painting, gs_texture_t* mask, uint32_t width, uint32_t height);
void draw_slate(uint32_t width, uint32_t height);
