// SPDX-License-Identifier: GPL-2.0-or-later
#include "filter-properties.h"

#include <obs-module.h>
#include <string.h>
#include <util/dstr.h>

#include "launcher.h"
#include "link.h"
#include "mask-properties.h"
#include "styles.h"

#define SETTING_PROMPT "prompt"
#define SETTING_STRENGTH "strength"
#define SETTING_MODE "mode"
#define SETTING_FAILURE "failure"
#define SETTING_STALE_AFTER_MS "stale_after_ms"
#define SETTING_HOLD_S "hold_s"
#define SETTING_AFTER_HOLD "after_hold"
#define SETTING_KEEP_PAINTING "keep_painting"

#define STALE_AFTER_MS 1000
#define STALE_AFTER_MS_MIN 100
#define STALE_AFTER_MS_MAX 10000

#define HOLD_S 10
#define HOLD_S_MAX 3600

void filter_defaults(obs_data_t* settings) {
	obs_data_set_default_string(settings, SETTING_STYLE, "oil-painting");
	obs_data_set_default_string(settings, SETTING_PROMPT, "");
	obs_data_set_default_double(settings, SETTING_STRENGTH, 1.0);
	obs_data_set_default_string(settings, SETTING_MODE, stream_mode_name(MODE_REPLACE));
	obs_data_set_default_string(settings, SETTING_FAILURE, failure_policy_name(FAILURE_PASSTHROUGH));
	obs_data_set_default_int(settings, SETTING_STALE_AFTER_MS, STALE_AFTER_MS);
	obs_data_set_default_int(settings, SETTING_HOLD_S, HOLD_S);
	obs_data_set_default_string(settings, SETTING_AFTER_HOLD, failure_policy_name(FAILURE_SLATE));
	obs_data_set_default_bool(settings, SETTING_KEEP_PAINTING, false);
	mask_defaults(settings);
}

void filter_read_settings(obs_data_t* settings, struct stream_wishes* wishes) {
	memset(wishes, 0, sizeof *wishes);
	const bool is_tap = strcmp(obs_data_get_string(settings, SETTING_MODE), stream_mode_name(MODE_TAP)) == 0;
	wishes->mode = is_tap ? MODE_TAP : MODE_REPLACE;
	wishes->failure = failure_policy_of(obs_data_get_string(settings, SETTING_FAILURE));
	long long stale_after_ms = obs_data_get_int(settings, SETTING_STALE_AFTER_MS);
	if (stale_after_ms < STALE_AFTER_MS_MIN) stale_after_ms = STALE_AFTER_MS_MIN;
	if (stale_after_ms > STALE_AFTER_MS_MAX) stale_after_ms = STALE_AFTER_MS_MAX;
	wishes->stale_after_us = stale_after_ms * 1000;
	long long hold_s = obs_data_get_int(settings, SETTING_HOLD_S);
	if (hold_s < 0) hold_s = 0;
	if (hold_s > HOLD_S_MAX) hold_s = HOLD_S_MAX;
	wishes->hold_s = (int)hold_s;
	const char* after_hold = obs_data_get_string(settings, SETTING_AFTER_HOLD);
	const bool is_passed_then = strcmp(after_hold, failure_policy_name(FAILURE_PASSTHROUGH)) == 0;
	wishes->after_hold = is_passed_then ? FAILURE_PASSTHROUGH : FAILURE_SLATE;
	wishes->keeps_painting = obs_data_get_bool(settings, SETTING_KEEP_PAINTING);
	mask_read_settings(settings, &wishes->mask);
	const double strength = obs_data_get_double(settings, SETTING_STRENGTH);
	wishes->strength = strength >= 0.0 && strength <= 1.0 ? strength : strength > 1.0 ? 1.0 : 0.0;
	copy_text(wishes->style, sizeof wishes->style, obs_data_get_string(settings, SETTING_STYLE));
	copy_text(wishes->prompt, sizeof wishes->prompt, obs_data_get_string(settings, SETTING_PROMPT));
}

