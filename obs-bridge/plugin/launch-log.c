// SPDX-License-Identifier: GPL-2.0-or-later
#include "launch-log.h"

#include <fcntl.h>
#include <obs-module.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <util/bmem.h>
#include <util/dstr.h>
#include <util/platform.h>

/** One file of this size, and the one before. */
#define FILE_BYTES_MAX (1024 * 1024)

static void open_file(struct launch_log* log) {
	log->bytes = 0;
	log->file = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat entry;
	if (log->file >= 0 && fstat(log->file, &entry) == 0) log->bytes = (size_t)entry.st_size;
}

void launch_log_open(struct launch_log* log) {
	*log = (struct launch_log){.file = -1};
	char* folder = obs_module_config_path(NULL);
	log->path = obs_module_config_path("sidecar.log");
	if (folder && log->path && os_mkdirs(folder) != MKDIR_ERROR) open_file(log);
	bfree(folder);
}

static void begin_anew(struct launch_log* log) {
	struct dstr before = {0};
	dstr_printf(&before, "%s.1", log->path);
	rename(log->path, before.array);
	dstr_free(&before);
	close(log->file);
	open_file(log);
}

static void end_line(struct launch_log* log) {
	log->line[log->line_bytes] = '\0';
	const bool is_for_people = log->line_bytes > 0 && log->line[0] != '{';
	if (is_for_people) memcpy(log->last_words, log->line, log->line_bytes + 1);
	log->line_bytes = 0;
}

static void listen_to(struct launch_log* log, const char* text, size_t bytes) {
	for (size_t i = 0; i < bytes; ++i) {
		const unsigned char letter = (unsigned char)text[i];
		if (letter == '\n')
			end_line(log);
		else if (letter >= ' ' && log->line_bytes < sizeof log->line - 1)
			log->line[log->line_bytes++] = letter < 127 ? (char)letter : '?';
	}
}

void launch_log_write(struct launch_log* log, const char* text, size_t bytes) {
	listen_to(log, text, bytes);
	if (log->file >= 0 && log->bytes + bytes > FILE_BYTES_MAX) begin_anew(log);
	if (log->file < 0) return;
	const ssize_t written = write(log->file, text, bytes);
	if (written > 0) log->bytes += (size_t)written;
}

void launch_log_close(struct launch_log* log) {
	end_line(log);
	if (log->file >= 0) close(log->file);
	log->file = -1;
	bfree(log->path);
	log->path = NULL;
}
