// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stddef.h>

#define LAST_WORDS_BYTES 256

/** What a started sidecar says, kept in `sidecar.log` of the plugin's configuration folder: the last MiB or
 * two. */
struct launch_log {
	char* path;
	int file;
	size_t bytes;
	/** The line that is being said, and the last that was said to people: no JSON. */
	char line[LAST_WORDS_BYTES];
	size_t line_bytes;
	char last_words[LAST_WORDS_BYTES];
};

/** Without a file to write to it still knows the last words. */
void launch_log_open(struct launch_log* log);
void launch_log_write(struct launch_log* log, const char* text, size_t bytes);
void launch_log_close(struct launch_log* log);
