// SPDX-License-Identifier: GPL-2.0-or-later
#include "show.h"

#include <string.h>

enum shown show_decide(const struct show_facts* facts) {
	if (facts->is_panic) return SHOWN_SLATE;
	const bool is_fresh = facts->painting_age_us <= facts->stale_after_us;
	if (facts->has_sidecar && facts->has_painting && is_fresh) return SHOWN_PAINTING;
	switch (facts->failure) {
	case FAILURE_HOLD:
		return facts->has_painting ? SHOWN_HELD : SHOWN_SLATE;
	case FAILURE_SLATE:
		return SHOWN_SLATE;
	case FAILURE_PASSTHROUGH:
		break;
	}
	return SHOWN_SOURCE;
}

const char* shown_name(enum shown shown) {
	static const char* const names[] = {"source", "painting", "held", "slate"};
	return names[shown];
}

static const char* const policies[] = {"passthrough", "hold", "slate"};

const char* failure_policy_name(enum failure_policy failure) {
	return policies[failure];
}

enum failure_policy failure_policy_of(const char* name) {
	if (strcmp(name, policies[FAILURE_HOLD]) == 0) return FAILURE_HOLD;
	if (strcmp(name, policies[FAILURE_SLATE]) == 0) return FAILURE_SLATE;
	return FAILURE_PASSTHROUGH;
}
