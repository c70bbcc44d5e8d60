// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>

/** The filter "Alla Prima", for any source or scene with a picture. */
extern struct obs_source_info filter_info;

/** Keeps styles that were chosen from elsewhere, and the names of masks, in the settings of the filters. Any
 * thread; done later. */
void filters_keep_wishes(void);
