import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ModelManifest, parse, type GraphRole } from '../config/schema.ts';
import { SidecarError } from '../errors.ts';
import { GraphSession } from './session.ts';
import { readTokenizer } from './tokenizer.ts';

/** A model folder whose manifest and file hashes were checked. */
export interface ModelFolder {
	path: string;
	manifest: ModelManifest;
}

/** Folders that hold models by name: the one we ship, then the user's own. */
export const modelRoots = (environment: NodeJS.ProcessEnv = process.env): string[] => [
	fileURLToPath(new URL('../../models', import.meta.url)),
	join(environment['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'allaprima', 'models'),
];

export const listModelFolders = async (roots: readonly string[] = modelRoots()): Promise<string[]> => {
	const folders: string[] = [];
	for (const root of roots) {
		const names = await readdir(root).catch(() => []);
		folders.push(...names.map((name) => join(root, name)).filter((path) => existsSync(join(path, 'model.json'))));
	}
	return folders;
};

/** The folder of a model given by name or as a folder. Errors: ERR_MODEL. */
export const findModelFolder = async (nameOrFolder: string): Promise<string> => {
	if (/[/\\]|^\.+$/.test(nameOrFolder)) return resolve(nameOrFolder);
	const folders = await listModelFolders();
	const found = folders.find((path) => basename(path) === nameOrFolder);
	if (found) return found;
	throw new SidecarError(
		'ERR_MODEL',
		`There is no model named ${nameOrFolder}. Known: ${folders.map((path) => basename(path)).join(', ') || 'none'}. ` +
			'Give one of these, or the folder of a model.',
	);
};

/** Reads a model folder and checks its manifest and the sha256 of every file. Errors: ERR_MODEL. */
export const openModelFolder = async (path: string): Promise<ModelFolder> => {
	const manifestPath = join(path, 'model.json');
	const text = (await readModelFile(manifestPath)).toString('utf8');
	let json: unknown;
	try {
		json = JSON.parse(text);
	} catch (cause) {
		throw new SidecarError('ERR_MODEL', `${manifestPath} is not JSON: ${(cause as Error).message}`, { cause });
	}
	const manifest = parse(ModelManifest, json, manifestPath, 'ERR_MODEL');
	const files = [...Object.values(manifest.graphs), ...Object.values(manifest.int8 ?? {})].map(({ file, sha256 }) => ({
		file,
		sha256,
	}));
	files.push({ file: manifest.textEncoder.tokenizer, sha256: manifest.textEncoder.tokenizerSha256 });
	for (const { file, sha256 } of files) {
		const actual = createHash('sha256')
			.update(await readModelFile(join(path, file)))
			.digest('hex');
		if (actual !== sha256)
			throw new SidecarError(
				'ERR_MODEL',
				`${join(path, file)} has sha256 ${actual}, expected ${sha256}. The file was changed or damaged: get the model anew.`,
			);
	}
	return { path, manifest };
};

/** Everything that can be checked of a model without painting: hashes, tokenizer, graphs, shapes. Errors: ERR_MODEL. */
export const verifyModel = async (path: string): Promise<ModelManifest> => {
	const folder = await openModelFolder(path);
	await readTokenizer(folder);
	for (const [precision, graphs] of [
		['fp32', folder.manifest.graphs],
		['int8', folder.manifest.int8 ?? {}],
	] as const)
		for (const role of Object.keys(graphs) as GraphRole[]) {
			await using session = await openGraph(folder, role, 'cpu', precision);
			void session;
		}
	return folder.manifest;
};

/** Arithmetic of one graph. */
export type Precision = 'fp32' | 'int8';

/** `int8` takes a role that the manifest has in int8. Errors: ERR_MODEL, ERR_PROVIDER. */
export const openGraph = (
	{ path, manifest }: ModelFolder,
	role: GraphRole,
	provider: Parameters<typeof GraphSession.open>[2],
	precision: Precision = 'fp32',
): Promise<GraphSession> => {
	const spec = { ...manifest.graphs[role], ...(precision === 'int8' && manifest.int8?.[role]) };
	const what = `model ${manifest.name}, graph ${role}${precision === 'int8' ? ' in int8' : ''}`;
	return GraphSession.open(join(path, spec.file), spec, provider, what);
};

const readModelFile = async (path: string): Promise<Buffer> => {
	try {
		return await readFile(path);
	} catch (cause) {
		throw new SidecarError('ERR_MODEL', `${path} cannot be read (${(cause as NodeJS.ErrnoException).code}).`, {
			cause,
		});
	}
};
