import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../.cache/lavapipe', import.meta.url));

/** Mesa's Vulkan driver in software, which scripts/setup --tests unpacks on Linux x64. */
export const hasLavapipe = existsSync(`${folder}/lvp_icd.json`);

/**
 * What makes it a process's only Vulkan driver. Most of what it does is compiling shaders: it does not optimise them, and
 * keeps them between runs.
 */
export const LAVAPIPE: NodeJS.ProcessEnv = {
	VK_DRIVER_FILES: `${folder}/lvp_icd.json`,
	VK_ICD_FILENAMES: `${folder}/lvp_icd.json`, // for loaders before 1.3.207
	LD_LIBRARY_PATH: folder,
	MESA_SHADER_CACHE_DIR: `${folder}/shaders`,
	GALLIVM_PERF: 'nopt',
	XDG_RUNTIME_DIR: folder,
};
