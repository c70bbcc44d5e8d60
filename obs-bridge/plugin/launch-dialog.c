// SPDX-License-Identifier: GPL-2.0-or-later
#include "launch-dialog.h"

#include <obs-frontend-api.h>
#include <obs-module.h>
#include <util/bmem.h>
#include <util/dstr.h>

#include "launcher.h"
#include "log.h"

#define SETTING_ENABLED "enabled"

/** Whether it is on, and whether there is something to start. */
static bool read_choice(bool* has_command) {
	struct launch_settings settings;
	char problem[LAUNCH_PROBLEM_BYTES];
	launch_settings_read(&settings, problem);
	const bool is_enabled = settings.is_enabled;
	*has_command = settings.command != NULL;
	launch_settings_free(&settings);
	return is_enabled;
}

static const char* get_name(void* type_data) {
	return obs_module_text("AllaPrima");
}

static void* create(obs_data_t* settings, obs_source_t* source) {
	bool has_command;
	obs_data_set_bool(settings, SETTING_ENABLED, read_choice(&has_command));
	return bzalloc(1);
}

static void destroy(void* data) {
	bfree(data);
}

static void update(void* data, obs_data_t* settings) {
	bool has_command;
	const bool is_enabled = obs_data_get_bool(settings, SETTING_ENABLED);
	if (is_enabled == read_choice(&has_command)) return;
	if (!launch_settings_enable(is_enabled)) log_warning("autostart.json cannot be written");
	launcher_apply();
}

static void add_state(obs_properties_t* properties) {
	struct launch_view view;
	struct dstr text = {0};
	launcher_view(&view);
	switch (view.state) {
	case LAUNCH_RUNNING:
		dstr_printf(&text, obs_module_text("Launch.Running"), (long)view.pid);
		break;
	case LAUNCH_FAILED:
		dstr_printf(&text, obs_module_text("Launch.Failed"), view.problem);
		break;
	case LAUNCH_WAITING:
		dstr_copy(&text, obs_module_text(*view.problem ? "Launch.Again" : "Launch.Served"));
		break;
	case LAUNCH_OFF:
		dstr_copy(&text, obs_module_text("Launch.Off"));
		break;
	}
	obs_property_t* state = obs_properties_add_text(properties, "state", text.array, OBS_TEXT_INFO);
	const bool has_failed = view.state == LAUNCH_FAILED;
	obs_property_text_set_info_type(state, has_failed ? OBS_TEXT_INFO_WARNING : OBS_TEXT_INFO_NORMAL);
	dstr_free(&text);
}

static obs_properties_t* get_properties(void* data) {
	obs_properties_t* properties = obs_properties_create();
	bool has_command;
	read_choice(&has_command);
	add_state(properties);
	obs_property_t* enabled =
		obs_properties_add_bool(properties, SETTING_ENABLED, obs_module_text("Launch.WithObs"));
	obs_property_set_enabled(enabled, has_command);
	obs_property_set_long_description(enabled, obs_module_text("Launch.WithObs.Help"));
	if (!has_command)
		obs_properties_add_text(properties, "install", obs_module_text("Launch.Install"), OBS_TEXT_INFO);
	return properties;
}

static void open_dialog(void* param) {
	obs_source_t* source =
		obs_source_create_private(launch_dialog_info.id, obs_module_text("Launch.Title"), NULL);
	if (source) obs_frontend_open_source_properties(source);
	obs_source_release(source);
}

void launch_dialog_add_to_menu(void) {
	obs_frontend_add_tools_menu_item(obs_module_text("AllaPrima"), open_dialog, NULL);
}

struct obs_source_info launch_dialog_info = {
	.id = "allaprima_launch",
	.type = OBS_SOURCE_TYPE_INPUT,
	.output_flags = OBS_SOURCE_CAP_DISABLED,
	.get_name = get_name,
	.create = create,
	.destroy = destroy,
	.update = update,
	.get_properties = get_properties,
};
