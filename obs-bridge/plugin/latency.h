// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LATENCY_WINDOW 120U

/** The last delays from capture to show, in microseconds. One thread. */
struct latency {
	int32_t delays_us[LATENCY_WINDOW];
	uint32_t count;
	uint32_t next;
};

struct latency_summary {
	double p50_ms;
	double p95_ms;
};

void latency_add(struct latency* latency, int64_t delay_us);
/** Forgets all delays: of another time they say nothing. */
void latency_clear(struct latency* latency);
/** False where there is none. */
bool latency_summarize(const struct latency* latency, struct latency_summary* summary);
