#pragma once

#include "picture.hpp"

namespace allaprima {

/** `target = alpha * a + (1 - alpha) * b`, RGB of one size; `target` may be `a` or `b`. */
void blend(const Picture& a, const Picture& b, double alpha, const Picture& target);

}
