// SPDX-License-Identifier: GPL-2.0-or-later
// Alla Prima for OBS: a filter that has its source painted by the sidecar, and a source that shows the
// painting.
#include <obs-frontend-api.h>
#include <obs-module.h>

#include "draw.h"
#include "filter.h"
#include "hotkeys.h"
#include "launch-dialog.h"
#include "launcher.h"
#include "link.h"
#include "log.h"
#include "messages.h"
#include "output-source.h"
#include "runtime-folder.h"
#include "scenes.h"
#include "stream.h"
#include "styles.h"
#include "transitions.h"
#include "vendor.h"

OBS_DECLARE_MODULE()
OBS_MODULE_USE_DEFAULT_LOCALE("allaprima", "en-US")
OBS_MODULE_AUTHOR("Alla Prima")

MODULE_EXPORT const char* obs_module_name(void) {
	return obs_module_text("AllaPrima");
}

MODULE_EXPORT const char* obs_module_description(void) {
	return obs_module_text("Description");
}

static void on_frontend_event(enum obs_frontend_event event, void* param) {
	switch (event) {
	case OBS_FRONTEND_EVENT_FINISHED_LOADING:
		hotkeys_restore();
		transitions_hook();
		transitions_tell_current();
		scenes_tell();
		break;
	case OBS_FRONTEND_EVENT_PROFILE_CHANGED:
		hotkeys_restore();
		break;
	case OBS_FRONTEND_EVENT_SCENE_COLLECTION_CHANGED:
		scenes_tell();
		// fall through
	case OBS_FRONTEND_EVENT_TRANSITION_LIST_CHANGED:
		transitions_hook();
		transitions_tell_current();
		break;
	case OBS_FRONTEND_EVENT_SCENE_LIST_CHANGED:
		scenes_tell();
		break;
	case OBS_FRONTEND_EVENT_TRANSITION_CHANGED:
	case OBS_FRONTEND_EVENT_TRANSITION_DURATION_CHANGED:
		transitions_tell_current();
		break;
	case OBS_FRONTEND_EVENT_SCENE_COLLECTION_CHANGING:
		transitions_unhook();
		break;
	case OBS_FRONTEND_EVENT_EXIT:
		// From here on obs-websocket may go at any time.
		streams_leave_dialogs();
		launcher_end();
		transitions_unhook();
		link_stop();
		vendor_unload();
		obs_frontend_remove_event_callback(on_frontend_event, NULL);
		break;
	default:
		break;
	}
}

bool obs_module_load(void) {
	obs_enter_graphics();
	const bool can_draw = draw_load();
	obs_leave_graphics();
	if (!can_draw) return false;
	obs_register_source(&filter_info);
	obs_register_source(&output_source_info);
	obs_register_source(&launch_dialog_info);
	hotkeys_load();
	styles_load();
	log_info("plugin " PLUGIN_VERSION ", protocol %d", PROTOCOL_VERSION);
	return true;
}

void obs_module_post_load(void) {
	vendor_load();
	obs_frontend_add_event_callback(on_frontend_event, NULL);
	runtime_sweep();
	link_start();
	launch_dialog_add_to_menu();
	launcher_start();
}

void obs_module_unload(void) {
	launcher_join();
	link_stop();
	vendor_unload();
	link_unload();
	hotkeys_unload();
	styles_unload();
	messages_unload();
	obs_enter_graphics();
	draw_unload();
	obs_leave_graphics();
}
