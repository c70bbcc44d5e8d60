// SPDX-License-Identifier: GPL-2.0-or-later
#include "filter.h"

#include <obs-module.h>
#include <string.h>

#include "clock.h"
#include "draw.h"
#include "filter-properties.h"
#include "link.h"
#include "mask-properties.h"
#include "present.h"
#include "stream.h"

/** A source that nobody rendered for so long is told to the sidecar as not active. */
#define INACTIVE_US 500000
/** How often the delay is told. */
#define NEWS_US 1000000

struct filter {
	obs_source_t* source;
	struct stream* stream;

	// Graphics thread.
	struct stream_wishes wishes;
	struct mask_source mask;
	int64_t rendered_us;
	int64_t news_us;

	/** Holds the filter's removal back while somebody looks at its target and parent: outside of it they may
	 * go at any time. */
	pthread_mutex_t parent_mutex;
	bool is_removed;
	/** The source that is kept; the filter is taken off it before it goes. */
	obs_source_t* kept;
	gs_texrender_t* keep_render;
};

static const char* get_name(void* type_data) {
	return obs_module_text("AllaPrima");
}

static void update(void* data, obs_data_t* settings) {
	struct filter* filter = data;
	struct stream* stream = filter->stream;
	struct stream_wishes wishes;
	filter_read_settings(settings, &wishes);
	pthread_mutex_lock(&stream->mutex);
	stream->wishes = wishes;
	pthread_mutex_unlock(&stream->mutex);
	stream_touch(stream);
}

static void* create(obs_data_t* settings, obs_source_t* source) {
	struct stream* stream = stream_open(source, obs_data_get_string(settings, SETTING_KEY));
	if (!stream) return NULL;
	obs_data_set_string(settings, SETTING_KEY, stream->key);
	struct filter* filter = bzalloc(sizeof *filter);
	filter->source = source;
	filter->stream = stream;
	pthread_mutex_init(&filter->parent_mutex, NULL);
	update(filter, settings);
	return filter;
}

// A hidden source is rendered into next to nothing, so that the filter in its chain taps it.

static void render_hidden(void* data, uint32_t canvas_width, uint32_t canvas_height) {
	struct filter* filter = data;
	const struct source_picture* source = &filter->stream->source;
	obs_source_t* parent = obs_filter_get_parent(filter->source);
	if (source->is_current || !parent || source->width == 0 || source->height == 0) return;
	if (!filter->keep_render) filter->keep_render = gs_texrender_create(GS_RGBA, GS_ZS_NONE);
	gs_texrender_reset(filter->keep_render);
	if (!gs_texrender_begin(filter->keep_render, 1, 1)) return;
	gs_ortho(0.0f, (float)source->width, 0.0f, (float)source->height, -100.0f, 100.0f);
	obs_source_video_render(parent);
	gs_texrender_end(filter->keep_render);
}

static void let_go(struct filter* filter, obs_source_t* kept) {
	if (!kept) return;
	obs_remove_main_render_callback(render_hidden, filter);
	obs_source_dec_active(kept);
}

/** With the mutex locked; `parent` is null where it is on its way out. */
static void keep_rendered(struct filter* filter, obs_source_t* parent, bool is_wanted) {
	if (parent && is_wanted && !filter->kept) {
		filter->kept = parent;
		// Active and not only showing: media that plays while it is active plays on.
		obs_source_inc_active(parent);
		obs_add_main_render_callback(render_hidden, filter);
	} else if (!parent || !is_wanted) {
		let_go(filter, filter->kept);
		filter->kept = NULL;
	}
}

static void filter_remove(void* data, obs_source_t* parent) {
	struct filter* filter = data;
	pthread_mutex_lock(&filter->parent_mutex);
	filter->is_removed = true;
	obs_source_t* kept = filter->kept;
	filter->kept = NULL;
	pthread_mutex_unlock(&filter->parent_mutex);
	// Not under the mutex: it waits for callbacks that are running, and ours may be waiting for the mutex.
	let_go(filter, kept);
}

static void destroy(void* data) {
	struct filter* filter = data;
	filter_remove(filter, NULL);
	obs_enter_graphics();
	gs_texrender_destroy(filter->keep_render);
	obs_leave_graphics();
	mask_source_free(&filter->mask);
	stream_close(filter->stream);
	pthread_mutex_destroy(&filter->parent_mutex);
	bfree(filter);
}

