// SPDX-License-Identifier: GPL-2.0-or-later
#include "mask-source.h"

#include <string.h>

#include "draw.h"
#include "log.h"

/** How often it is looked whether the source has come, gone, or has another name. */
#define LOOK_EVERY_US 250000

const char* mask_state_name(enum mask_state state) {
	static const char* const names[] = {"none", "used", "missing", "without video", "recursive", "empty"};
	return names[state];
}

struct search {
	const obs_source_t* wanted;
	bool is_found;
};

static void compare(obs_source_t* parent, obs_source_t* child, void* param) {
	struct search* search = param;
	search->is_found = search->is_found || child == search->wanted;
}

enum mask_state mask_state_of(obs_source_t* source, obs_source_t* parent) {
	if ((obs_source_get_output_flags(source) & OBS_SOURCE_VIDEO) == 0) return MASK_WITHOUT_VIDEO;
	struct search search = {.wanted = parent, .is_found = source == parent};
	if (parent && !search.is_found) obs_source_enum_full_tree(source, compare, &search);
	return search.is_found ? MASK_RECURSIVE : MASK_USED;
}

static void let_go(struct mask_source* mask) {
	if (!mask->source) return;
	obs_source_t* source = obs_weak_source_get_source(mask->source);
	if (source) obs_source_dec_showing(source);
	obs_source_release(source);
	obs_weak_source_release(mask->source);
	mask->source = NULL;
}

/** Takes the reference, and gives it back where the source is not on its way out. */
static obs_source_t* unless_removed(obs_source_t* source) {
	if (!source || !obs_source_removed(source)) return source;
	obs_source_release(source);
	return NULL;
}

/** The source that is held, with a reference; null where that has gone. */
static obs_source_t* held_source(const struct mask_source* mask) {
	return unless_removed(mask->source ? obs_weak_source_get_source(mask->source) : NULL);
}

/** True where the source that is held has another name than before. */
static bool follow_name(struct mask_source* mask, const obs_source_t* source) {
	const char* name = obs_source_get_name(source);
	if (!name || strlen(name) >= sizeof mask->name || strcmp(name, mask->name) == 0) return false;
	snprintf(mask->name, sizeof mask->name, "%s", name);
	return true;
}

static void find(struct mask_source* mask, obs_source_t* parent) {
	let_go(mask);
	obs_source_t* source = unless_removed(obs_get_source_by_name(mask->name));
	mask->state = source ? mask_state_of(source, parent) : MASK_MISSING;
	if (mask->state == MASK_USED) {
		mask->source = obs_source_get_weak_source(source);
		obs_source_inc_showing(source);
	}
	obs_source_release(source);
}

static void tell(struct mask_source* mask) {
	static const char* const reasons[] = {
		[MASK_MISSING] = "there is no such source",
		[MASK_WITHOUT_VIDEO] = "it has no picture",
		[MASK_RECURSIVE] = "it is or shows what is painted",
		[MASK_EMPTY] = "it has no size now",
	};
	if (mask->state <= MASK_USED || mask->state == mask->told) return;
	mask->told = mask->state;
	log_warning("mask source %.200s: %s; everything is painted", mask->name, reasons[mask->state]);
}

bool mask_source_tick(struct mask_source* mask, const char* wished, obs_source_t* parent, int64_t at_us) {
	const bool is_other = strcmp(mask->name, wished) != 0;
	if (!is_other && (!*wished || at_us - mask->looked_us < LOOK_EVERY_US)) return false;
	mask->looked_us = at_us;
	if (is_other) {
		let_go(mask);
		snprintf(mask->name, sizeof mask->name, "%s", wished);
		mask->state = mask->told = MASK_NONE;
		if (!*wished) return false;
	}
	bool is_renamed = false;
	obs_source_t* source = held_source(mask);
	if (source)
		is_renamed = follow_name(mask, source);
	else
		find(mask, parent);
	obs_source_release(source);
	tell(mask);
	return is_renamed;
}

/** As libobs renders for filters: the outcome is premultiplied, however the source draws. */
static void draw_stretched(obs_source_t* source, uint32_t width, uint32_t height) {
	const bool was_linear = gs_set_linear_srgb(true);
	struct vec4 clear;
	vec4_zero(&clear);
	gs_clear(GS_CLEAR_COLOR, &clear, 0.0f, 0);
	gs_ortho(0.0f, (float)width, 0.0f, (float)height, -100.0f, 100.0f);
	gs_blend_state_push();
	gs_blend_function_separate(GS_BLEND_SRCALPHA, GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_BLEND_INVSRCALPHA);
	obs_source_video_render(source);
	gs_blend_state_pop();
	gs_set_linear_srgb(was_linear);
}

/** The mask at the size of the picture, or null where there is none to be had. */
static gs_texture_t* render_mask(struct mask_source* mask, const struct source_picture* picture) {
	obs_source_t* source = held_source(mask);
	if (!source) return NULL;
	const uint32_t width = obs_source_get_width(source), height = obs_source_get_height(source);
	mask->state = width > 0 && height > 0 ? MASK_USED : MASK_EMPTY;
	gs_texture_t* texture = NULL;
	if (mask->state == MASK_USED) {
		if (!mask->render) mask->render = gs_texrender_create(GS_BGRA, GS_ZS_NONE);
		gs_texrender_reset(mask->render);
		if (gs_texrender_begin_with_color_space(mask->render, picture->width, picture->height, GS_CS_SRGB)) {
			draw_stretched(source, width, height);
			gs_texrender_end(mask->render);
			texture = gs_texrender_get_texture(mask->render);
		}
	}
	obs_source_release(source);
	return texture;
}

void mask_source_apply(
	struct mask_source* mask, const struct mask_wish* wish, struct source_picture* picture
) {
	if (!*wish->name) return;
	const struct draw_coverage coverage = {
		.mask = render_mask(mask, picture),
		.is_by_alpha = wish->is_by_alpha,
		.is_inverted = wish->is_inverted,
	};
	const size_t newest = picture->newest;
	if (!picture->masked[newest]) picture->masked[newest] = gs_texrender_create(GS_BGRA, GS_ZS_NONE);
	gs_texrender_t* render = picture->masked[newest];
	gs_texrender_reset(render);
	if (!gs_texrender_begin_with_color_space(render, picture->width, picture->height, GS_CS_SRGB)) return;
	gs_ortho(0.0f, (float)picture->width, 0.0f, (float)picture->height, -100.0f, 100.0f);
	draw_masked(picture, &coverage);
	gs_texrender_end(render);
	picture->is_masked[newest] = true;
}

void mask_source_free(struct mask_source* mask) {
	let_go(mask);
	obs_enter_graphics();
	gs_texrender_destroy(mask->render);
	obs_leave_graphics();
	mask->render = NULL;
}
