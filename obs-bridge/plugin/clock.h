// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdint.h>
#include <util/platform.h>

/** The monotonic clock, in microseconds: the clock of frame-ring.h and of the sidecar. */
static inline int64_t now_us(void) {
	return (int64_t)(os_gettime_ns() / 1000);
}
