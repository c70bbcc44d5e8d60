// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

/**
 * Says at the start of a transition which scene it goes to: obs-websocket says the scene at the end, and at
 * the start only that there is a transition. The UI's thread.
 */

/** How long the transition takes that is chosen now: so long a change of style fades, unless told otherwise.
 */
void transitions_tell_current(void);

/** Listens to every transition that there is now, and to none that has gone. */
void transitions_hook(void);
void transitions_unhook(void);
