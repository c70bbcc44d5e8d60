// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/** A process that was started here and that does not outlive OBS. */
struct child {
	pid_t pid;
	/** What it says on stdout and stderr: the reading end of a pipe that does not block. */
	int output;
};

/**
 * Starts `arguments[0]`, an absolute path, with nothing of OBS but its environment: no file, no signal that
 * is blocked or ignored, a session of its own. It gets SIGTERM when the calling thread ends, thus also when
 * OBS is killed. Gives 0, or the errno of what failed.
 */
int child_start(struct child* child, char* const arguments[], const char* folder);

/** Whether it has ended; then `status` is as waitpid gives it, and the pid is nobody's any more. */
bool child_has_ended(const struct child* child, int* status);

void child_ask_to_end(const struct child* child);
/** With whatever it has started and left in its session's first group. */
void child_kill(const struct child* child);
