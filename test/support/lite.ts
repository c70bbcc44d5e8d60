import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const LITE = fileURLToPath(new URL('../../models/lite', import.meta.url));

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
