import { createInterface } from 'node:readline/promises';
import type { ModelManifest } from '../config/schema/manifest.ts';
import { SidecarError } from '../errors.ts';
import { findModelFolder, listModelFolders, readManifest, verifyModel } from '../inference/manifest.ts';
import { importModel } from '../inference/model-import.ts';
import { harmlessLines, printTable, printValue } from './print.ts';

const outcomeOf = async <T>(work: Promise<T>): Promise<{ value: T } | { error: Error }> =>
	await work.then(
		(value) => ({ value }),
		(error: Error) => ({ error }),
	);

/** The manifest alone: `models verify` is for what it promises. */
const manifestOf = async (folder: string): Promise<ModelManifest> => (await readManifest(folder)).manifest;

export const listModels = async ({ json }: { json: boolean }): Promise<void> => {
	const models = await Promise.all(
		(await listModelFolders()).map(async (path) => ({ path, outcome: await outcomeOf(manifestOf(path)) })),
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

/** Shows the licence of a model folder, asks for a yes and takes the model in. Errors: ERR_MODEL, ERR_CONFIG. */
export const importModelFolder = async (
	folder: string,
	{ acceptLicence, json, signal }: { acceptLicence: boolean; json: boolean; signal: AbortSignal },
): Promise<void> => {
	const isAccepted = async (manifest: ModelManifest): Promise<boolean> => {
		const { name, version, licence, licenceNotice } = manifest;
		const lines = [`${name} ${version}: licence ${licence}`, ...(licenceNotice ? [licenceNotice] : [])];
		process.stderr.write(`${harmlessLines(lines.join('\n'))}\n`);
		return acceptLicence || (await askForYes(signal));
	};
	const { path, manifest } = await importModel(folder, { isAccepted, signal });
	if (json) printValue({ path, name: manifest.name, version: manifest.version, licence: manifest.licence });
	else printTable([['imported', manifest.name, manifest.version, path]]);
};

/** Where nobody sits at a terminal, the answer is no. */
const askForYes = async (signal: AbortSignal): Promise<boolean> => {
	if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
	const terminal = createInterface({ input: process.stdin, output: process.stderr });
	try {
		return /^y(es)?$/i.test((await terminal.question('Do you accept it? [y/N] ', { signal })).trim());
	} catch {
		return false;
	} finally {
		terminal.close();
	}
};
