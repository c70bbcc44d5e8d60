import { findPreset, listPresets, readPreset } from '../control/presets.ts';
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
				? [name, file.preset.title, file.preset.model, file.preset.prompt]
				: [name, 'cannot be used', '', file.error.message.split('\n')[0]!],
		),
	);
};

export const showPreset = async (style: string, { json }: { json: boolean }): Promise<void> => {
	const preset = await findPreset(style);
	if (json) printValue(preset);
	else printTable(Object.entries(preset).map(([key, value]) => [key, String(value)]));
};

/** Checks preset files, or every preset there is. Errors: ERR_STYLE, for the first that fails, after all were checked. */
export const validatePresets = async (paths: string[], { json }: { json: boolean }): Promise<void> => {
	const checked = paths.length
		? await Promise.all(
				paths.map((path) =>
					readPreset(path).then(
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