/** The names of source and filter, which the streamer may change at any time. */
static bool rename_stream(struct filter* filter, const obs_source_t* parent) {
	struct stream* stream = filter->stream;
	const char* source_name = obs_source_get_name(parent);
	const char* filter_name = obs_source_get_name(filter->source);
	if (!source_name || !filter_name) return false;
	char full[2 * STREAM_NAME_BYTES], name[STREAM_NAME_BYTES];
	snprintf(full, sizeof full, "%.500s / %.500s", source_name, filter_name);
	copy_text(name, sizeof name, full);
	if (strcmp(name, stream->name) == 0) return false; // written by this thread alone
	pthread_mutex_lock(&stream->mutex);
	memcpy(stream->name, name, sizeof name);
	pthread_mutex_unlock(&stream->mutex);
	return true;
}

/** Makes public what the graphics thread knows; true where the sidecar is to hear of it. */
static bool publish_view(struct filter* filter, int64_t at_us) {
	struct stream* stream = filter->stream;
	struct stream_view view = {
		.shown = stream->present.shown,
		.mask = filter->mask.state,
		.is_active = at_us - filter->rendered_us < INACTIVE_US,
		.width = stream->source.width,
		.height = stream->source.height,
		.tapped = tap_count(stream->tap),
		.painted = stream->painted_count,
	};
	const bool is_news = at_us - filter->news_us >= NEWS_US;
	pthread_mutex_lock(&stream->mutex);
	view.has_delay = stream->view.has_delay;
	view.delay = stream->view.delay;
	if (is_news) view.has_delay = latency_summarize(&stream->latency, &view.delay);
	const bool is_changed = view.is_active != stream->view.is_active;
	const bool is_other_mask = view.mask != stream->view.mask;
	stream->view = view;
	pthread_mutex_unlock(&stream->mutex);
	if (is_other_mask) stream_refresh_dialog(stream);
	if (is_news) {
		filter->news_us = at_us;
		latency_clear(&stream->latency);
		atomic_store(&stream->has_news, true);
	}
	return is_changed;
}

/** A new tick, or the first time that it is rendered, which may be before its first tick. */
static void begin_tick(struct filter* filter, obs_source_t* target) {
	struct stream* stream = filter->stream;
	const uint32_t width = target ? obs_source_get_base_width(target) : 0;
	const uint32_t height = target ? obs_source_get_base_height(target) : 0;
	stream_get_wishes(stream, &filter->wishes);
	source_picture_tick(&stream->source, width, height);
	present_tick(stream, &filter->wishes);
}

/** The mask has another name now, unless the streamer chose another mask meanwhile. */
static void rename_mask(struct filter* filter) {
	struct stream* stream = filter->stream;
	struct mask_wish* wish = &stream->wishes.mask;
	pthread_mutex_lock(&stream->mutex);
	const bool is_same = strcmp(wish->name, filter->wishes.mask.name) == 0;
	if (is_same) memcpy(wish->name, filter->mask.name, sizeof wish->name);
	pthread_mutex_unlock(&stream->mutex);
	if (is_same) filters_keep_wishes();
}

static void tick(void* data, float seconds) {
	struct filter* filter = data;
	struct stream* stream = filter->stream;
	const bool has_sidecar = link_state() == LINK_UP;
	const bool has_outputs = atomic_load(&stream->outputs_showing) > 0;

	pthread_mutex_lock(&filter->parent_mutex);
	obs_source_t* parent =
		filter->is_removed ? NULL : obs_source_get_ref(obs_filter_get_parent(filter->source));
	begin_tick(filter, parent ? obs_filter_get_target(filter->source) : NULL);
	keep_rendered(filter, parent, has_outputs || (has_sidecar && filter->wishes.keeps_painting));
	const bool is_renamed = parent && rename_stream(filter, parent);
	const bool is_mask_renamed = mask_source_tick(&filter->mask, filter->wishes.mask.name, parent, now_us());
	pthread_mutex_unlock(&filter->parent_mutex);
	// Not under the mutex: where this was the last reference, it takes the filter off.
	obs_source_release(parent);
	if (is_mask_renamed) rename_mask(filter);

	if (has_sidecar) tap_resize(stream->tap, stream->source.width, stream->source.height);
	if (publish_view(filter, now_us()) || is_renamed) stream_touch(stream);
}

