// SPDX-License-Identifier: GPL-2.0-or-later
#include "present.h"

#include "clock.h"
#include "draw.h"
#include "link.h"

/** Without a look for so long, a stream was hidden: its tap stood still, and nothing new could be painted. */
#define HIDDEN_US 250000

void present_tick(struct stream* stream, const struct stream_wishes* wishes) {
	struct presentation* present = &stream->present;
	present->is_decided = false;
	present->failure = wishes->failure;
	present->stale_after_us = wishes->stale_after_us;
	present->hold_us = INT64_C(1000000) * wishes->hold_s;
	present->after_hold = wishes->after_hold;
}

/** The time since the painting was captured, or since one could be expected again. */
static int64_t age_us(const struct presentation* present, const struct painting* painting, int64_t at_us) {
	const bool was_hidden = painting->captured_us < present->seen_again_us;
	return at_us - (was_hidden ? present->seen_again_us : painting->captured_us);
}

enum shown present_decide(struct stream* stream) {
	struct presentation* present = &stream->present;
	if (present->is_decided) return present->shown;
	const int64_t at_us = now_us();
	if (at_us - present->seen_us > HIDDEN_US) present->seen_again_us = at_us;
	present->seen_us = at_us;

	struct painting painting;
	const bool has_painting = painted_peek(stream->painted, &painting);
	const struct show_facts facts = {
		.is_panic = panic_is_on(),
		.has_sidecar = link_state() == LINK_UP,
		.has_painting = has_painting,
		.painting_age_us = has_painting ? age_us(present, &painting, at_us) : 0,
		.stale_after_us = present->stale_after_us,
		.failure = present->failure,
		.hold_us = present->hold_us,
		.after_hold = present->after_hold,
	};
	present->shown = show_decide(&facts);
	present->is_decided = true;
	return present->shown;
}

static void draw_newest(struct stream* stream) {
	struct painting painting;
	bool is_new = false;
	if (!painted_take(stream->painted, &painting, &is_new)) return;
	if (is_new && stream->present.shown == SHOWN_PAINTING) {
		stream->painted_count += 1;
		latency_add(&stream->latency, now_us() - painting.captured_us);
	}
	const struct source_picture* source = &stream->source;
	gs_texture_t* mask = source->is_opaque ? NULL : source_picture_texture(source);
	draw_painting(painting.texture, mask, source->width, source->height);
}

void present_draw(struct stream* stream) {
	const uint32_t width = stream->source.width, height = stream->source.height;
	if (width == 0 || height == 0) return;
	switch (present_decide(stream)) {
	case SHOWN_SOURCE:
		draw_source(&stream->source);
		break;
	case SHOWN_PAINTING:
	case SHOWN_HELD:
		draw_newest(stream);
		break;
	case SHOWN_SLATE:
		draw_slate(width, height);
		break;
	}
}
