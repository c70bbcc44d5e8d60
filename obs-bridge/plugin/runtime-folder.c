// SPDX-License-Identifier: GPL-2.0-or-later
#include "runtime-folder.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/** False where it is not this user's alone. */
static bool runtime_folder(char folder[SOCKET_PATH_BYTES]) {
	char user[24];
	const char* runtime = getenv("XDG_RUNTIME_DIR");
	snprintf(user, sizeof user, "%lu", (unsigned long)getuid());
	const bool fits = runtime && *runtime ? format_path(folder, "%s/allaprima%s", runtime, "")
										  : format_path(folder, "%s/allaprima-%s", temporary_folder(), user);
	if (!fits || (mkdir(folder, 0700) != 0 && errno != EEXIST)) return false;
	struct stat entry;
	if (lstat(folder, &entry) != 0) return false;
	if (!S_ISDIR(entry.st_mode) || entry.st_uid != getuid() || (entry.st_mode & 077) != 0) return false;
	return true;
}

bool runtime_socket_path(const char* name, char path[SOCKET_PATH_BYTES]) {
	char folder[SOCKET_PATH_BYTES];
	return runtime_folder(folder) && format_path(path, "%s/%s.sock", folder, name);
}

/** Nobody listens, and who did has gone: a process that is only just going to listen is there. */
static bool is_left(const char* name, const char* path) {
	long pid = 0;
	if (sscanf(name, "obs-%9ld-", &pid) != 1 || pid <= 0) return false;
	if (kill((pid_t)pid, 0) == 0 || errno != ESRCH) return false;
	// In another namespace a process has another number.
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, path, SOCKET_PATH_BYTES);
	const int channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (channel < 0) return false;
	const bool is_refused =
		connect(channel, (struct sockaddr*)&address, sizeof address) != 0 && errno == ECONNREFUSED;
	close(channel);
	return is_refused;
}

void runtime_sweep(void) {
	char folder[SOCKET_PATH_BYTES];
	DIR* entries = runtime_folder(folder) ? opendir(folder) : NULL;
	if (!entries) return;
	for (struct dirent* entry; (entry = readdir(entries)) != NULL;) {
		char path[SOCKET_PATH_BYTES] = "";
		if (!format_path(path, "%s/%s", folder, entry->d_name)) continue;
		if (is_left(entry->d_name, path)) unlink(path);
	}
	closedir(entries);
}
