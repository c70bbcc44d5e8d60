// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** What stands in the place of a painting that is not there. */
enum failure_policy {
	FAILURE_PASSTHROUGH,
	/** The last painting for a while; before there is one, the slate. */
	FAILURE_HOLD,
	/** A card, and never the source's picture. */
	FAILURE_SLATE,
};

enum shown { SHOWN_SOURCE, SHOWN_PAINTING, SHOWN_HELD, SHOWN_SLATE };

struct show_facts {
	bool is_panic;
	/** A sidecar of our protocol answers. */
	bool has_sidecar;
	/** There is a painting, of whatever age. */
	bool has_painting;
	int64_t painting_age_us;
	int64_t stale_after_us;
	enum failure_policy failure;
	/** How long a painting is held once it is late; 0: for ever. */
	int64_t hold_us;
	/** What stands in its place after that: FAILURE_SLATE or FAILURE_PASSTHROUGH. */
	enum failure_policy after_hold;
};

/** What is shown where a painting is wanted. */
enum shown show_decide(const struct show_facts* facts);

const char* shown_name(enum shown shown);
const char* failure_policy_name(enum failure_policy failure);
/** FAILURE_PASSTHROUGH for what is none. */
enum failure_policy failure_policy_of(const char* name);
