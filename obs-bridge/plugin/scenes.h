// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

/** Says which scenes there are, from the first to the last: for who chooses a style for each. The UI's
 * thread. */
void scenes_tell(void);
