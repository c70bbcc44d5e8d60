// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>

#include "mask-source.h"

/** The mask's part of the filter's settings and of its dialog. */

void mask_defaults(obs_data_t* settings);
void mask_read_settings(obs_data_t* settings, struct mask_wish* wish);
/** Another name of the same source. */
void mask_keep_setting(obs_data_t* settings, const struct mask_wish* wish);
/** `parent` is what the filter is put on, which cannot be its own mask, or null. The UI's thread. */
void mask_add_properties(
	obs_properties_t* properties, const struct mask_wish* wish, enum mask_state state, obs_source_t* parent
);
