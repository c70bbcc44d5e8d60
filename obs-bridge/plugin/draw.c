// SPDX-License-Identifier: GPL-2.0-or-later
#include "draw.h"

#include <graphics/vec2.h>
#include <obs-module.h>

#include "log.h"

static gs_effect_t* effect;

bool draw_load(void) {
	char* path = obs_module_file("allaprima.effect");
	if (!path) {
		log_warning("data/allaprima.effect is missing: install the plugin's data folder beside it");
		return false;
	}
	char* error = NULL;
	effect = gs_effect_create_from_file(path, &error);
	if (!effect) log_warning("%s: %s", path, error ? error : "it cannot be compiled");
	bfree(error);
	bfree(path);
	return effect != NULL;
}

void draw_unload(void) {
	gs_effect_destroy(effect);
	effect = NULL;
}

/** Light of 1.0 in what is drawn into. */
static float white_multiplier(void) {
	return gs_get_color_space() == GS_CS_709_SCRGB ? obs_get_video_sdr_white_level() / 80.0f : 1.0f;
}

static void
draw(const char* technique, gs_texture_t* image, gs_texture_t* mask, uint32_t width, uint32_t height) {
	const bool was_encoding = gs_framebuffer_srgb_enabled();
	gs_enable_framebuffer_srgb(true);
	gs_blend_state_push();
	gs_blend_function(GS_BLEND_ONE, GS_BLEND_INVSRCALPHA);
	if (image) gs_effect_set_texture_srgb(gs_effect_get_param_by_name(effect, "image"), image);
	if (mask)
		gs_effect_set_texture(gs_effect_get_param_by_name(effect, "mask"), mask); // alpha is not encoded
	struct vec2 size;
	vec2_set(&size, (float)width, (float)height);
	gs_effect_set_vec2(gs_effect_get_param_by_name(effect, "size"), &size);
	gs_effect_set_float(gs_effect_get_param_by_name(effect, "multiplier"), white_multiplier());
	while (gs_effect_loop(effect, technique)) gs_draw_sprite(NULL, 0, width, height);
	gs_blend_state_pop();
	gs_enable_framebuffer_srgb(was_encoding);
}

void draw_source(const struct source_picture* picture) {
	gs_texture_t* texture = source_picture_texture(picture);
	const char* technique = picture->is_straight ? "Straight" : "Premultiplied";
	if (texture) draw(technique, texture, NULL, picture->width, picture->height);
}

/** Values as they are, with no way to light and back, and no blending: together 2 ms for 640x360 in llvmpipe.
 */
static void draw_encoded(gs_texture_t* image, uint32_t width, uint32_t height) {
	const bool was_encoding = gs_framebuffer_srgb_enabled();
	gs_enable_framebuffer_srgb(false);
	gs_blend_state_push();
	gs_enable_blending(false);
	gs_effect_set_texture(gs_effect_get_param_by_name(effect, "image"), image);
	gs_effect_set_float(gs_effect_get_param_by_name(effect, "multiplier"), 1.0f);
	while (gs_effect_loop(effect, "Opaque")) gs_draw_sprite(NULL, 0, width, height);
	gs_blend_state_pop();
	gs_enable_framebuffer_srgb(was_encoding);
}

void draw_masked(const struct source_picture* picture, const struct draw_coverage* coverage) {
	gs_texture_t* texture = source_picture_texture(picture);
	if (!texture) return;
	const bool was_encoding = gs_framebuffer_srgb_enabled();
	gs_enable_framebuffer_srgb(false);
	gs_blend_state_push();
	gs_enable_blending(false);
	struct vec2 shares;
	vec2_set(&shares, coverage->is_inverted ? 1.0f : 0.0f, coverage->is_inverted ? 0.0f : 1.0f);
	if (!coverage->mask) vec2_set(&shares, 1.0f, 1.0f);
	gs_effect_set_texture(gs_effect_get_param_by_name(effect, "image"), texture);
	gs_effect_set_texture(
		gs_effect_get_param_by_name(effect, "mask"), coverage->mask ? coverage->mask : texture
	);
	gs_effect_set_bool(gs_effect_get_param_by_name(effect, "is_straight"), picture->is_straight);
	gs_effect_set_bool(gs_effect_get_param_by_name(effect, "is_by_alpha"), coverage->is_by_alpha);
	gs_effect_set_vec2(gs_effect_get_param_by_name(effect, "shares"), &shares);
	while (gs_effect_loop(effect, "Masked")) gs_draw_sprite(NULL, 0, picture->width, picture->height);
	gs_blend_state_pop();
	gs_enable_framebuffer_srgb(was_encoding);
}

void draw_painting(gs_texture_t* painting, gs_texture_t* mask, uint32_t width, uint32_t height) {
	if (mask)
		draw("Painted", painting, mask, width, height);
	else if (gs_get_color_space() == GS_CS_SRGB)
		draw_encoded(painting, width, height);
	else
		draw("Opaque", painting, NULL, width, height);
}

void draw_slate(uint32_t width, uint32_t height) {
	draw("Slate", NULL, NULL, width, height);
}
