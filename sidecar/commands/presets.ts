import { join } from 'node:path';
import { isTaken, writeGuarded } from '../control/file-guard.ts';
import { bundleOf, BUNDLE_SUFFIX, readPicturedPreset } from '../control/preset-bundle.ts';
import { checkImage, decodeReference } from '../control/reference-image.ts';
import { removePreset, savePreset } from '../control/preset-store.ts';
import { findPreset, findPresetFile, listPresets, presetFolders, PRESET_SUFFIX } from '../control/presets.ts';
import { SidecarError } from '../errors.ts';
import { printTable, printValue } from './print.ts';

export const listPresetsCommand = async ({ json }: { json: boolean }): Promise<void> => {
	const files = await listPresets();
	if (json) {
		printValue(
			files.map(({ name, path, ...file }) => ({
				name,
				path,
				...('preset' in file ? { preset: file.preset } : { error: file.error.message }),
			})),
		);
		return;
	}
	printTable(
		files.map(({ name, ...file }) =>
			'preset' in file
				? [name, file.preset.title, file.preset.model, file.preset.prompt ?? `as in ${file.preset.reference}`]
				: [name, 'cannot be used', '', file.error.message.split('\n')[0]!],
		),
	);
};

export const showPreset = async (style: string, { json }: { json: boolean }): Promise<void> => {
	const preset = await findPreset(style);
	if (json) printValue(preset);
	else
		printTable(
			Object.entries(preset).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
		);
};

/** Checks preset files and bundles with their pictures, or every preset there is. Errors: ERR_STYLE, for the first that fails, after all were checked. */
export const checkPresets = async (paths: string[], { json }: { json: boolean }): Promise<void> => {
	const checked = paths.length
		? await Promise.all(
				paths.map((path) =>
					checkPictured(path).then(
						() => ({ path, error: undefined }),
						(error: Error) => ({ path, error }),
					),
				),
			)
		: (await listPresets()).map((file) => ({ path: file.path, error: 'error' in file ? file.error : undefined }));
	if (json)
		printValue(checked.map(({ path, error }) => ({ path, ok: !error, ...(error && { error: error.message }) })));
	else printTable(checked.map(({ path, error }) => [error ? 'failed' : 'ok', path]));
	const failed = checked.filter(({ error }) => error);
	if (failed.length) throw new SidecarError('ERR_STYLE', failed.map(({ error }) => error!.message).join('\n'));
};

/** As painting reads it. */
const checkPictured = async (path: string): Promise<void> => {
	const { reference } = (await readPicturedPreset(path)).pictures;
	if (reference) await decodeReference(checkImage(reference.bytes, `${path}: the reference`));
};

/**
 * Puts a bundle or a preset file into the folder of the user's own. Errors: ERR_STYLE, also where one of that name is
 * there, unless `force` replaces it.
 */
export const importPreset = async (file: string, { force, json }: { force: boolean; json: boolean }): Promise<void> => {
	const pictured = await readPicturedPreset(file);
	const { name } = pictured.preset;
	const path = await savePreset(pictured, { folder: ownFolder(), replace: force });
	const replacesOurs = await isOurs(name);
	if (json) return printValue({ name, path, replacesOurs });
	printTable([[name, path]]);
	if (replacesOurs)
		process.stderr.write(`${name} now stands for the one that comes with Alla Prima, until: presets remove ${name}\n`);
};

/** Writes a preset with its pictures as one file. Errors: ERR_STYLE, also where the file is there, unless `force`. */
export const exportPreset = async (
	name: string,
	file: string | undefined,
	{ force, json }: { force: boolean; json: boolean },
): Promise<void> => {
	const pictured = await readPicturedPreset((await findPresetFile(name)).path);
	const path = file ?? `${pictured.preset.name}${BUNDLE_SUFFIX}`;
	await writeGuarded([{ path, content: bundleOf(pictured) }], { replace: force });
	if (json) printValue({ name, path });
	else printTable([[name, path]]);
};

/** Removes one of the user's own. Errors: ERR_STYLE. */
export const removePresetCommand = async (name: string, { json }: { json: boolean }): Promise<void> => {
	const path = await removePreset(name, ownFolder());
	const bringsBackOurs = await isOurs(name);
	if (json) return printValue({ name, path, bringsBackOurs });
	printTable([[name, path]]);
	if (bringsBackOurs) process.stderr.write(`${name} is the one that comes with Alla Prima again\n`);
};

const ownFolder = (): string => presetFolders()[0]!;

const isOurs = (name: string): Promise<boolean> => isTaken(join(presetFolders()[1]!, name + PRESET_SUFFIX));
