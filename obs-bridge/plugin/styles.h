// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>

/**
 * The styles that the sidecar has, kept in the plugin's folder of OBS's configuration: so the list and the
 * hotkeys are there before the sidecar is.
 */

void styles_load(void);
void styles_unload(void);

/** [{"name", "title"}] of the sidecar; what is no such thing is left out. The link's thread. */
void styles_learn(obs_data_array_t* styles);

/** [{"name", "title"}], for the caller to release. Any thread. */
obs_data_array_t* styles_list(void);
