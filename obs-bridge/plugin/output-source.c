// SPDX-License-Identifier: GPL-2.0-or-later
#include "output-source.h"

#include <obs-module.h>
#include <string.h>

#include "present.h"
#include "stream.h"

#define SETTING_STREAM "stream"

/** How often an output looks whether its filter has come or gone. */
#define LOOK_EVERY_S 0.25f

/**
 * Not an async source: it draws the texture that the filter draws, in the same tick, and so has no buffer
 * that could run late, nothing to show again after it was hidden, and the size of the source at all times.
 */
struct output {
	pthread_mutex_t mutex;
	/** The key, name or id of the filter; "" is the first there is. */
	char wanted[STREAM_NAME_BYTES];
	bool is_changed;
	atomic_bool is_showing;
	atomic_uint width;
	atomic_uint height;

	// Graphics thread.
	struct stream* stream;
	bool is_counted;
	float looked_s;
};

static const char* get_name(void* type_data) {
	return obs_module_text("Output");
}

static void update(void* data, obs_data_t* settings) {
	struct output* output = data;
	pthread_mutex_lock(&output->mutex);
	copy_text(output->wanted, sizeof output->wanted, obs_data_get_string(settings, SETTING_STREAM));
	output->is_changed = true;
	pthread_mutex_unlock(&output->mutex);
}

static void* create(obs_data_t* settings, obs_source_t* source) {
	struct output* output = bzalloc(sizeof *output);
	pthread_mutex_init(&output->mutex, NULL);
	update(output, settings);
	return output;
}

/** A stream whose output is in some picture is painted, hidden or not. */
static void count(struct output* output, bool is_showing) {
	if (!output->stream || output->is_counted == is_showing) return;
	atomic_fetch_add(&output->stream->outputs_showing, is_showing ? 1 : -1);
	output->is_counted = is_showing;
}

static void follow(struct output* output, struct stream* stream) {
	count(output, false);
	stream_release(output->stream);
	output->stream = stream;
	output->is_counted = false;
}

static void destroy(void* data) {
	struct output* output = data;
	follow(output, NULL);
	pthread_mutex_destroy(&output->mutex);
	bfree(output);
}

static void look(struct output* output) {
	char wanted[STREAM_NAME_BYTES];
	pthread_mutex_lock(&output->mutex);
	memcpy(wanted, output->wanted, sizeof wanted);
	output->is_changed = false;
	pthread_mutex_unlock(&output->mutex);
	output->looked_s = 0.0f;
	struct stream* stream = stream_find(wanted);
	if (stream == output->stream)
		stream_release(stream);
	else
		follow(output, stream);
}

static void tick(void* data, float seconds) {
	struct output* output = data;
	pthread_mutex_lock(&output->mutex);
	const bool is_changed = output->is_changed;
	pthread_mutex_unlock(&output->mutex);
	output->looked_s += seconds;
	if (is_changed || output->looked_s >= LOOK_EVERY_S) look(output);
	count(output, atomic_load(&output->is_showing));
	atomic_store(&output->width, output->stream ? output->stream->source.width : 0);
	atomic_store(&output->height, output->stream ? output->stream->source.height : 0);
}

static void render(void* data, gs_effect_t* effect) {
	struct output* output = data;
	if (output->stream) present_draw(output->stream);
}

static uint32_t get_width(void* data) {
	const struct output* output = data;
	return atomic_load(&output->width);
}

static uint32_t get_height(void* data) {
	const struct output* output = data;
	return atomic_load(&output->height);
}

static void show(void* data) {
	struct output* output = data;
	atomic_store(&output->is_showing, true);
}

static void hide(void* data) {
	struct output* output = data;
	atomic_store(&output->is_showing, false);
}

static obs_properties_t* get_properties(void* data) {
	obs_properties_t* properties = obs_properties_create();
	obs_property_t* list = obs_properties_add_list(
		properties,
		SETTING_STREAM,
		obs_module_text("Output.Filter"),
		OBS_COMBO_TYPE_LIST,
		OBS_COMBO_FORMAT_STRING
	);
	obs_property_list_add_string(list, obs_module_text("Output.First"), "");
	struct stream* streams[STREAMS_MAX];
	const size_t stream_count = streams_list(streams);
	for (size_t i = 0; i < stream_count; ++i) {
		char name[STREAM_NAME_BYTES];
		stream_get_name(streams[i], name);
		obs_property_list_add_string(list, name, streams[i]->key);
	}
	streams_release(streams, stream_count);
	return properties;
}

struct obs_source_info output_source_info = {
	.id = "allaprima_output",
	.type = OBS_SOURCE_TYPE_INPUT,
	.output_flags = OBS_SOURCE_VIDEO | OBS_SOURCE_CUSTOM_DRAW | OBS_SOURCE_SRGB,
	.icon_type = OBS_ICON_TYPE_CAMERA,
	.get_name = get_name,
	.create = create,
	.destroy = destroy,
	.update = update,
	.get_width = get_width,
	.get_height = get_height,
	.get_properties = get_properties,
	.video_tick = tick,
	.video_render = render,
	.show = show,
	.hide = hide,
};
