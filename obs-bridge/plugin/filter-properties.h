// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>

#include "stream.h"

#define SETTING_STYLE "style"
/** Finds the filter again for its outputs, in another run of OBS too. */
#define SETTING_KEY "key"

void filter_defaults(obs_data_t* settings);

/** Settings come from files and requests too: what is out of range is brought into it. */
void filter_read_settings(obs_data_t* settings, struct stream_wishes* wishes);

/** The dialog; `parent` is what the filter is put on, or null. The UI's thread. */
obs_properties_t* filter_properties(struct stream* stream, obs_source_t* parent);
