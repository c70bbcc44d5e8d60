// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>

/**
 * "Alla Prima" in OBS's Tools menu: whether the sidecar starts with OBS. The dialog is that of a source which
 * is nowhere else: so plain C has one without Qt, with Cancel and all.
 */
extern struct obs_source_info launch_dialog_info;

void launch_dialog_add_to_menu(void);
