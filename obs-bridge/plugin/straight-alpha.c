// SPDX-License-Identifier: GPL-2.0-or-later
#include "straight-alpha.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define ENCODED_STEPS 4096

static float light_of[256];
static uint8_t encoded_of[ENCODED_STEPS + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/** IEC 61966-2-1. */
static void fill_tables(void) {
	for (int value = 0; value < 256; ++value) {
		const double encoded = value / 255.0;
		light_of[value] = (float)(encoded <= 0.04045 ? encoded / 12.92 : pow((encoded + 0.055) / 1.055, 2.4));
	}
	for (int step = 0; step <= ENCODED_STEPS; ++step) {
		const double light = (double)step / ENCODED_STEPS;
		const double encoded = light <= 0.0031308 ? 12.92 * light : 1.055 * pow(light, 1 / 2.4) - 0.055;
		encoded_of[step] = (uint8_t)lround(255.0 * encoded);
	}
}

bool is_row_opaque(const uint8_t* row, size_t pixels) {
	uint8_t all = 255;
	for (size_t i = 0; i < pixels; ++i) all &= row[4 * i + 3];
	return all == 255;
}

static uint8_t divide(uint8_t value, float by_alpha) {
	const float light = light_of[value] * by_alpha;
	return light >= 1.0f ? 255 : encoded_of[(int)(light * ENCODED_STEPS + 0.5f)];
}

void copy_row_straight(uint8_t* to, const uint8_t* from, size_t pixels) {
	pthread_once(&once, fill_tables);
	for (const uint8_t* end = from + 4 * pixels; from < end; from += 4, to += 4) {
		const uint8_t alpha = from[3];
		if (alpha == 0 || alpha == 255) {
			memcpy(to, from, 4);
			continue;
		}
		const float by_alpha = 255.0f / (float)alpha;
		for (int channel = 0; channel < 3; ++channel) to[channel] = divide(from[channel], by_alpha);
		to[3] = alpha;
	}
}
