// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "launch-settings.h"

/**
 * Starts the sidecar with OBS, where the streamer wants that, keeps it running, and ends it with OBS. On a
 * thread of its own, whose child it is. Where somebody else's sidecar answers, that one is left to it.
 */

enum launch_state {
	LAUNCH_OFF,
	/** A sidecar answers that was not started here, or ours is about to be started again. */
	LAUNCH_WAITING,
	LAUNCH_RUNNING,
	/** Given up, until the streamer asks again. */
	LAUNCH_FAILED,
};

struct launch_view {
	enum launch_state state;
	/** Of ours while it runs, else 0. */
	pid_t pid;
	/** Why it does not run; empty where nothing is wrong. */
	char problem[LAUNCH_PROBLEM_BYTES];
};

const char* launch_state_name(enum launch_state state);

void launcher_start(void);
/** Reads the settings again, and tries again what was given up. Any thread. */
void launcher_apply(void);
/** Asks for the end, and comes back at once. */
void launcher_end(void);
/** Waits for it: until the sidecar went, or was killed after END_MS. */
void launcher_join(void);

/** Any thread. */
void launcher_view(struct launch_view* view);
