// SPDX-License-Identifier: GPL-2.0-or-later
#include "launch-settings.h"

#include <obs-module.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <util/bmem.h>
#include <util/platform.h>

#define FILE_BYTES_MAX 65536
#define ARGUMENTS_MAX 32
#define ARGUMENT_BYTES_MAX 4096

static bool fail(char problem[LAUNCH_PROBLEM_BYTES], const char* what) {
	snprintf(problem, LAUNCH_PROBLEM_BYTES, "autostart.json %s", what);
	return false;
}

/** A program is started from it, so nobody else may be able to write it. */
static bool is_trusted(const char* path, char problem[LAUNCH_PROBLEM_BYTES]) {
	struct stat entry;
	if (stat(path, &entry) != 0 || !S_ISREG(entry.st_mode)) return fail(problem, "is no file");
	if (entry.st_uid != getuid() || (entry.st_mode & 022) != 0)
		return fail(problem, "can be written by others: chmod 600");
	if (entry.st_size > FILE_BYTES_MAX) return fail(problem, "is too large");
	return true;
}

static bool is_argument(const char* text) {
	return *text && strlen(text) < ARGUMENT_BYTES_MAX;
}

static bool read_command(obs_data_t* data, char*** command, char problem[LAUNCH_PROBLEM_BYTES]) {
	const char* program = obs_data_get_string(data, "program");
	if (!*program) return true;
	if (*program != '/' || !is_argument(program))
		return fail(problem, "has a program that is no absolute path");
	obs_data_array_t* items = obs_data_get_array(data, "arguments");
	const size_t count = obs_data_array_count(items);
	// Items that are no objects do not come out of libobs at all.
	bool is_sound = count <= ARGUMENTS_MAX && (count > 0 || !obs_data_has_user_value(data, "arguments"));
	char** read = is_sound ? bzalloc((count + 2) * sizeof *read) : NULL;
	if (is_sound) read[0] = bstrdup(program);
	for (size_t i = 0; i < count && is_sound; ++i) {
		obs_data_t* item = obs_data_array_item(items, i);
		const char* text = obs_data_get_string(item, "value");
		is_sound = is_argument(text);
		read[i + 1] = bstrdup(text);
		obs_data_release(item);
	}
	obs_data_array_release(items);
	*command = read;
	return is_sound || fail(problem, "has arguments that are none");
}

static obs_data_t* read_file(const char* path, char problem[LAUNCH_PROBLEM_BYTES]) {
	if (!is_trusted(path, problem)) return NULL;
	char* text = os_quick_read_utf8_file(path);
	const bool is_object =
		text && text[strspn(text, " \t\r\n")] == '{'; // of an array libobs makes an empty object
	obs_data_t* data = is_object ? obs_data_create_from_json(text) : NULL;
	bfree(text);
	if (!data) fail(problem, "is no JSON object; allaprima obs install writes a new one");
	return data;
}

bool launch_settings_read(struct launch_settings* settings, char problem[LAUNCH_PROBLEM_BYTES]) {
	*settings = (struct launch_settings){.is_enabled = false};
	problem[0] = '\0';
	char* path = obs_module_config_path("autostart.json");
	const bool is_there = path && os_file_exists(path);
	obs_data_t* data = is_there ? read_file(path, problem) : NULL;
	bfree(path);
	if (!data) return !is_there;
	settings->is_enabled = obs_data_get_bool(data, "enabled");
	bool is_sound = read_command(data, &settings->command, problem);
	if (is_sound && settings->is_enabled && !settings->command)
		is_sound = fail(problem, "says nothing to start; run: allaprima obs install");
	obs_data_release(data);
	if (!is_sound) launch_settings_free(settings);
	return is_sound;
}

void launch_settings_free(struct launch_settings* settings) {
	for (char** argument = settings->command; argument && *argument; ++argument) bfree(*argument);
	bfree(settings->command);
	settings->command = NULL;
}

bool launch_settings_enable(bool is_enabled) {
	char* folder = obs_module_config_path(NULL);
	char* path = obs_module_config_path("autostart.json");
	char problem[LAUNCH_PROBLEM_BYTES];
	obs_data_t* data = path && os_file_exists(path) ? read_file(path, problem) : obs_data_create();
	bool is_kept = false;
	if (data && folder && path && os_mkdirs(folder) != MKDIR_ERROR) {
		obs_data_set_bool(data, "enabled", is_enabled);
		is_kept = obs_data_save_json_safe(data, path, "tmp", "bak") && chmod(path, 0600) == 0;
	}
	obs_data_release(data);
	bfree(path);
	bfree(folder);
	return is_kept;
}
