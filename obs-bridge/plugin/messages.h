// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>
#include <stdbool.h>

#include "link.h"

/** What is said to the sidecar and what is heard of it: obs-bridge/protocol.md. */

#define PROTOCOL_VERSION 1

enum heard { HEARD_MESSAGE, HEARD_HELLO, HEARD_OTHER_PROTOCOL, HEARD_NONSENSE };

// For link.c, on its thread.

/** Says hello, and marks everything as not yet told. */
void messages_greet(void);
/** Says what has changed. */
void messages_say_news(void);
/** Hears a line; before the hello, nothing else is a message. */
enum heard messages_hear(const char* line, bool is_up);
void messages_link_changed(enum link_state state);

// For the rest, any thread. What the sidecar cannot be told now, for there is none, is dropped.

/** `stream_id` is null where the command is for all. */
void messages_command(const char* stream_id, obs_data_t* command);
void messages_scene_switch_started(const char* scene, int duration_ms);
/** Of the transition chosen now; told to whoever comes later, too. */
void messages_transition(int duration_ms);
/** All scenes that there are now; told to whoever comes later, too. */
void messages_scenes(obs_data_array_t* scenes);
void messages_stream_removed(const char* stream_id);

/** Frees what was not said. */
void messages_unload(void);
