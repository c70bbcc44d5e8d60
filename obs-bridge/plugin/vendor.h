// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>

#include "stream.h"

/**
 * The vendor "allaprima" of obs-websocket: requests and events for Companion, Streamer.bot and others.
 * Without obs-websocket all of it does nothing.
 */

/** When all modules are loaded. */
void vendor_load(void);
/** Before obs-websocket goes. */
void vendor_unload(void);

/** Emits an event, and lets go of its data. Any thread. */
void vendor_emit(const char* event, obs_data_t* data);

/** What every event of a stream begins with: {"id", "stream"}. */
obs_data_t* vendor_stream_event(struct stream* stream);
