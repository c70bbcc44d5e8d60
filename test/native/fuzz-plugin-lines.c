// SPDX-License-Identifier: GPL-2.0-or-later
// What a sidecar says to the plugin in OBS, as bytes on its socket: the plugin's own files in libobs, with
// one stream. The first byte says whether the hello has been said. What hears the bytes is the link's own, so
// its file is in this one.
#include "../../obs-bridge/plugin/link.c"

#include <obs-module.h>
#include <stdlib.h>

#include "painted.h"
#include "stream.h"
#include "styles.h"

static struct stream* stream;
static int ends[2];

MODULE_EXPORT void obs_module_set_pointer(obs_module_t* module);

static void log_nothing(int level, const char* format, va_list arguments, void* param) {}

/** Says why, and ends. */
static void require(bool holds, const char* what) {
	if (holds) return;
	fprintf(stderr, "fuzz-plugin-lines: %s\n", what);
	exit(2);
}

/**
 * ALLAPRIMA_OBS_PLUGIN is the plugin as it was built, of which libobs says where its folders are;
 * XDG_RUNTIME_DIR is a folder that nobody else uses. libobs wants a display.
 */
int LLVMFuzzerInitialize(int* argc, char*** argv) {
	const char* plugin = getenv("ALLAPRIMA_OBS_PLUGIN");
	const char* folder = getenv("XDG_RUNTIME_DIR");
	obs_module_t* module = NULL;
	require(plugin && folder, "ALLAPRIMA_OBS_PLUGIN or XDG_RUNTIME_DIR is not set");
	base_set_log_handler(log_nothing, NULL);
	require(obs_startup("en-US", folder, NULL), "libobs does not start; is there a display?");
	require(obs_open_module(&module, plugin, folder) == MODULE_SUCCESS, "libobs does not take the plugin");
	obs_module_set_pointer(module);
	styles_load();
	heard = bmalloc(LINK_LINE_BYTES_MAX);
	stream = stream_open(NULL, "key");
	require(stream && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "there is no stream");
	return 0;
}

/** The stream under a name that an input can have. */
static void name_stream(void) {
	snprintf(stream->id, sizeof stream->id, "1-ab-0");
	stream->told_p50_ms = 0.0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
	if (size < 1) return 0;
	name_stream();
	atomic_store(&state, data[0] & 1 ? LINK_UP : LINK_ABSENT);
	heard_bytes = 0;
	bool goes_on = true;
	for (size_t at = 1; goes_on && at < size;) {
		// In pieces, so that a line comes in several.
		const size_t room = 1 + data[0] % 128 * 97;
		const ssize_t sent = send(ends[1], data + at, size - at < room ? size - at : room, MSG_DONTWAIT);
		if (sent <= 0) abort();
		at += (size_t)sent;
		goes_on = receive(ends[0]);
		if (heard_bytes > LINK_LINE_BYTES_MAX) abort();
	}
	for (char rest[4096]; recv(ends[0], rest, sizeof rest, MSG_DONTWAIT) > 0;) continue;
	if (link_state() == LINK_UP) messages_say_news();
	if (unsent.len > UNSENT_BYTES_MAX + LINK_LINE_BYTES_MAX) abort();
	dstr_resize(&unsent, 0);

	struct stream_report report;
	stream_get_report(stream, &report);
	if (!memchr(report.engine, '\0', sizeof report.engine) ||
		!memchr(report.style, '\0', sizeof report.style))
		abort();
	set_state(LINK_ABSENT);
	return 0;
}
