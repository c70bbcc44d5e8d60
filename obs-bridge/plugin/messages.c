// SPDX-License-Identifier: GPL-2.0-or-later
#include "messages.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <util/bmem.h>

#include "control.h"
#include "filter.h"
#include "log.h"
#include "stream.h"
#include "styles.h"
#include "vendor.h"

/** Lines that wait for the link's thread; a hotkey held down does not make more. */
#define QUEUE_MAX 128

/** A change of the delay that is worth an event. */
#define DELAY_CHANGE_MS 5.0

static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static char* queue[QUEUE_MAX];
static size_t queue_count;

/** Negative: not known. */
static atomic_int transition_ms = -1;
static atomic_bool is_transition_news;

/** The newest list of scenes, as a line; null before the first. Under the mutex. */
static char* scenes_line;
static atomic_bool is_scenes_news;

static obs_data_t* message_of(const char* type) {
	obs_data_t* message = obs_data_create();
	obs_data_set_string(message, "type", type);
	return message;
}

/** Puts a line in the queue, and lets go of the message. */
static void enqueue(obs_data_t* message) {
	if (link_state() == LINK_UP) {
		const char* line = obs_data_get_json(message);
		pthread_mutex_lock(&queue_mutex);
		if (line && queue_count < QUEUE_MAX) queue[queue_count++] = bstrdup(line);
		pthread_mutex_unlock(&queue_mutex);
		link_wake();
	}
	obs_data_release(message);
}

/** On the link's thread; lets go of the message. */
static bool say(obs_data_t* message) {
	const char* line = obs_data_get_json(message);
	const bool is_said = line && strlen(line) < LINK_LINE_BYTES_MAX && link_say(line);
	obs_data_release(message);
	return is_said;
}

static void clear_queue(void) {
	pthread_mutex_lock(&queue_mutex);
	for (size_t i = 0; i < queue_count; ++i) bfree(queue[i]);
	queue_count = 0;
	pthread_mutex_unlock(&queue_mutex);
}

static void say_queue(void) {
	char* lines[QUEUE_MAX];
	pthread_mutex_lock(&queue_mutex);
	const size_t count = queue_count;
	memcpy(lines, queue, count * sizeof lines[0]);
	queue_count = 0;
	pthread_mutex_unlock(&queue_mutex);
	for (size_t i = 0; i < count; ++i) {
		link_say(lines[i]);
		bfree(lines[i]);
	}
}

void messages_command(const char* stream_id, obs_data_t* command) {
	obs_data_t* message = message_of("command");
	if (stream_id) obs_data_set_string(message, "id", stream_id);
	obs_data_set_obj(message, "command", command);
	enqueue(message);
}

void messages_scene_switch_started(const char* scene, int duration_ms) {
	obs_data_t* message = message_of("scene_switch_started");
	obs_data_set_string(message, "to", scene);
	obs_data_set_int(message, "durationMs", duration_ms);
	enqueue(message);
}

void messages_transition(int duration_ms) {
	atomic_store(&transition_ms, duration_ms);
	atomic_store(&is_transition_news, true);
	link_wake();
}

static void say_transition(void) {
	const int duration_ms = atomic_load(&transition_ms);
	if (duration_ms < 0) return;
	obs_data_t* message = message_of("transition");
	obs_data_set_int(message, "durationMs", duration_ms);
	say(message);
}

void messages_scenes(obs_data_array_t* scenes) {
	obs_data_t* message = message_of("scenes");
	obs_data_set_array(message, "scenes", scenes);
	const char* line = obs_data_get_json(message);
	if (line) {
		pthread_mutex_lock(&queue_mutex);
		bfree(scenes_line);
		scenes_line = bstrdup(line);
		pthread_mutex_unlock(&queue_mutex);
		atomic_store(&is_scenes_news, true);
		link_wake();
	}
	obs_data_release(message);
}

static void say_scenes(void) {
	pthread_mutex_lock(&queue_mutex);
	char* line = scenes_line ? bstrdup(scenes_line) : NULL;
	pthread_mutex_unlock(&queue_mutex);
	if (line && strlen(line) < LINK_LINE_BYTES_MAX) link_say(line);
	bfree(line);
}

void messages_stream_removed(const char* stream_id) {
	obs_data_t* message = message_of("stream_removed");
	obs_data_set_string(message, "id", stream_id);
	enqueue(message);
}

