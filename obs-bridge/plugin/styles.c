// SPDX-License-Identifier: GPL-2.0-or-later
#include "styles.h"

#include <obs-module.h>
#include <pthread.h>
#include <string.h>
#include <util/platform.h>

#include "hotkeys.h"
#include "log.h"
#include "stream.h"

#define STYLES_MAX 256
#define TITLE_BYTES 161

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static obs_data_array_t* known;

/** Names are in kebab case: oil-painting. */
static bool is_style_name(const char* name) {
	const size_t length = strlen(name);
	return length > 0 && length < STYLE_NAME_BYTES &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/** A copy of what is sound in a list that came from elsewhere. */
static obs_data_array_t* sound_styles(obs_data_array_t* styles) {
	obs_data_array_t* sound = obs_data_array_create();
	for (size_t i = 0; i < obs_data_array_count(styles) && obs_data_array_count(sound) < STYLES_MAX; ++i) {
		obs_data_t* style = obs_data_array_item(styles, i);
		const char* name = obs_data_get_string(style, "name");
		if (is_style_name(name)) {
			char title[TITLE_BYTES];
			copy_text(title, sizeof title, obs_data_get_string(style, "title"));
			obs_data_t* copy = obs_data_create();
			obs_data_set_string(copy, "name", name);
			obs_data_set_string(copy, "title", *title ? title : name);
			obs_data_array_push_back(sound, copy);
			obs_data_release(copy);
		}
		obs_data_release(style);
	}
	return sound;
}

/** Keeps the list, and lets the hotkeys follow it. Takes the reference. */
static void adopt(obs_data_array_t* styles) {
	pthread_mutex_lock(&mutex);
	obs_data_array_t* last = known;
	known = styles;
	pthread_mutex_unlock(&mutex);
	obs_data_array_release(last);
	for (size_t i = 0; i < obs_data_array_count(styles); ++i) {
		obs_data_t* style = obs_data_array_item(styles, i);
		hotkeys_add_style(obs_data_get_string(style, "name"), obs_data_get_string(style, "title"));
		obs_data_release(style);
	}
}

static void save(obs_data_array_t* styles) {
	char* folder = obs_module_config_path(NULL);
	char* path = obs_module_config_path("styles.json");
	obs_data_t* data = obs_data_create();
	obs_data_set_array(data, "styles", styles);
	if (folder && path && os_mkdirs(folder) != MKDIR_ERROR)
		obs_data_save_json_safe(data, path, "tmp", "bak");
	else
		log_warning("the list of styles could not be kept");
	obs_data_release(data);
	bfree(path);
	bfree(folder);
}

void styles_load(void) {
	char* path = obs_module_config_path("styles.json");
	obs_data_t* data = path && os_file_exists(path) ? obs_data_create_from_json_file_safe(path, "bak") : NULL;
	bfree(path);
	obs_data_array_t* styles = data ? obs_data_get_array(data, "styles") : NULL;
	adopt(sound_styles(styles));
	obs_data_array_release(styles);
	obs_data_release(data);
}

void styles_unload(void) {
	obs_data_array_release(known);
	known = NULL;
}

static bool is_same(obs_data_array_t* a, obs_data_array_t* b) {
	obs_data_t* x = obs_data_create();
	obs_data_t* y = obs_data_create();
	obs_data_set_array(x, "styles", a);
	obs_data_set_array(y, "styles", b);
	const bool same = strcmp(obs_data_get_json(x), obs_data_get_json(y)) == 0;
	obs_data_release(x);
	obs_data_release(y);
	return same;
}

void styles_learn(obs_data_array_t* styles) {
	obs_data_array_t* sound = sound_styles(styles);
	obs_data_array_t* last = styles_list();
	const bool is_known = is_same(sound, last);
	obs_data_array_release(last);
	if (is_known) {
		obs_data_array_release(sound);
		return;
	}
	save(sound);
	adopt(sound);
	streams_refresh_dialogs();
}

obs_data_array_t* styles_list(void) {
	pthread_mutex_lock(&mutex);
	obs_data_array_t* styles = known;
	if (styles) obs_data_array_addref(styles);
	pthread_mutex_unlock(&mutex);
	return styles ? styles : obs_data_array_create();
}