/** What the filter is put on, to be let go of; nothing where it is on its way out. */
static struct filtered hold(struct filter* filter) {
	struct filtered held = {NULL, NULL};
	pthread_mutex_lock(&filter->parent_mutex);
	if (!filter->is_removed) {
		held.parent = obs_source_get_ref(obs_filter_get_parent(filter->source));
		if (held.parent) held.target = obs_source_get_ref(obs_filter_get_target(filter->source));
	}
	pthread_mutex_unlock(&filter->parent_mutex);
	return held;
}

/** Not under the mutex: where this was the last reference, it takes the filter off. */
static void release(struct filtered held) {
	obs_source_release(held.target);
	obs_source_release(held.parent);
}

/** The picture of this tick, tapped where somebody reads it; false where there is none, or nobody needs it.
 */
static bool capture(struct filter* filter, struct filtered filtered, bool is_drawn) {
	struct stream* stream = filter->stream;
	struct source_picture* source = &stream->source;
	if (source->is_current) return true;
	const bool is_read = tap_is_read(stream->tap);
	if (!is_read && !is_drawn && atomic_load(&stream->outputs_showing) == 0) return false;
	if (!source_picture_render(source, filtered)) return false;
	if (is_read) mask_source_apply(&filter->mask, &filter->wishes.mask, source);
	source->is_opaque = is_read && tap_capture(stream->tap, source);
	return true;
}

static enum gs_color_space space_of(obs_source_t* target) {
	const enum gs_color_space spaces[] = {GS_CS_SRGB, GS_CS_SRGB_16F, GS_CS_709_EXTENDED};
	return target ? obs_source_get_color_space(target, 3, spaces) : GS_CS_SRGB;
}

static void render(void* data, gs_effect_t* effect) {
	struct filter* filter = data;
	struct stream* stream = filter->stream;
	if (stream->source.is_rendering) return; // it is in its own picture
	const struct filtered held = hold(filter);
	if (stream->source.width == 0) begin_tick(filter, held.target);
	filter->rendered_us = now_us();
	const enum shown shown = present_decide(stream);
	const bool is_replaced = filter->wishes.mode == MODE_REPLACE && shown != SHOWN_SOURCE;
	const bool is_captured = capture(filter, held, is_replaced && shown != SHOWN_SLATE);
	if (is_replaced)
		present_draw(stream);
	else if (is_captured && !stream->source.is_straight && space_of(held.target) == GS_CS_SRGB)
		draw_source(&stream->source);
	else
		// A video is cheap to draw again, and others keep more than 8 bits in their own way.
		filtered_draw(held);
	release(held);
}

static enum gs_color_space get_color_space(void* data, size_t count, const enum gs_color_space* preferred) {
	struct filter* filter = data;
	const bool is_passed = filter->wishes.mode == MODE_TAP || filter->stream->present.shown == SHOWN_SOURCE;
	if (!is_passed) return GS_CS_SRGB;
	const struct filtered held = hold(filter);
	const enum gs_color_space space = space_of(held.target);
	release(held);
	return space;
}

static obs_properties_t* get_properties(void* data) {
	struct filter* filter = data;
	const struct filtered held = hold(filter);
	obs_properties_t* properties = filter_properties(filter->stream, held.parent);
	release(held);
	return properties;
}

static void keep_wishes(void* param) {
	struct stream* streams[STREAMS_MAX];
	const size_t count = streams_list(streams);
	for (size_t i = 0; i < count; ++i) {
		struct stream_wishes wishes;
		stream_get_wishes(streams[i], &wishes);
		obs_source_t* source = obs_weak_source_get_source(streams[i]->filter);
		if (!source) continue;
		obs_data_t* settings = obs_source_get_settings(source);
		obs_data_set_string(settings, SETTING_STYLE, wishes.style);
		mask_keep_setting(settings, &wishes.mask);
		obs_data_release(settings);
		obs_source_release(source);
		stream_refresh_dialog(streams[i]);
	}
	streams_release(streams, count);
}

void filters_keep_wishes(void) {
	obs_queue_task(OBS_TASK_UI, keep_wishes, NULL, false);
}

struct obs_source_info filter_info = {
	.id = "allaprima_filter",
	.type = OBS_SOURCE_TYPE_FILTER,
	.output_flags = OBS_SOURCE_VIDEO | OBS_SOURCE_SRGB,
	.get_name = get_name,
	.create = create,
	.destroy = destroy,
	.update = update,
	.get_defaults = filter_defaults,
	.get_properties = get_properties,
	.video_tick = tick,
	.video_render = render,
	.video_get_color_space = get_color_space,
	.filter_remove = filter_remove,
};
