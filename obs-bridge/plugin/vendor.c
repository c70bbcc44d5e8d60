// SPDX-License-Identifier: GPL-2.0-or-later
#include "vendor.h"

#include <callback/calldata.h>
#include <callback/proc.h>
#include <pthread.h>
#include <string.h>

#include "control.h"
#include "launcher.h"
#include "link.h"
#include "log.h"
#include "styles.h"

// obs-websocket gives its procedures by a handler; its own header for them is C++.

typedef void (*request_callback)(obs_data_t* request, obs_data_t* response, void* param);

struct request_registration {
	request_callback callback;
	void* param;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static proc_handler_t* procedures;
static void* vendor;

static void* register_vendor(void) {
	calldata_t data = {0};
	proc_handler_call(obs_get_proc_handler(), "obs_websocket_api_get_ph", &data);
	procedures = calldata_ptr(&data, "ph");
	calldata_free(&data);
	if (!procedures) return NULL;
	calldata_t registration = {0};
	calldata_set_string(&registration, "name", "allaprima");
	proc_handler_call(procedures, "vendor_register", &registration);
	void* registered = calldata_ptr(&registration, "vendor");
	calldata_free(&registration);
	return registered;
}

static void register_request(const char* type, request_callback callback) {
	struct request_registration registration = {callback, NULL};
	calldata_t data = {0};
	calldata_set_ptr(&data, "vendor", vendor);
	calldata_set_string(&data, "type", type);
	calldata_set_ptr(&data, "callback", &registration);
	proc_handler_call(procedures, "vendor_request_register", &data);
	if (!calldata_bool(&data, "success")) log_warning("obs-websocket refused the request %s", type);
	calldata_free(&data);
}

void vendor_emit(const char* event, obs_data_t* event_data) {
	pthread_mutex_lock(&mutex);
	if (vendor) {
		calldata_t data = {0};
		calldata_set_ptr(&data, "vendor", vendor);
		calldata_set_string(&data, "type", event);
		calldata_set_ptr(&data, "data", event_data);
		proc_handler_call(procedures, "vendor_event_emit", &data);
		calldata_free(&data);
	}
	pthread_mutex_unlock(&mutex);
	obs_data_release(event_data);
}

obs_data_t* vendor_stream_event(struct stream* stream) {
	char name[STREAM_NAME_BYTES];
	stream_get_name(stream, name);
	obs_data_t* data = obs_data_create();
	obs_data_set_string(data, "id", stream->id);
	obs_data_set_string(data, "stream", name);
	return data;
}

// Requests. Each answers {"ok": true}, or {"ok": false, "error": "..."}.

static void answer(obs_data_t* response, const char* error) {
	obs_data_set_bool(response, "ok", error == NULL);
	if (error) obs_data_set_string(response, "error", error);
}

/** The stream that a request names, or none where it means all. */
static bool named_stream(obs_data_t* request, struct stream** stream) {
	const char* name = obs_data_get_string(request, "stream");
	*stream = *name ? stream_find(name) : NULL;
	return !*name || *stream;
}

static const char* const no_stream = "there is no such stream; get_state lists them";
static const char* const no_sidecar = "the sidecar is not running";

static void set_style(obs_data_t* request, obs_data_t* response, void* param) {
	const char* name = obs_data_get_string(request, "style");
	struct stream* stream = NULL;
	if (!*name)
		answer(response, "style is missing: the name of a style, as list_styles gives it");
	else if (!named_stream(request, &stream))
		answer(response, no_stream);
	else
		answer(response, control_style(stream ? stream->id : NULL, name) ? NULL : no_sidecar);
	stream_release(stream);
}

static void next_style(obs_data_t* request, obs_data_t* response, void* param) {
	struct stream* stream = NULL;
	if (!named_stream(request, &stream))
		answer(response, no_stream);
	else
		answer(response, control_simple(stream ? stream->id : NULL, "next") ? NULL : no_sidecar);
	stream_release(stream);
}

static void set_panic(obs_data_t* request, obs_data_t* response, void* param) {
	if (!obs_data_has_user_value(request, "on")) {
		answer(response, "on is missing: true or false");
		return;
	}
	control_panic(obs_data_get_bool(request, "on"));
	answer(response, NULL);
}

static void list_styles(obs_data_t* request, obs_data_t* response, void* param) {
	obs_data_array_t* styles = styles_list();
	obs_data_set_array(response, "styles", styles);
	obs_data_array_release(styles);
	answer(response, NULL);
}

static obs_data_t* state_of(struct stream* stream) {
	struct stream_wishes wishes;
	struct stream_report report;
	struct stream_view view;
	stream_get_wishes(stream, &wishes);
	stream_get_report(stream, &report);
	stream_get_view(stream, &view);
	obs_data_t* state = vendor_stream_event(stream);
	obs_data_set_string(state, "key", stream->key);
	obs_data_set_string(state, "style", wishes.style);
	obs_data_set_string(state, "mode", stream_mode_name(wishes.mode));
	if (*wishes.mask.name) {
		obs_data_set_string(state, "mask", wishes.mask.name);
		obs_data_set_string(state, "maskState", mask_state_name(view.mask));
	}
	stream_describe_failure(&wishes, state);
	obs_data_set_string(state, "engine", *report.engine ? report.engine : "absent");
	obs_data_set_double(state, "fps", report.fps);
	obs_data_set_double(state, "latencyMs", report.latency_ms);
	obs_data_set_string(state, "shown", shown_name(view.shown));
	obs_data_set_bool(state, "active", view.is_active);
	obs_data_set_int(state, "width", view.width);
	obs_data_set_int(state, "height", view.height);
	obs_data_set_int(state, "framesTapped", (long long)view.tapped);
	obs_data_set_int(state, "framesShown", (long long)view.painted);
	if (view.has_delay) {
		obs_data_set_double(state, "glassToGlassMs", view.delay.p50_ms);
		obs_data_set_double(state, "glassToGlassMsP95", view.delay.p95_ms);
	}
	return state;
}

static const char* sidecar_name(void) {
	switch (link_state()) {
	case LINK_UP:
		return "connected";
	case LINK_OTHER_PROTOCOL:
		return "other protocol";
	case LINK_ABSENT:
		break;
	}
	return "absent";
}

static obs_data_t* launch_of(void) {
	struct launch_view view;
	launcher_view(&view);
	obs_data_t* launch = obs_data_create();
	obs_data_set_string(launch, "state", launch_state_name(view.state));
	obs_data_set_string(launch, "problem", view.problem);
	if (view.pid > 0) obs_data_set_int(launch, "pid", view.pid);
	return launch;
}

static void get_state(obs_data_t* request, obs_data_t* response, void* param) {
	obs_data_set_string(response, "sidecar", sidecar_name());
	obs_data_set_bool(response, "panic", panic_is_on());
	obs_data_t* launch = launch_of();
	obs_data_set_obj(response, "launch", launch);
	obs_data_release(launch);
	obs_data_array_t* states = obs_data_array_create();
	struct stream* streams[STREAMS_MAX];
	const size_t count = streams_list(streams);
	for (size_t i = 0; i < count; ++i) {
		obs_data_t* state = state_of(streams[i]);
		obs_data_array_push_back(states, state);
		obs_data_release(state);
	}
	streams_release(streams, count);
	obs_data_set_array(response, "streams", states);
	obs_data_array_release(states);
	answer(response, NULL);
}

void vendor_load(void) {
	vendor = register_vendor();
	if (!vendor) {
		log_info("obs-websocket is not there: no requests, no events");
		return;
	}
	register_request("set_style", set_style);
	register_request("next_style", next_style);
	register_request("get_state", get_state);
	register_request("list_styles", list_styles);
	register_request("set_panic", set_panic);
}

void vendor_unload(void) {
	pthread_mutex_lock(&mutex);
	vendor = NULL;
	pthread_mutex_unlock(&mutex);
}
