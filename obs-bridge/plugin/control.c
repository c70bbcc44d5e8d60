// SPDX-License-Identifier: GPL-2.0-or-later
#include "control.h"

#include <obs.h>

#include "link.h"
#include "log.h"
#include "messages.h"
#include "stream.h"

static bool tell(const char* stream_id, obs_data_t* command) {
	const bool is_up = link_state() == LINK_UP;
	if (is_up) messages_command(stream_id, command);
	obs_data_release(command);
	return is_up;
}

static obs_data_t* command_of(const char* type) {
	obs_data_t* command = obs_data_create();
	obs_data_set_string(command, "type", type);
	return command;
}

bool control_style(const char* stream_id, const char* name) {
	obs_data_t* command = command_of("style");
	obs_data_set_string(command, "name", name);
	return tell(stream_id, command);
}

bool control_simple(const char* stream_id, const char* type) {
	return tell(stream_id, command_of(type));
}

void control_tell_panic(void) {
	obs_data_t* command = command_of("panic");
	obs_data_set_bool(command, "on", panic_is_on());
	tell(NULL, command);
}

void control_panic(bool is_on) {
	const bool is_change = panic_is_on() != is_on;
	panic_set(is_on);
	control_tell_panic();
	if (!is_change) return;
	log_info("panic %s", is_on ? "on" : "off");
	streams_refresh_dialogs();
}
