// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>

#define LAUNCH_PROBLEM_BYTES 512

/** What the streamer's `autostart.json` says, in the plugin's configuration folder: obs-bridge/README.md. */
struct launch_settings {
	/** The sidecar starts with OBS. */
	bool is_enabled;
	/** Program and arguments, ending with null; null where none was set. */
	char** command;
};

/**
 * Reads the file. False where it cannot be trusted or understood: then `problem` says why, and there is no
 * command. No file at all is no problem. What is read is freed by `launch_settings_free`.
 */
bool launch_settings_read(struct launch_settings* settings, char problem[LAUNCH_PROBLEM_BYTES]);

void launch_settings_free(struct launch_settings* settings);

/** Changes the choice and keeps the command; false where the file cannot be written. */
bool launch_settings_enable(bool is_enabled);