/** What is seen while there is no painting. */
static const char* instead_text(enum failure_policy failure) {
	switch (failure) {
	case FAILURE_HOLD:
		return obs_module_text("State.Holding");
	case FAILURE_SLATE:
		return obs_module_text("State.Slate");
	case FAILURE_PASSTHROUGH:
		break;
	}
	return obs_module_text("State.PassingThrough");
}

static void describe_engine(struct stream* stream, struct dstr* text, const char* instead) {
	struct stream_report report;
	struct stream_view view;
	stream_get_report(stream, &report);
	stream_get_view(stream, &view);
	if (view.width == 0)
		dstr_copy(text, obs_module_text("State.NoPicture"));
	else if (strcmp(report.engine, "painting") == 0)
		dstr_printf(text, obs_module_text("State.Painting"), report.fps, report.latency_ms);
	else if (strcmp(report.engine, "stale") == 0)
		dstr_printf(text, obs_module_text("State.Stale"), instead);
	else if (strcmp(report.engine, "restarting") == 0)
		dstr_printf(text, obs_module_text("State.Restarting"), instead);
	else
		dstr_printf(text, obs_module_text("State.Starting"), instead);
}

static void describe_absence(struct dstr* text, const char* instead) {
	struct launch_view launch;
	launcher_view(&launch);
	if (launch.state == LAUNCH_FAILED)
		dstr_printf(text, obs_module_text("State.NotStarted"), launch.problem, instead);
	else if (launch.state == LAUNCH_RUNNING || *launch.problem)
		dstr_printf(text, obs_module_text("State.Launched"), instead);
	else
		dstr_printf(text, obs_module_text("State.Absent"), instead);
}

static enum obs_text_info_type describe_state(struct stream* stream, struct dstr* text) {
	struct stream_wishes wishes;
	stream_get_wishes(stream, &wishes);
	const char* instead = instead_text(wishes.failure);
	if (panic_is_on()) {
		dstr_copy(text, obs_module_text("State.Panic"));
		return OBS_TEXT_INFO_WARNING;
	}
	switch (link_state()) {
	case LINK_ABSENT:
		describe_absence(text, instead);
		return OBS_TEXT_INFO_WARNING;
	case LINK_OTHER_PROTOCOL:
		dstr_printf(text, obs_module_text("State.OtherProtocol"), instead);
		return OBS_TEXT_INFO_WARNING;
	case LINK_UP:
		describe_engine(stream, text, instead);
		break;
	}
	return OBS_TEXT_INFO_NORMAL;
}

static void add_state(obs_properties_t* properties, struct stream* stream) {
	struct dstr text = {0};
	const enum obs_text_info_type type = describe_state(stream, &text);
	obs_property_t* state = obs_properties_add_text(properties, "state", text.array, OBS_TEXT_INFO);
	obs_property_text_set_info_type(state, type);
	dstr_free(&text);
}

static void add_styles(obs_properties_t* properties, struct stream* stream) {
	struct stream_wishes wishes;
	stream_get_wishes(stream, &wishes);
	obs_property_t* list = obs_properties_add_list(
		properties, SETTING_STYLE, obs_module_text("Style"), OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING
	);
	obs_data_array_t* styles = styles_list();
	bool is_listed = false;
	for (size_t i = 0; i < obs_data_array_count(styles); ++i) {
		obs_data_t* style = obs_data_array_item(styles, i);
		const char* name = obs_data_get_string(style, "name");
		obs_property_list_add_string(list, obs_data_get_string(style, "title"), name);
		is_listed = is_listed || strcmp(name, wishes.style) == 0;
		obs_data_release(style);
	}
	obs_data_array_release(styles);
	// A style that this sidecar does not have is kept: the next one may.
	if (!is_listed && *wishes.style) obs_property_list_add_string(list, wishes.style, wishes.style);
}

static void add_mask(obs_properties_t* properties, struct stream* stream, obs_source_t* parent) {
	struct stream_wishes wishes;
	struct stream_view view;
	stream_get_wishes(stream, &wishes);
	stream_get_view(stream, &view);
	mask_add_properties(properties, &wishes.mask, view.mask, parent);
}

