// SPDX-License-Identifier: GPL-2.0-or-later
#include "hotkeys.h"

#include <obs-frontend-api.h>
#include <obs-module.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <util/bmem.h>
#include <util/config-file.h>
#include <util/dstr.h>

#include "control.h"
#include "stream.h"
#include "vendor.h"

#define HOTKEYS_MAX 300

struct hotkey {
	/** "allaprima.next": where the profile keeps its keys. */
	char name[24 + STYLE_NAME_BYTES];
	obs_hotkey_id id;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct hotkey* hotkeys[HOTKEYS_MAX];
static size_t hotkey_count;
static bool has_profile;

#define STYLE_PREFIX "allaprima.style."

static void press(void* data, obs_hotkey_id id, obs_hotkey_t* key, bool is_pressed) {
	const struct hotkey* hotkey = data;
	if (!is_pressed) return;
	const char* action = hotkey->name + strlen("allaprima.");
	if (strncmp(hotkey->name, STYLE_PREFIX, strlen(STYLE_PREFIX)) == 0)
		control_style(NULL, hotkey->name + strlen(STYLE_PREFIX));
	else if (strcmp(action, "panic") == 0)
		control_panic(!panic_is_on());
	else
		control_simple(NULL, action);
	obs_data_t* event = obs_data_create();
	obs_data_set_string(event, "name", hotkey->name);
	vendor_emit("hotkey", event);
}

/** OBS 29 restores the keys of its own hotkeys alone. */
static void restore(const struct hotkey* hotkey) {
	config_t* profile = obs_frontend_get_profile_config();
	const char* saved = profile ? config_get_string(profile, "Hotkeys", hotkey->name) : NULL;
	obs_data_t* data = saved && *saved ? obs_data_create_from_json(saved) : NULL;
	obs_data_array_t* bindings = data ? obs_data_get_array(data, "bindings") : NULL;
	if (bindings) obs_hotkey_load(hotkey->id, bindings);
	obs_data_array_release(bindings);
	obs_data_release(data);
}

/** With no mutex held: OBS holds its own while it calls `press`. */
static void add(const char* name, const char* description) {
	struct hotkey* hotkey = bzalloc(sizeof *hotkey);
	snprintf(hotkey->name, sizeof hotkey->name, "%s", name);
	pthread_mutex_lock(&mutex);
	bool is_new = hotkey_count < HOTKEYS_MAX;
	for (size_t i = 0; i < hotkey_count && is_new; ++i) is_new = strcmp(hotkeys[i]->name, name) != 0;
	if (is_new) hotkeys[hotkey_count++] = hotkey;
	const bool is_restoring = has_profile;
	pthread_mutex_unlock(&mutex);
	if (!is_new) {
		bfree(hotkey);
		return;
	}
	hotkey->id = obs_hotkey_register_frontend(hotkey->name, description, press, hotkey);
	if (is_restoring) restore(hotkey);
}

void hotkeys_load(void) {
	add("allaprima.next", obs_module_text("Hotkey.Next"));
	add("allaprima.previous", obs_module_text("Hotkey.Previous"));
	add("allaprima.toggle", obs_module_text("Hotkey.Toggle"));
	add("allaprima.panic", obs_module_text("Hotkey.Panic"));
}

void hotkeys_add_style(const char* name, const char* title) {
	char full[sizeof hotkeys[0]->name];
	snprintf(full, sizeof full, STYLE_PREFIX "%s", name);
	struct dstr description = {0};
	dstr_printf(&description, "%s: %s", obs_module_text("AllaPrima"), title);
	add(full, description.array);
	dstr_free(&description);
}

void hotkeys_restore(void) {
	pthread_mutex_lock(&mutex);
	has_profile = true;
	const size_t count = hotkey_count;
	pthread_mutex_unlock(&mutex);
	for (size_t i = 0; i < count; ++i) restore(hotkeys[i]);
}

void hotkeys_unload(void) {
	for (size_t i = 0; i < hotkey_count; ++i) {
		obs_hotkey_unregister(hotkeys[i]->id);
		bfree(hotkeys[i]);
	}
	hotkey_count = 0;
}
