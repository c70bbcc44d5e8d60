import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { ModelManifest } from '../config/schema/manifest.ts';
import { SidecarError } from '../errors.ts';
import { expectHash, filesOf, listModelFolders, modelRoots, readManifest, verifyModel } from './manifest.ts';

const BLOCK_BYTES = 1 << 20;

export interface ImportSettings {
	/** Whether its licence is accepted; asked once the manifest was read and before anything is copied. */
	isAccepted: (manifest: ModelManifest) => Promise<boolean>;
	/** Where models are looked for; the last one takes the model. */
	roots?: readonly string[];
	signal?: AbortSignal;
}

/**
 * Copies a model folder to where models are found by name: what its manifest names, each file's hash checked on the way, the
 * graphs opened and their shapes compared, then moved to its place in one step. Nothing is left of an import that failed.
 * Errors: ERR_MODEL, ERR_CONFIG where the licence was not accepted.
 */
export const importModel = async (
	folder: string,
	{ isAccepted, roots = modelRoots(), signal }: ImportSettings,
): Promise<{ path: string; manifest: ModelManifest }> => {
	const source = resolve(folder);
	await refuseCheckpoint(source);
	const { manifest, text } = await readManifest(source);
	const taken = (await listModelFolders(roots)).find((path) => basename(path) === manifest.name);
	if (taken)
		throw new SidecarError(
			'ERR_MODEL',
			`There is a model ${manifest.name} already, in ${taken}. Remove that folder first, or run the other by its folder: --model ${folder}.`,
		);
	if (!(await isAccepted(manifest)))
		throw new SidecarError(
			'ERR_CONFIG',
			`The licence of ${manifest.name} (${manifest.licence}) was not accepted, and nothing was imported. Say --accept-licence to accept it.`,
		);
	const root = roots.at(-1)!;
	const path = join(root, manifest.name);
	let draft: string | undefined;
	try {
		await mkdir(root, { recursive: true });
		await removeAbandoned(root);
		draft = await mkdtemp(join(root, `.import-${process.pid}-`));
		for (const { file, sha256 } of new Map(filesOf(manifest).map((own) => [own.file, own])).values())
			expectHash(join(source, file), await copyHashed(join(source, file), join(draft, file), signal), sha256);
		await writeFile(join(draft, 'model.json'), text);
		await verifyModel(draft);
		signal?.throwIfAborted();
		await rename(draft, path);
	} catch (cause) {
		throw cause instanceof SidecarError ? cause : notCopied(manifest.name, root, cause);
	} finally {
		if (draft) await rm(draft, { recursive: true, force: true });
	}
	return { path, manifest };
};

/** What the weights were published as cannot be run as it is. */
const refuseCheckpoint = async (source: string): Promise<void> => {
	if (existsSync(join(source, 'model.json'))) return;
	const names = await readdir(source).catch((): string[] => []);
	if (names.some((name) => name === 'model_index.json' || name.endsWith('.safetensors')))
		throw new SidecarError(
			'ERR_MODEL',
			`${source} is a checkpoint, not a model folder. Export it first: training/export-dreamlite ${source} --out FOLDER.`,
		);
};

/** Copies a file and gives its sha256. */
const copyHashed = async (from: string, to: string, signal: AbortSignal | undefined): Promise<string> => {
	await using source = await open(from, constants.O_RDONLY | constants.O_NONBLOCK).catch(
		(cause: NodeJS.ErrnoException) => {
			throw new SidecarError('ERR_MODEL', `${from} cannot be read (${cause.code}).`, { cause });
		},
	);
	if (!(await source.stat()).isFile()) throw new SidecarError('ERR_MODEL', `${from} is not a file.`);
	await using target = await open(to, 'wx');
	const hash = createHash('sha256');
	const block = Buffer.allocUnsafe(BLOCK_BYTES);
	for (;;) {
		signal?.throwIfAborted();
		const { bytesRead } = await source.read(block, 0, BLOCK_BYTES, null);
		if (bytesRead === 0) break;
		hash.update(block.subarray(0, bytesRead));
		await target.writeFile(block.subarray(0, bytesRead));
	}
	await target.sync();
	return hash.digest('hex');
};

/** Drafts of imports that were killed. */
const removeAbandoned = async (root: string): Promise<void> => {
	for (const name of await readdir(root)) {
		const pid = /^\.import-(\d+)-/.exec(name)?.[1];
		if (pid && !isRunning(Number(pid))) await rm(join(root, name), { recursive: true, force: true });
	}
};

const isRunning = (pid: number): boolean => {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
};

const notCopied = (name: string, root: string, cause: unknown): SidecarError => {
	const { code, message, name: kind } = cause as NodeJS.ErrnoException;
	const isAbort = kind === 'AbortError';
	const seen: Record<string, string> = {
		ENOSPC: 'the disk is full. Free some space',
		EDQUOT: 'your share of the disk is used up. Free some space',
		EACCES: 'that folder may not be written to. Change its permissions',
		EROFS: 'that folder is read-only',
		ENOTEMPTY: 'another import brought a model of this name meanwhile',
		EEXIST: 'another import brought a model of this name meanwhile',
	};
	return new SidecarError(
		'ERR_MODEL',
		`The model ${name} was not imported to ${root}: ${isAbort ? 'it was interrupted' : (seen[code ?? ''] ?? message)}. Nothing was left there.`,
		{ cause },
	);
};