void messages_greet(void) {
	clear_queue();
	atomic_store(&is_transition_news, true);
	atomic_store(&is_scenes_news, true);
	struct stream* streams[STREAMS_MAX];
	const size_t count = streams_list(streams);
	for (size_t i = 0; i < count; ++i) atomic_store(&streams[i]->is_dirty, true);
	streams_release(streams, count);

	obs_data_t* hello = message_of("hello");
	obs_data_set_int(hello, "protocol", PROTOCOL_VERSION);
	obs_data_set_string(hello, "plugin", PLUGIN_VERSION);
	obs_data_set_string(hello, "obs", obs_get_version_string());
	obs_data_set_int(hello, "pid", getpid());
	obs_data_set_string(hello, "instance", stream_instance());
	say(hello);
}

/** False where it cannot be said now; a stream without a picture is not said at all. */
static bool say_stream(struct stream* stream) {
	struct tap_place place;
	tap_place(stream->tap, &place);
	if (!place.path[0]) return true;
	struct stream_wishes wishes;
	struct stream_view view;
	char name[STREAM_NAME_BYTES];
	stream_get_wishes(stream, &wishes);
	stream_get_view(stream, &view);
	stream_get_name(stream, name);
	struct obs_video_info video = {.fps_num = 30, .fps_den = 1};
	obs_get_video_info(&video);

	obs_data_t* message = message_of("stream");
	obs_data_set_string(message, "id", stream->id);
	obs_data_set_string(message, "name", name);
	obs_data_set_string(message, "tap", place.path);
	obs_data_set_int(message, "width", place.width);
	obs_data_set_int(message, "height", place.height);
	obs_data_t* fps = obs_data_create();
	obs_data_set_int(fps, "num", video.fps_num);
	obs_data_set_int(fps, "den", video.fps_den);
	obs_data_set_obj(message, "fps", fps);
	obs_data_release(fps);
	obs_data_set_string(message, "mode", stream_mode_name(wishes.mode));
	stream_describe_failure(&wishes, message);
	obs_data_set_string(message, "style", wishes.style);
	obs_data_set_string(message, "prompt", wishes.prompt);
	obs_data_set_double(message, "strength", wishes.strength);
	if (*wishes.mask.name) obs_data_set_string(message, "region", "alpha");
	obs_data_set_bool(message, "active", view.is_active);
	return say(message);
}

/** Tells programs of a delay that changed; the link's thread alone knows what was told. */
static void emit_delay(struct stream* stream, const struct latency_summary* delay) {
	const double change_ms = delay->p50_ms - stream->told_p50_ms;
	if (change_ms < DELAY_CHANGE_MS && change_ms > -DELAY_CHANGE_MS) return;
	stream->told_p50_ms = delay->p50_ms;
	obs_data_t* event = vendor_stream_event(stream);
	obs_data_set_double(event, "glassToGlassMs", delay->p50_ms);
	obs_data_set_double(event, "glassToGlassMsP95", delay->p95_ms);
	vendor_emit("latency_changed", event);
}

static void say_shown(struct stream* stream) {
	struct stream_view view;
	stream_get_view(stream, &view);
	if (!view.has_delay) return;
	obs_data_t* message = message_of("shown");
	obs_data_set_string(message, "id", stream->id);
	obs_data_t* delay = obs_data_create();
	obs_data_set_double(delay, "p50", view.delay.p50_ms);
	obs_data_set_double(delay, "p95", view.delay.p95_ms);
	obs_data_set_obj(message, "glassToGlassMs", delay);
	obs_data_release(delay);
	say(message);
	emit_delay(stream, &view.delay);
}

void messages_say_news(void) {
	struct stream* streams[STREAMS_MAX];
	const size_t count = streams_list(streams);
	for (size_t i = 0; i < count; ++i) {
		if (atomic_exchange(&streams[i]->is_dirty, false) && !say_stream(streams[i]))
			atomic_store(&streams[i]->is_dirty, true);
		if (atomic_exchange(&streams[i]->has_news, false)) say_shown(streams[i]);
	}
	streams_release(streams, count);
	if (atomic_exchange(&is_transition_news, false)) say_transition();
	if (atomic_exchange(&is_scenes_news, false)) say_scenes();
	say_queue();
}

// What is heard.

static const char* const engine_states[] = {"starting", "painting", "stale", "restarting"};

static bool is_engine_state(const char* name) {
	for (size_t i = 0; i < sizeof engine_states / sizeof engine_states[0]; ++i)
		if (strcmp(engine_states[i], name) == 0) return true;
	return false;
}

static void emit_engine(struct stream* stream, const char* engine) {
	obs_data_t* event = vendor_stream_event(stream);
	obs_data_set_string(event, "engine", engine);
	vendor_emit("engine_state_changed", event);
}

