// SPDX-License-Identifier: GPL-2.0-or-later
#include "mask-properties.h"

#include <obs-module.h>
#include <string.h>
#include <util/dstr.h>

#include "stream.h"

#define SETTING_MASK "mask_source"
#define SETTING_MASK_BY "mask_by"
#define SETTING_MASK_INVERT "mask_invert"

#define BY_LUMINANCE "luminance"
#define BY_ALPHA "alpha"

void mask_defaults(obs_data_t* settings) {
	obs_data_set_default_string(settings, SETTING_MASK, "");
	obs_data_set_default_string(settings, SETTING_MASK_BY, BY_LUMINANCE);
	obs_data_set_default_bool(settings, SETTING_MASK_INVERT, false);
}

void mask_read_settings(obs_data_t* settings, struct mask_wish* wish) {
	copy_text(wish->name, sizeof wish->name, obs_data_get_string(settings, SETTING_MASK));
	wish->is_by_alpha = strcmp(obs_data_get_string(settings, SETTING_MASK_BY), BY_ALPHA) == 0;
	wish->is_inverted = obs_data_get_bool(settings, SETTING_MASK_INVERT);
}

void mask_keep_setting(obs_data_t* settings, const struct mask_wish* wish) {
	obs_data_set_string(settings, SETTING_MASK, wish->name);
}

struct offer {
	obs_property_t* list;
	obs_source_t* parent;
	const char* wished;
	bool is_listed;
};

static bool add_source(void* param, obs_source_t* source) {
	struct offer* offer = param;
	const char* name = obs_source_get_name(source);
	if (!name || !*name || mask_state_of(source, offer->parent) != MASK_USED) return true;
	obs_property_list_add_string(offer->list, name, name);
	offer->is_listed = offer->is_listed || strcmp(name, offer->wished) == 0;
	return true;
}

/** What says more about a mask is asked only of who has one. */
static bool show_mask(obs_properties_t* properties, obs_property_t* list, obs_data_t* settings) {
	const bool is_masked = *obs_data_get_string(settings, SETTING_MASK) != '\0';
	obs_property_set_visible(obs_properties_get(properties, SETTING_MASK_BY), is_masked);
	obs_property_set_visible(obs_properties_get(properties, SETTING_MASK_INVERT), is_masked);
	return true;
}

static void add_problem(obs_properties_t* properties, const struct mask_wish* wish, enum mask_state state) {
	static const char* const problems[] = {
		[MASK_MISSING] = "Mask.Missing",
		[MASK_WITHOUT_VIDEO] = "Mask.WithoutVideo",
		[MASK_RECURSIVE] = "Mask.Recursive",
		[MASK_EMPTY] = "Mask.Empty",
	};
	if (!*wish->name || state <= MASK_USED) return;
	struct dstr text = {0};
	dstr_printf(&text, obs_module_text(problems[state]), wish->name);
	obs_property_t* problem = obs_properties_add_text(properties, "mask_state", text.array, OBS_TEXT_INFO);
	obs_property_text_set_info_type(problem, OBS_TEXT_INFO_WARNING);
	dstr_free(&text);
}

void mask_add_properties(
	obs_properties_t* properties, const struct mask_wish* wish, enum mask_state state, obs_source_t* parent
) {
	obs_property_t* list = obs_properties_add_list(
		properties, SETTING_MASK, obs_module_text("Mask"), OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING
	);
	obs_property_set_long_description(list, obs_module_text("Mask.Help"));
	obs_property_set_modified_callback(list, show_mask);
	obs_property_list_add_string(list, obs_module_text("Mask.None"), "");
	struct offer offer = {.list = list, .parent = parent, .wished = wish->name};
	obs_enum_sources(add_source, &offer);
	obs_enum_scenes(add_source, &offer);
	// One that is not there is kept: it may come.
	if (!offer.is_listed && *wish->name) obs_property_list_add_string(list, wish->name, wish->name);
	add_problem(properties, wish, state);
	obs_property_t* by = obs_properties_add_list(
		properties, SETTING_MASK_BY, obs_module_text("MaskBy"), OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING
	);
	obs_property_set_long_description(by, obs_module_text("MaskBy.Help"));
	obs_property_list_add_string(by, obs_module_text("MaskBy.Luminance"), BY_LUMINANCE);
	obs_property_list_add_string(by, obs_module_text("MaskBy.Alpha"), BY_ALPHA);
	obs_properties_add_bool(properties, SETTING_MASK_INVERT, obs_module_text("MaskInvert"));
}
