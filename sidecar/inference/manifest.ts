import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { open, readFile, readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { graphOf, int8GraphsOf, ModelManifest, type GraphRole, type GraphSpec } from '../config/schema/manifest.ts';
import { parse } from '../config/schema/parse.ts';
import { SidecarError } from '../errors.ts';
import { checkCausalModel } from './causal/cache-shape.ts';
import { externalTensors, type ExternalTensor } from './external-data.ts';
import { GraphSession, type SessionSettings } from './session.ts';
import { readTokenizer } from './tokenizer.ts';

/** A model folder whose manifest and file hashes were checked. */
export interface ModelFolder<Manifest extends ModelManifest = ModelManifest> {
	path: string;
	manifest: Manifest;
}

type Family = ModelManifest['family'];

export const isOfFamily = <Own extends Family>(
	folder: ModelFolder,
	family: Own,
): folder is ModelFolder<Extract<ModelManifest, { family: Own }>> => folder.manifest.family === family;

/** Folders that hold models by name: the one we ship, then the user's own. */
export const modelRoots = (environment: NodeJS.ProcessEnv = process.env): string[] => [
	fileURLToPath(new URL('../../models', import.meta.url)),
	join(environment['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'allaprima', 'models'),
];

export const listModelFolders = async (roots: readonly string[] = modelRoots()): Promise<string[]> => {
	const folders: string[] = [];
	for (const root of roots) {
		const names = await readdir(root).catch(() => []);
		// A hidden folder is one that is being imported.
		const seen = names.filter((name) => !name.startsWith('.'));
		folders.push(...seen.map((name) => join(root, name)).filter((path) => existsSync(join(path, 'model.json'))));
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

/** Checks a folder's `model.json` alone; `text` is what was read. Errors: ERR_MODEL. */
export const readManifest = async (path: string): Promise<{ manifest: ModelManifest; text: string }> => {
	const manifestPath = join(path, 'model.json');
	const text = (await readModelFile(manifestPath)).toString('utf8');
	let json: unknown;
	try {
		json = JSON.parse(text);
	} catch (cause) {
		throw new SidecarError('ERR_MODEL', `${manifestPath} is not JSON: ${(cause as Error).message}`, { cause });
	}
	const manifest = parse(ModelManifest, json, manifestPath, 'ERR_MODEL');
	if (manifest.family === 'causal-dit') checkCausalModel(manifest);
	return { manifest, text };
};

/** Reads a model folder and checks its manifest and the sha256 of every file. Errors: ERR_MODEL. */
export const openModelFolder = async (path: string): Promise<ModelFolder> => {
	const { manifest } = await readManifest(path);
	await checkFiles(path, filesOf(manifest));
	return { path, manifest };
};

/** A file of a model's folder, and what it must be. */
export interface ModelFile {
	file: string;
	sha256: string;
}

/** Every file that a manifest names, each once: graphs may share their weights. */
export const filesOf = (manifest: ModelManifest): ModelFile[] => {
	const { graphs, textEncoder } = manifest;
	const named = [
		...Object.values(graphs).flatMap(filesOfGraph),
		...Object.values(int8GraphsOf(manifest)),
		{ file: textEncoder.tokenizer, sha256: textEncoder.tokenizerSha256 },
	];
	return [...new Map(named.map(({ file, sha256 }) => [`${file} ${sha256}`, { file, sha256 }])).values()];
};

/** A graph and its weights. */
export const filesOfGraph = ({ file, sha256, externalData = [] }: GraphSpec): ModelFile[] => [
	{ file, sha256 },
	...externalData,
];

/** Of the graphs with their weights, as they are loaded: int8 variants left out. Errors: ERR_MODEL. */
export const modelBytes = async ({ path, manifest }: ModelFolder): Promise<number> => {
	let bytes = 0;
	for (const { file } of Object.values(manifest.graphs).flatMap(filesOfGraph))
		bytes += await byteLengthOf(join(path, file));
	return bytes;
};

/** Throws ERR_MODEL unless each file has its sha256. */
export const checkFiles = async (folder: string, files: readonly ModelFile[]): Promise<void> => {
	for (const { file, sha256 } of files) expectHash(join(folder, file), await sha256Of(join(folder, file)), sha256);
};

/** Throws ERR_MODEL unless the hash is the expected one. */
export const expectHash = (path: string, actual: string, expected: string): void => {
	if (actual !== expected)
		throw new SidecarError(
			'ERR_MODEL',
			`${path} has sha256 ${actual}, expected ${expected}. The file was changed or damaged: get the model anew.`,
		);
};

/** Of a file of any size. Errors: ERR_MODEL. */
const sha256Of = async (path: string): Promise<string> => {
	const hash = createHash('sha256');
	try {
		await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe would wait for its writer
		if (!(await file.stat()).isFile()) throw Object.assign(new Error('it is no file'), { code: 'no file' });
		for await (const block of file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 }))
			hash.update(block as Buffer);
	} catch (cause) {
		throw unreadable(path, cause);
	}
	return hash.digest('hex');
};

/** Everything that can be checked of a model without painting: hashes, tokenizer, graphs, shapes. Errors: ERR_MODEL. */
export const verifyModel = async (path: string): Promise<ModelManifest> => {
	const folder = await openModelFolder(path);
	await readTokenizer(folder);
	for (const [precision, graphs] of [
		['fp32', folder.manifest.graphs],
		['int8', int8GraphsOf(folder.manifest)],
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
export const openGraph = async (
	{ path, manifest }: ModelFolder,
	role: GraphRole,
	provider: Parameters<typeof GraphSession.open>[2],
	precision: Precision = 'fp32',
	settings?: SessionSettings,
): Promise<GraphSession> => {
	const spec = { ...graphOf(manifest, role), ...(precision === 'int8' && int8GraphsOf(manifest)[role]) };
	const what = `model ${manifest.name}, graph ${role}${precision === 'int8' ? ' in int8' : ''}`;
	await checkExternalData(path, spec, what);
	return await GraphSession.open(join(path, spec.file), spec, provider, what, settings);
};

/** onnxruntime reads whatever file a graph names for its weights: only those of the manifest, and only what they have. */
const checkExternalData = async (folder: string, spec: GraphSpec, what: string): Promise<void> => {
	const path = join(folder, spec.file);
	const known = (spec.externalData ?? []).map(({ file }) => file);
	let tensors: ExternalTensor[];
	try {
		tensors = externalTensors(await readModelFile(path));
	} catch (cause) {
		if (cause instanceof SidecarError) throw cause;
		throw new SidecarError('ERR_MODEL', `The ${what} is no ONNX file: it has ${(cause as Error).message}.`, { cause });
	}
	const sizes = new Map<string, number>();
	for (const file of known) sizes.set(file, await byteLengthOf(join(folder, file)));
	for (const { name, location, offset, length } of tensors) {
		const size = sizes.get(location);
		if (size === undefined)
			throw new SidecarError(
				'ERR_MODEL',
				`The ${what} has the weights ${name} in ${JSON.stringify(location)}, expected one of model.json's externalData ` +
					`(${known.join(', ') || 'none'}). Get the model anew.`,
			);
		if (offset + (length ?? 0) > size)
			throw new SidecarError(
				'ERR_MODEL',
				`The ${what} has the weights ${name} up to byte ${offset + (length ?? 0)} of ${location}, which has ${size}. Get the model anew.`,
			);
	}
};

const byteLengthOf = async (path: string): Promise<number> => {
	try {
		return (await stat(path)).size;
	} catch (cause) {
		throw unreadable(path, cause);
	}
};

const readModelFile = async (path: string): Promise<Buffer> => {
	try {
		return await readFile(path);
	} catch (cause) {
		throw unreadable(path, cause);
	}
};

const unreadable = (path: string, cause: unknown): SidecarError =>
	new SidecarError('ERR_MODEL', `${path} cannot be read (${(cause as NodeJS.ErrnoException).code}).`, { cause });