static void emit_style(struct stream* stream, const struct stream_report* report) {
	obs_data_t* event = vendor_stream_event(stream);
	obs_data_set_string(event, "style", report->style);
	obs_data_set_int(event, "epoch", report->epoch);
	vendor_emit("style_changed", event);
}

static void hear_state(struct stream* stream, obs_data_t* message) {
	struct stream_report report = {.epoch = obs_data_get_int(message, "epoch")};
	const char* engine = obs_data_get_string(message, "engine");
	if (!is_engine_state(engine)) return;
	copy_text(report.engine, sizeof report.engine, engine);
	copy_text(report.style, sizeof report.style, obs_data_get_string(message, "style"));
	report.fps = obs_data_get_double(message, "fps");
	report.latency_ms = obs_data_get_double(message, "latencyMs");

	pthread_mutex_lock(&stream->mutex);
	const bool is_other_engine = strcmp(stream->report.engine, report.engine) != 0;
	const bool is_other_style = report.style[0] && strcmp(stream->report.style, report.style) != 0;
	// The first that a sidecar reports may not be what the filter asks for, where it has no such style; later
	// ones were chosen, by a hotkey or a scene, and are what the next sidecar is to begin with.
	const bool was_chosen = is_other_style && stream->report.style[0];
	stream->report = report;
	if (was_chosen) memcpy(stream->wishes.style, report.style, sizeof report.style);
	pthread_mutex_unlock(&stream->mutex);

	if (was_chosen) filters_keep_wishes();
	if (is_other_style) emit_style(stream, &report);
	if (is_other_engine) {
		stream_refresh_dialog(stream);
		emit_engine(stream, report.engine);
	}
}

static void hear_of_stream(const char* type, obs_data_t* message) {
	const char* id = obs_data_get_string(message, "id");
	struct stream* stream = *id ? stream_find(id) : NULL;
	if (!stream) return; // of a filter that was just removed
	if (strcmp(type, "painted") == 0)
		painted_follow(stream->painted, obs_data_get_string(message, "ring"));
	else
		hear_state(stream, message);
	stream_release(stream);
}

static enum heard hear_hello(obs_data_t* message) {
	const long long protocol = obs_data_get_int(message, "protocol");
	const char* sidecar = obs_data_get_string(message, "sidecar");
	if (protocol != PROTOCOL_VERSION) {
		log_warning(
			"sidecar %.32s speaks protocol %lld, and this plugin %d: install matching versions",
			sidecar,
			protocol,
			PROTOCOL_VERSION
		);
		return HEARD_OTHER_PROTOCOL;
	}
	log_info("sidecar %.32s connected", sidecar);
	return HEARD_HELLO;
}

static enum heard hear(obs_data_t* message, bool is_up) {
	const char* type = obs_data_get_string(message, "type");
	if (strcmp(type, "hello") == 0) return hear_hello(message);
	if (!is_up || !*type) return HEARD_NONSENSE;
	if (strcmp(type, "styles") == 0) {
		obs_data_array_t* styles = obs_data_get_array(message, "styles");
		styles_learn(styles);
		obs_data_array_release(styles);
	} else if (strcmp(type, "painted") == 0 || strcmp(type, "state") == 0) {
		hear_of_stream(type, message);
	} else if (strcmp(type, "error") == 0) {
		log_warning("sidecar: %.400s", obs_data_get_string(message, "message"));
	}
	// What else there is, is for plugins that know it.
	return HEARD_MESSAGE;
}

enum heard messages_hear(const char* line, bool is_up) {
	obs_data_t* message = *line == '{' ? obs_data_create_from_json(line) : NULL;
	if (!message) return HEARD_NONSENSE;
	const enum heard heard = hear(message, is_up);
	obs_data_release(message);
	return heard;
}

void messages_link_changed(enum link_state state) {
	struct stream* streams[STREAMS_MAX];
	const size_t count = streams_list(streams);
	for (size_t i = 0; i < count; ++i) {
		struct stream* stream = streams[i];
		pthread_mutex_lock(&stream->mutex);
		const bool had_engine = stream->report.engine[0] != '\0';
		memset(&stream->report, 0, sizeof stream->report);
		pthread_mutex_unlock(&stream->mutex);
		if (state != LINK_UP) painted_follow(stream->painted, "");
		stream->told_p50_ms = 0.0;
		stream_refresh_dialog(stream);
		if (had_engine) emit_engine(stream, "absent");
	}
	streams_release(streams, count);
	if (state == LINK_ABSENT) log_info("the sidecar has gone");
	if (state == LINK_UP && panic_is_on()) control_tell_panic();
}

void messages_unload(void) {
	clear_queue();
	bfree(scenes_line);
	scenes_line = NULL;
}
