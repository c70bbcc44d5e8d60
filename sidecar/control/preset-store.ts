import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from '../config/schema/parse.ts';
import { PresetName } from '../config/schema/preset.ts';
import { SidecarError } from '../errors.ts';
import { isTaken, makeFolder, writeGuarded } from './file-guard.ts';
import { IMAGE_TYPES } from './image-header.ts';
import { jsonOf, PICTURES, type PicturedPreset, type PictureKind } from './preset-bundle.ts';
import { FILES_MAX, isPresetFile, PRESET_SUFFIX } from './presets.ts';

/** What `allaprima style` takes for something else, and what paints nothing whatever its file says. */
const RESERVED_NAMES = ['next', 'previous', 'passthrough'];

/**
 * Puts a preset with its pictures into the folder of the user's own: NAME.style.json, NAME.thumbnail.png. Names of files
 * are made of the preset's name alone. Gives the path of the preset. Errors: ERR_STYLE, where one of that name is there.
 */
export const savePreset = async (
	{ preset, pictures }: PicturedPreset,
	{ folder, replace }: { folder: string; replace: boolean },
): Promise<string> => {
	const name = nameOf(preset.name);
	if (RESERVED_NAMES.includes(name))
		throw new SidecarError('ERR_STYLE', `No preset of yours can be called ${name}: that is a word of Alla Prima.`);
	const there = (await readdir(folder).catch(() => [])).filter(isPresetFile).length;
	if (!replace && there >= FILES_MAX)
		throw new SidecarError(
			'ERR_STYLE',
			`${folder} has ${there} presets, expected less than ${FILES_MAX}. Remove some.`,
		);
	const files = PICTURES.flatMap((kind) => {
		const picture = pictures[kind];
		return picture ? [{ kind, file: `${name}.${kind}.${picture.type}`, content: picture.bytes }] : [];
	});
	const names: Partial<Record<PictureKind, string>> = Object.fromEntries(files.map(({ kind, file }) => [kind, file]));
	const { mask, ...pictureNames } = names;
	const region = mask !== undefined && typeof preset.region === 'object' ? { ...preset.region, mask } : preset.region;
	const path = join(folder, name + PRESET_SUFFIX);
	await makeFolder(folder);
	await writeGuarded(
		[
			...files.map(({ file, content }) => ({ path: join(folder, file), content })),
			// Last, so that whoever sees it finds its pictures.
			{ path, content: jsonOf({ ...preset, ...pictureNames, ...(region && { region }) }) },
		],
		{ replace },
	);
	if (replace) await removePictures(folder, name, Object.values(names));
	return path;
};

/** Removes one of the user's own with the pictures that `savePreset` gave it. Errors: ERR_STYLE, where there is none. */
export const removePreset = async (name: string, folder: string): Promise<string> => {
	const path = join(folder, nameOf(name) + PRESET_SUFFIX);
	if (!(await isTaken(path)))
		throw new SidecarError('ERR_STYLE', `There is no preset ${name} in ${folder}. Only your own can be removed.`);
	await rm(path).catch((cause: NodeJS.ErrnoException) => {
		throw new SidecarError('ERR_STYLE', `${path} cannot be removed (${cause.code ?? 'unknown error'}).`, { cause });
	});
	await removePictures(folder, name);
	return path;
};

const nameOf = (name: string): string => parse(PresetName, name, 'The name of the preset', 'ERR_STYLE');

const removePictures = async (folder: string, name: string, kept: readonly string[] = []): Promise<void> => {
	const files = PICTURES.flatMap((kind) => IMAGE_TYPES.map((type) => `${name}.${kind}.${type}`));
	for (const file of files) if (!kept.includes(file)) await rm(join(folder, file), { force: true }).catch(() => {}); // a folder, say: not ours
};
