// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>

/** What hotkeys and requests can do. Any thread. Each says whether it took effect: without a sidecar most
 * cannot. */

/** `stream_id` is null where all streams are meant. */
bool control_style(const char* stream_id, const char* name);
/** next, previous, toggle: a command without arguments. */
bool control_simple(const char* stream_id, const char* type);
/** At once, and with no help from the sidecar, which is told too. */
void control_panic(bool is_on);
/** Tells a sidecar that has just come. */
void control_tell_panic(void);
