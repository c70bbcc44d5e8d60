// SPDX-License-Identifier: GPL-2.0-or-later
#include "source-picture.h"

#include "clock.h"

void source_picture_tick(struct source_picture* picture, uint32_t width, uint32_t height) {
	picture->width = width;
	picture->height = height;
	picture->is_current = false;
}

/** One picture of 8 bits with nothing to blend it with, as cameras and clips are. */
static bool is_plain_video(struct filtered filtered) {
	obs_source_t* target = filtered.target;
	const uint32_t flags = obs_source_get_output_flags(target);
	const bool is_video = (flags & OBS_SOURCE_ASYNC) != 0 && (flags & OBS_SOURCE_CUSTOM_DRAW) == 0;
	if (!is_video || target != filtered.parent) return false;
	const enum gs_color_space spaces[] = {GS_CS_SRGB, GS_CS_SRGB_16F, GS_CS_709_EXTENDED};
	return obs_source_get_color_space(target, 3, spaces) == GS_CS_SRGB;
}

void filtered_draw(struct filtered filtered) {
	if (!filtered.target) return;
	const uint32_t flags = obs_source_get_output_flags(filtered.target);
	const bool draws_itself = (flags & (OBS_SOURCE_CUSTOM_DRAW | OBS_SOURCE_ASYNC)) != 0;
	if (filtered.target == filtered.parent && !draws_itself)
		obs_source_default_render(filtered.target);
	else
		obs_source_video_render(filtered.target);
}

bool source_picture_render(struct source_picture* picture, struct filtered filtered) {
	if (picture->is_current) return true;
	if (picture->is_rendering || picture->width == 0 || picture->height == 0) return false;
	if (!filtered.target) return false;
	const size_t next = 1 - picture->newest;
	if (!picture->renders[next]) picture->renders[next] = gs_texrender_create(GS_BGRA, GS_ZS_NONE);
	gs_texrender_t* render = picture->renders[next];

	gs_texrender_reset(render);
	const int64_t captured_us = now_us();
	if (!gs_texrender_begin_with_color_space(render, picture->width, picture->height, GS_CS_SRGB))
		return false;
	picture->is_rendering = true;
	picture->is_straight = is_plain_video(filtered);
	const bool was_linear = gs_set_linear_srgb(!picture->is_straight);
	struct vec4 clear;
	vec4_zero(&clear);
	gs_clear(GS_CLEAR_COLOR, &clear, 0.0f, 0);
	gs_ortho(0.0f, (float)picture->width, 0.0f, (float)picture->height, -100.0f, 100.0f);
	gs_blend_state_push();
	if (picture->is_straight)
		gs_enable_blending(false);
	else // as libobs does for filters: the outcome is premultiplied, however the source draws
		gs_blend_function_separate(
			GS_BLEND_SRCALPHA, GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_BLEND_INVSRCALPHA
		);
	filtered_draw(filtered);
	gs_blend_state_pop();
	gs_set_linear_srgb(was_linear);
	picture->is_rendering = false;
	gs_texrender_end(render);
	picture->newest = next;
	picture->is_masked[next] = false;
	picture->count += 1;
	picture->captured_us = captured_us;
	picture->is_current = true;
	return true;
}

gs_texture_t* source_picture_texture(const struct source_picture* picture) {
	return picture->is_rendering ? NULL : gs_texrender_get_texture(picture->renders[picture->newest]);
}

static gs_texture_t* tapped(const struct source_picture* picture, size_t which) {
	if (picture->is_rendering) return NULL;
	return gs_texrender_get_texture(
		picture->is_masked[which] ? picture->masked[which] : picture->renders[which]
	);
}

gs_texture_t* source_picture_tapped(const struct source_picture* picture) {
	return tapped(picture, picture->newest);
}

gs_texture_t* source_picture_previous_tapped(const struct source_picture* picture) {
	return tapped(picture, 1 - picture->newest);
}

void source_picture_free(struct source_picture* picture) {
	for (size_t i = 0; i < 2; ++i) {
		gs_texrender_destroy(picture->renders[i]);
		gs_texrender_destroy(picture->masked[i]);
		picture->renders[i] = picture->masked[i] = NULL;
	}
}
