// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** The most that a path of a unix socket may have, with its end. */
#define SOCKET_PATH_BYTES 108

/**
 * The path of the socket called `name` in the folder of the project that this user alone can enter, and that
 * is there afterwards: what ringSocketPath of sidecar/frame/shared-ring.ts gives. False where somebody else
 * has made the folder, or the path is too long.
 */
bool runtime_socket_path(const char* name, char path[SOCKET_PATH_BYTES]);

/** Removes the sockets of taps, obs-PID-*.sock, that an OBS which was killed left there. */
void runtime_sweep(void);
