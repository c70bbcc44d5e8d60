import { join } from 'node:path';
import { PICTURE_BYTES_MAX, type Preset } from '../config/schema/preset.ts';
import { isSidecarError } from '../errors.ts';
import { isTaken, readGuarded } from './file-guard.ts';
import { pictureOf, type PresetPicture } from './preset-bundle.ts';
import { PRESET_SUFFIX } from './presets.ts';

/** The picture that a preset has beside its file; undefined where it names none, or none that can be read. */
export const ownThumbnail = async (
	{ name, thumbnail }: Pick<Preset, 'name' | 'thumbnail'>,
	folders: readonly string[],
): Promise<PresetPicture | undefined> => {
	if (thumbnail === undefined) return undefined;
	for (const folder of folders) {
		if (!(await isTaken(join(folder, `${name}${PRESET_SUFFIX}`)))) continue;
		const path = join(folder, thumbnail);
		try {
			const bytes = await readGuarded(path, { byteLengthMax: PICTURE_BYTES_MAX.thumbnail, follow: false });
			return pictureOf(bytes, 'thumbnail', `${path}:`);
		} catch (error) {
			if (isSidecarError(error)) return undefined;
			throw error;
		}
	}
	return undefined;
};
