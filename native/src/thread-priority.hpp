#pragma once

namespace allaprima {

/** As far as a thread can be lowered. */
constexpr int PRIORITY_STEPS_MAX = 19;

/**
 * Lowers the share of the cores that the calling thread gets when others want them too, by steps of `nice`.
 * False where the system has no such thing for a single thread, or refuses.
 */
bool lowerThreadPriority(int steps);

}
