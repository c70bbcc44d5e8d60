// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <util/base.h>

#define log_at(level, format, ...) blog(level, "[allaprima] " format, ##__VA_ARGS__)
#define log_info(format, ...) log_at(LOG_INFO, format, ##__VA_ARGS__)
#define log_warning(format, ...) log_at(LOG_WARNING, format, ##__VA_ARGS__)
