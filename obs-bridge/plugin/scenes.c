// SPDX-License-Identifier: GPL-2.0-or-later
#include "scenes.h"

#include <obs-frontend-api.h>
#include <util/bmem.h>

#include "messages.h"

/** As many as the sidecar takes. */
#define SCENES_MAX 1000
/** Of all names together, as JSON writes them: they go in one line. */
#define NAMES_BYTES_MAX (LINK_LINE_BYTES_MAX / 2)

/** A control character is six bytes in JSON, and the rest of an entry a dozen. */
static size_t json_bytes(const char* name) {
	size_t bytes = 16;
	for (; *name; ++name) bytes += (unsigned char)*name < 0x20 ? 6 : *name == '"' || *name == '\\' ? 2 : 1;
	return bytes;
}

void scenes_tell(void) {
	char** names = obs_frontend_get_scene_names();
	if (!names) return;
	obs_data_array_t* scenes = obs_data_array_create();
	size_t bytes = 0;
	for (size_t i = 0; names[i] && i < SCENES_MAX; ++i) {
		bytes += json_bytes(names[i]);
		if (bytes > NAMES_BYTES_MAX) break;
		obs_data_t* scene = obs_data_create();
		obs_data_set_string(scene, "name", names[i]);
		obs_data_array_push_back(scenes, scene);
		obs_data_release(scene);
	}
	messages_scenes(scenes);
	obs_data_array_release(scenes);
	bfree(names);
}
