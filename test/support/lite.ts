import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EditUnetManifest } from '../../sidecar/config/schema/manifest.ts';
import { isOfFamily, openModelFolder, type ModelFolder } from '../../sidecar/inference/manifest.ts';

export const LITE = fileURLToPath(new URL('../../models/lite', import.meta.url));

/** The embedded model, known to be of its family. */
export const openLite = async (): Promise<ModelFolder<EditUnetManifest>> => {
	const folder = await openModelFolder(LITE);
	if (!isOfFamily(folder, 'edit-unet')) throw new TypeError(`${LITE} is of the family ${folder.manifest.family}`);
	return folder;
};

/** A copy of the embedded model, to be damaged. */
export const copyOfLite = async (): Promise<string> => {
	const folder = join(await mkdtemp(join(tmpdir(), 'allaprima-model-')), 'lite');
	await cp(LITE, folder, { recursive: true });
	return folder;
};

/** Changes `model.json` of a copy. */
export const editManifest = async (folder: string, edit: (manifest: any) => void): Promise<void> => {
	const path = join(folder, 'model.json');
	const manifest = JSON.parse(await readFile(path, 'utf8'));
	edit(manifest);
	await writeFile(path, JSON.stringify(manifest));
};
