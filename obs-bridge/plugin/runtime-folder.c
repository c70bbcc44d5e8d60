// SPDX-License-Identifier: GPL-2.0-or-later
#include "runtime-folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** As os.tmpdir() of Node, which the sidecar asks. */
static const char* temporary_folder(void) {
	static const char* const variables[] = {"TMPDIR", "TMP", "TEMP"};
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; ++i) {
		const char* folder = getenv(variables[i]);
		if (folder && *folder) return folder;
	}
	return "/tmp";
}

static bool format_path(char path[SOCKET_PATH_BYTES], const char* format, const char* a, const char* b) {
	const int length = snprintf(path, SOCKET_PATH_BYTES, format, a, b);
	return length > 0 && length < SOCKET_PATH_BYTES;
}

bool runtime_socket_path(const char* name, char path[SOCKET_PATH_BYTES]) {
	char folder[SOCKET_PATH_BYTES], user[24];
	const char* runtime = getenv("XDG_RUNTIME_DIR");
	snprintf(user, sizeof user, "%lu", (unsigned long)getuid());
	const bool fits = runtime && *runtime ? format_path(folder, "%s/allaprima%s", runtime, "")
										  : format_path(folder, "%s/allaprima-%s", temporary_folder(), user);
	if (!fits || (mkdir(folder, 0700) != 0 && errno != EEXIST)) return false;
	struct stat entry;
	if (lstat(folder, &entry) != 0) return false;
	if (!S_ISDIR(entry.st_mode) || entry.st_uid != getuid() || (entry.st_mode & 077) != 0) return false;
	return format_path(path, "%s/%s.sock", folder, name);
}
