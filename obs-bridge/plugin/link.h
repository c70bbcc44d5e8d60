// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>

/**
 * The line to the sidecar: a thread that connects to `sidecar.sock` in the runtime folder, again and again,
 * and speaks obs-bridge/protocol.md, a line of JSON a message. What is said is in messages.c.
 */

enum link_state {
	LINK_ABSENT,
	/** A sidecar of our protocol answered. */
	LINK_UP,
	LINK_OTHER_PROTOCOL,
};

#define LINK_LINE_BYTES_MAX 65536

void link_start(void);
/** Hangs up for good. */
void link_stop(void);
/** When nobody is left who could wake it. */
void link_unload(void);

enum link_state link_state(void);

/** Whether anybody listens where a sidecar would, ours or another. Any thread; does not wait. */
bool link_is_answered(void);

/** There may be something to say. Any thread. */
void link_wake(void);

/**
 * Says one line, without its end. Only for messages.c, when the link asks it what there is to say. False
 * where the sidecar listens too slowly and the line was dropped.
 */
bool link_say(const char* line);
