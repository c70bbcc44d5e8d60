// SPDX-License-Identifier: GPL-2.0-or-later
#include "transitions.h"

#include <callback/signal.h>
#include <obs-frontend-api.h>
#include <obs.h>
#include <string.h>

#include "messages.h"
#include "vendor.h"

static DARRAY(obs_weak_source_t*) hooked;

/** A scene may have a transition of its own, with its own length. */
static int duration_ms_of(obs_source_t* transition, obs_source_t* scene) {
	// A cut takes no time, and a stinger does not say how much.
	if (obs_transition_fixed(transition)) return 0;
	obs_data_t* own = obs_source_get_private_settings(scene);
	const char* name = obs_data_get_string(own, "transition");
	const bool is_own = *name && strcmp(name, obs_source_get_name(transition)) == 0;
	const long long own_ms = obs_data_get_int(own, "transition_duration");
	obs_data_release(own);
	return is_own && own_ms > 0 ? (int)own_ms : obs_frontend_get_transition_duration();
}

/** Entering and leaving studio mode starts transitions from a scene to itself. */
static bool is_same_scene(obs_source_t* a, obs_source_t* b) {
	const char* from = a ? obs_source_get_name(a) : NULL;
	const char* to = obs_source_get_name(b);
	return from && to && strcmp(from, to) == 0;
}

static void tell(obs_source_t* transition, obs_source_t* scene) {
	const char* name = obs_source_get_name(scene);
	if (!name || !*name) return;
	const int duration_ms = duration_ms_of(transition, scene);
	obs_data_t* event = obs_data_create();
	obs_data_set_string(event, "to", name);
	obs_data_set_int(event, "durationMs", duration_ms);
	vendor_emit("scene_switch_started", event);
	messages_scene_switch_started(name, duration_ms);
}

static void on_start(void* param, calldata_t* data) {
	obs_source_t* transition = calldata_ptr(data, "source");
	if (!transition) return;
	obs_source_t* from = obs_transition_get_source(transition, OBS_TRANSITION_SOURCE_A);
	obs_source_t* to = obs_transition_get_source(transition, OBS_TRANSITION_SOURCE_B);
	if (to && !is_same_scene(from, to)) tell(transition, to); // to nothing where a scene collection ends
	obs_source_release(from);
	obs_source_release(to);
}

void transitions_tell_current(void) {
	obs_source_t* transition = obs_frontend_get_current_transition();
	if (!transition) return;
	const char* id = obs_source_get_unversioned_id(transition);
	const bool is_cut = id && strcmp(id, "cut_transition") == 0;
	// A stinger does not say how long it is.
	if (is_cut || !obs_transition_fixed(transition))
		messages_transition(is_cut ? 0 : obs_frontend_get_transition_duration());
	obs_source_release(transition);
}

void transitions_unhook(void) {
	for (size_t i = 0; i < hooked.num; ++i) {
		obs_source_t* transition = obs_weak_source_get_source(hooked.array[i]);
		if (transition)
			signal_handler_disconnect(
				obs_source_get_signal_handler(transition), "transition_start", on_start, NULL
			);
		obs_source_release(transition);
		obs_weak_source_release(hooked.array[i]);
	}
	da_free(hooked);
}

void transitions_hook(void) {
	transitions_unhook();
	struct obs_frontend_source_list list = {0};
	obs_frontend_get_transitions(&list);
	for (size_t i = 0; i < list.sources.num; ++i) {
		obs_source_t* transition = list.sources.array[i];
		obs_weak_source_t* weak = obs_source_get_weak_source(transition);
		da_push_back(hooked, &weak);
		signal_handler_connect(obs_source_get_signal_handler(transition), "transition_start", on_start, NULL);
	}
	obs_frontend_source_list_free(&list);
}
