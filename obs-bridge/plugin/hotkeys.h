// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

/** Hotkeys of OBS itself, which work while another program has the focus. Their bindings are kept in the
 * profile. */

void hotkeys_load(void);
void hotkeys_unload(void);

/** One for a style, unless it has one. Any thread. */
void hotkeys_add_style(const char* name, const char* title);

/** Gives every hotkey the keys that the profile says; from when there is a profile. The UI's thread. */
void hotkeys_restore(void);
