// SPDX-License-Identifier: GPL-2.0-or-later
#include "show.h"

#include <string.h>

static enum shown decide_unpainted(enum failure_policy failure) {
	return failure == FAILURE_PASSTHROUGH ? SHOWN_SOURCE : SHOWN_SLATE;
}

static enum shown decide_held(const struct show_facts* facts) {
	if (!facts->has_painting) return SHOWN_SLATE;
	const bool is_over =
		facts->hold_us > 0 && facts->painting_age_us > facts->stale_after_us + facts->hold_us;
	return is_over ? decide_unpainted(facts->after_hold) : SHOWN_HELD;
}

enum shown show_decide(const struct show_facts* facts) {
	if (facts->is_panic) return SHOWN_SLATE;
	const bool is_fresh = facts->painting_age_us <= facts->stale_after_us;
	if (facts->has_sidecar && facts->has_painting && is_fresh) return SHOWN_PAINTING;
	return facts->failure == FAILURE_HOLD ? decide_held(facts) : decide_unpainted(facts->failure);
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