static obs_property_t* add_choice(
	obs_properties_t* properties,
	const char* setting,
	const char* label,
	const char* const values[],
	const char* const texts[],
	size_t count
) {
	obs_property_t* list = obs_properties_add_list(
		properties, setting, obs_module_text(label), OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING
	);
	for (size_t i = 0; i < count; ++i)
		obs_property_list_add_string(list, obs_module_text(texts[i]), values[i]);
	return list;
}

/** How long, and what then, is asked only of who holds. */
static bool show_hold(obs_properties_t* properties, obs_property_t* failure, obs_data_t* settings) {
	const bool is_held = failure_policy_of(obs_data_get_string(settings, SETTING_FAILURE)) == FAILURE_HOLD;
	obs_property_set_visible(obs_properties_get(properties, SETTING_HOLD_S), is_held);
	obs_property_set_visible(obs_properties_get(properties, SETTING_AFTER_HOLD), is_held);
	return true;
}

static void add_failure(obs_properties_t* properties) {
	const char* const failures[] = {
		failure_policy_name(FAILURE_PASSTHROUGH),
		failure_policy_name(FAILURE_HOLD),
		failure_policy_name(FAILURE_SLATE),
	};
	const char* const failure_texts[] = {"Failure.Passthrough", "Failure.Hold", "Failure.Slate"};
	obs_property_t* failure = add_choice(properties, SETTING_FAILURE, "Failure", failures, failure_texts, 3);
	obs_property_set_modified_callback(failure, show_hold);
	obs_property_t* hold =
		obs_properties_add_int(properties, SETTING_HOLD_S, obs_module_text("HoldFor"), 0, HOLD_S_MAX, 1);
	obs_property_int_set_suffix(hold, " s");
	obs_property_set_long_description(hold, obs_module_text("HoldFor.Help"));
	const char* const afters[] = {
		failure_policy_name(FAILURE_SLATE),
		failure_policy_name(FAILURE_PASSTHROUGH),
	};
	const char* const after_texts[] = {"Failure.Slate", "Failure.Passthrough"};
	add_choice(properties, SETTING_AFTER_HOLD, "AfterHold", afters, after_texts, 2);
}

obs_properties_t* filter_properties(struct stream* stream, obs_source_t* parent) {
	obs_properties_t* properties = obs_properties_create();
	add_state(properties, stream);
	add_styles(properties, stream);
	obs_property_t* prompt =
		obs_properties_add_text(properties, SETTING_PROMPT, obs_module_text("Prompt"), OBS_TEXT_DEFAULT);
	obs_property_set_long_description(prompt, obs_module_text("Prompt.Help"));
	obs_property_t* strength = obs_properties_add_float_slider(
		properties, SETTING_STRENGTH, obs_module_text("Strength"), 0.0, 1.0, 0.05
	);
	obs_property_set_long_description(strength, obs_module_text("Strength.Help"));

	add_mask(properties, stream, parent);
	const char* const modes[] = {stream_mode_name(MODE_REPLACE), stream_mode_name(MODE_TAP)};
	const char* const mode_texts[] = {"Mode.Replace", "Mode.Tap"};
	add_choice(properties, SETTING_MODE, "Mode", modes, mode_texts, 2);
	add_failure(properties);
	obs_property_t* stale = obs_properties_add_int(
		properties,
		SETTING_STALE_AFTER_MS,
		obs_module_text("StaleAfter"),
		STALE_AFTER_MS_MIN,
		STALE_AFTER_MS_MAX,
		100
	);
	obs_property_int_set_suffix(stale, " ms");
	obs_property_set_long_description(stale, obs_module_text("StaleAfter.Help"));
	obs_property_t* keep =
		obs_properties_add_bool(properties, SETTING_KEEP_PAINTING, obs_module_text("KeepPainting"));
	obs_property_set_long_description(keep, obs_module_text("KeepPainting.Help"));
	return properties;
}
