// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Whether no pixel of a row (BGRA) lets anything through. */
bool is_row_opaque(const uint8_t* row, size_t pixels);

/**
 * Copies a row of sRGB pixels (BGRA) whose light was multiplied by their alpha, with that divided
 * out: what a painter can use. On the CPU, since most pictures are opaque and need nothing: a pass on the GPU
 * would always cost.
 */
void copy_row_straight(uint8_t* to, const uint8_t* from, size_t pixels);
