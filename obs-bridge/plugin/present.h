// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "stream.h"

/** What is seen of a stream: decided once a tick, the same for the filter and for every output. Graphics
 * thread. */

/** A new tick. */
void present_tick(struct stream* stream, const struct stream_wishes* wishes);

/** What is shown in this tick. Whoever asks is about to show it. */
enum shown present_decide(struct stream* stream);

/** Draws it at the source's size, in the graphics context; the source itself as it was rendered last. */
void present_draw(struct stream* stream);
