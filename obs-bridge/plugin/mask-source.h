// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <graphics/graphics.h>
#include <obs.h>
#include <stdbool.h>
#include <stdint.h>

#include "source-picture.h"

/** Where the painting is shown, as another source of OBS says: what is tapped has its coverage for alpha. */

#define MASK_NAME_BYTES 512

/** What the streamer wants of it. */
struct mask_wish {
	/** Of a source or scene; empty: no mask. */
	char name[MASK_NAME_BYTES];
	/** Its alpha counts alone, else its brightness as well. */
	bool is_by_alpha;
	/** What it leaves out is painted. */
	bool is_inverted;
};

enum mask_state {
	MASK_NONE,
	MASK_USED,
	// While it is none of what follows, everything is painted: what was to be covered does not come to light.
	MASK_MISSING,
	MASK_WITHOUT_VIDEO,
	MASK_RECURSIVE,
	/** It has no size, such as a clip that has ended. */
	MASK_EMPTY,
};

/** used, missing ... */
const char* mask_state_name(enum mask_state state);

/** What it could be used as by a filter on `parent`, which may be null. Any thread. */
enum mask_state mask_state_of(obs_source_t* source, obs_source_t* parent);

// The rest on the graphics thread.

struct mask_source {
	/** The name that was wished, or that the source got since. */
	char name[MASK_NAME_BYTES];
	/** Counted as showing for as long as it is here. */
	obs_weak_source_t* source;
	enum mask_state state, told;
	int64_t looked_us;
	gs_texrender_t* render;
};

/** Follows the wish, the sources that come and go, and their names: true where that of the mask changed. */
bool mask_source_tick(struct mask_source* mask, const char* wished, obs_source_t* parent, int64_t at_us);

/** Makes what is tapped of the newest picture, where a mask is wished. In the graphics context. */
void mask_source_apply(
	struct mask_source* mask, const struct mask_wish* wish, struct source_picture* picture
);

/** Not in the graphics context, when no other thread has it. */
void mask_source_free(struct mask_source* mask);
