import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelManifest, parse } from '../config/schema.ts';
import { SidecarError } from '../errors.ts';
import { findModelFolder, listModelFolders, verifyModel } from '../inference/manifest.ts';
import { printTable, printValue } from './print.ts';

/** The manifest alone: `models verify` is for what it promises. */
const readManifest = async (folder: string): Promise<ModelManifest> => {
	const path = join(folder, 'model.json');
	return parse(ModelManifest, JSON.parse(await readFile(path, 'utf8')), path, 'ERR_MODEL');
};

const outcomeOf = async <T>(work: Promise<T>): Promise<{ value: T } | { error: Error }> =>
	await work.then(
		(value) => ({ value }),
		(error: Error) => ({ error }),
	);

export const listModels = async ({ json }: { json: boolean }): Promise<void> => {
	const models = await Promise.all(
		(await listModelFolders()).map(async (path) => ({ path, outcome: await outcomeOf(readManifest(path)) })),
	);
	if (json) {
		printValue(
			models.map(({ path, outcome }) => {
				if ('error' in outcome) return { path, error: outcome.error.message };
				const { name, version, title, licence, styles } = outcome.value;
				return { path, name, version, title, licence, styles };
			}),
		);
		return;
	}
	printTable(
		models.map(({ path, outcome }) => {
			if ('error' in outcome) return ['cannot be used', '', '', '', path];
			const { name, version, licence, styles } = outcome.value;
			return [name, version, licence, styles.join(' '), path];
		}),
	);
};

/** Checks one model, or all there are. Errors: ERR_MODEL, after all were checked. */
export const verifyModels = async (nameOrFolder: string | undefined, { json }: { json: boolean }): Promise<void> => {
	const folders = nameOrFolder ? [await findModelFolder(nameOrFolder)] : await listModelFolders();
	if (!folders.length) throw new SidecarError('ERR_MODEL', 'There is no model to verify.');
	const checked: { path: string; outcome: { value: ModelManifest } | { error: Error } }[] = [];
	for (const path of folders) checked.push({ path, outcome: await outcomeOf(verifyModel(path)) });
	if (json)
		printValue(
			checked.map(({ path, outcome }) =>
				'error' in outcome
					? { path, ok: false, error: outcome.error.message }
					: { path, ok: true, name: outcome.value.name, version: outcome.value.version },
			),
		);
	else printTable(checked.map(({ path, outcome }) => ['error' in outcome ? 'failed' : 'ok', path]));
	const errors = checked.flatMap(({ outcome }) => ('error' in outcome ? [outcome.error] : []));
	if (errors.length === 1) throw errors[0]!;
	if (errors.length) throw new SidecarError('ERR_MODEL', errors.map(({ message }) => message).join('\n'));
};
