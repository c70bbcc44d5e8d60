// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <obs.h>

/** The source "Alla Prima Output": what a filter paints, in another place. */
extern struct obs_source_info output_source_info;
