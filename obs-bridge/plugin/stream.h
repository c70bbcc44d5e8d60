// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>
#include <pthread.h>
#include <stdatomic.h>

#include "latency.h"
#include "mask-source.h"
#include "painted.h"
#include "show.h"
#include "source-picture.h"
#include "tap.h"

/** What a filter is to the rest: to the sidecar, which paints it; to outputs, which show it; to requests. */

#define STREAM_ID_BYTES 64
#define STREAM_KEY_BYTES 17
#define STREAM_NAME_BYTES 512
#define STYLE_NAME_BYTES 65
#define PROMPT_BYTES 2001
#define ENGINE_NAME_BYTES 16
#define STREAMS_MAX 64

enum stream_mode {
	/** The painting is shown in the place of the source. */
	MODE_REPLACE,
	/** The source passes; an "Alla Prima Output" shows the painting. */
	MODE_TAP,
};

/** What the streamer wants of it. */
struct stream_wishes {
	enum stream_mode mode;
	enum failure_policy failure;
	int64_t stale_after_us;
	/** Of the policy hold: how long, 0 for ever, and what comes then. */
	int hold_s;
	enum failure_policy after_hold;
	bool keeps_painting;
	struct mask_wish mask;
	char style[STYLE_NAME_BYTES];
	char prompt[PROMPT_BYTES];
	double strength;
};

/** What the sidecar says of it. */
struct stream_report {
	/** starting, painting, stale or restarting; empty before the sidecar said so. */
	char engine[ENGINE_NAME_BYTES];
	char style[STYLE_NAME_BYTES];
	long long epoch;
	double fps;
	double latency_ms;
};

/** What the graphics thread says of it, once a second and at each change. */
struct stream_view {
	enum shown shown;
	enum mask_state mask;
	bool is_active;
	uint32_t width;
	uint32_t height;
	uint64_t tapped;
	uint64_t painted;
	bool has_delay;
	struct latency_summary delay;
};

/** What present.c remembers from tick to tick. */
struct presentation {
	enum failure_policy failure;
	int64_t stale_after_us;
	int64_t hold_us;
	enum failure_policy after_hold;
	bool is_decided;
	enum shown shown;
	/** When the stream was last seen, and since when after it had been hidden. */
	int64_t seen_us;
	int64_t seen_again_us;
};

struct stream {
	atomic_int references;
	/** "INSTANCE-N", for the sidecar. */
	char id[STREAM_ID_BYTES];
	/** Of the filter, kept with its settings: an output finds it by this after a restart. */
	char key[STREAM_KEY_BYTES];
	/** The filter; weak, for who is not inside one of its callbacks. */
	obs_weak_source_t* filter;
	struct tap* tap;
	struct painted* painted;

	/** Outputs that are in some picture: then the source is rendered, whether anybody sees it or not. */
	atomic_int outputs_showing;
	/** Something of the stream changed that the sidecar must be told. */
	atomic_bool is_dirty;
	/** There is a view that the sidecar was not told. */
	atomic_bool has_news;
	/** Of the link's thread: the delay that programs were told last. */
	double told_p50_ms;

	/** Guards what follows, for moments: no call to libobs or to the system is made under it. */
	pthread_mutex_t mutex;
	char name[STREAM_NAME_BYTES];
	struct stream_wishes wishes;
	struct stream_report report;
	struct stream_view view;

	// Graphics thread.
	struct source_picture source;
	struct presentation present;
	struct latency latency;
	uint64_t painted_count;
};

/** The name of this OBS among all that are and were: "PID-RANDOMHEX". */
const char* stream_instance(void);

/** A new stream that `streams_each` and `stream_find` see. Null where there are STREAMS_MAX. */
struct stream* stream_open(obs_source_t* filter, const char* key);

/** Takes it out of the list: the sidecar is told, and its name is free. The reference of `open` goes too. */
void stream_close(struct stream* stream);

struct stream* stream_reference(struct stream* stream);
/** Not in the graphics context. Null is fine. */
void stream_release(struct stream* stream);

/** By id, key or name; "" finds the first. Gives a reference, or null. */
struct stream* stream_find(const char* name);

/** References to all streams, in the order in which they were opened; gives how many. */
size_t streams_list(struct stream* streams[STREAMS_MAX]);
void streams_release(struct stream* streams[STREAMS_MAX], size_t count);

/** Copies out under the mutex. */
void stream_get_name(struct stream* stream, char name[STREAM_NAME_BYTES]);
void stream_get_wishes(struct stream* stream, struct stream_wishes* wishes);
void stream_get_report(struct stream* stream, struct stream_report* report);
void stream_get_view(struct stream* stream, struct stream_view* view);

/** The sidecar is to hear of it. Any thread. */
void stream_touch(struct stream* stream);

/** Draws an open dialog anew: only where its words change, for it costs the cursor of who is typing. Any
 * thread. */
void stream_refresh_dialog(struct stream* stream);
void streams_refresh_dialogs(void);
/** OBS takes its windows down: dialogs stay as they are from here on. */
void streams_leave_dialogs(void);

/** The failure policy, as programs and the sidecar are told it: without "holdS" it holds for ever. */
void stream_describe_failure(const struct stream_wishes* wishes, obs_data_t* data);

/** Copies text, cut where a character ends. */
void copy_text(char* to, size_t to_bytes, const char* from);

const char* stream_mode_name(enum stream_mode mode);

/** Slate instead of every painting, at once. Any thread. */
void panic_set(bool is_on);
bool panic_is_on(void);
