// SPDX-License-Identifier: GPL-2.0-or-later
#include "latency.h"

#include <stdlib.h>
#include <string.h>

/** A frame of before a suspend, or of a peer whose stamps are nonsense. */
#define DELAY_MAX_US 60000000

void latency_add(struct latency* latency, int64_t delay_us) {
	if (delay_us < 0 || delay_us > DELAY_MAX_US) return;
	latency->delays_us[latency->next] = (int32_t)delay_us;
	latency->next = (latency->next + 1) % LATENCY_WINDOW;
	if (latency->count < LATENCY_WINDOW) latency->count += 1;
}

void latency_clear(struct latency* latency) {
	latency->count = latency->next = 0;
}

static int compare(const void* a, const void* b) {
	const int32_t x = *(const int32_t*)a, y = *(const int32_t*)b;
	return (x > y) - (x < y);
}

bool latency_summarize(const struct latency* latency, struct latency_summary* summary) {
	if (latency->count == 0) return false;
	int32_t sorted[LATENCY_WINDOW];
	memcpy(sorted, latency->delays_us, latency->count * sizeof sorted[0]);
	qsort(sorted, latency->count, sizeof sorted[0], compare);
	summary->p50_ms = sorted[(latency->count - 1) / 2] / 1000.0;
	summary->p95_ms = sorted[(latency->count - 1) * 95 / 100] / 1000.0;
	return true;
}
