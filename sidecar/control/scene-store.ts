import { realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readJsonText, withJsonValue } from '../config/json-text.ts';
import { SceneFile, type SceneStyle } from '../config/schema/obs-scenes.ts';
import { parse } from '../config/schema/parse.ts';
import { isSidecarError, SidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';
import { isTaken, makeFolder, readGuarded, writeGuarded } from './file-guard.ts';
import { dataFolder } from './presets.ts';

/** A configuration or a table that is larger was written by nobody. */
const FILE_BYTES = 1024 * 1024;
const KEPT_FILE = 'scenes.json';

export interface SceneStoreOptions {
	/** That the run was started with; undefined where it had none. */
	configurationFile: string | undefined;
	environment?: Record<string, string | undefined>;
}

/**
 * Keeps the table of scenes from run to run: in the configuration file, at `obs.scenes` and nowhere else in it, or without
 * one in the user's data folder.
 */
export class SceneStore {
	readonly #configurationFile: string | undefined;
	readonly #keptFile: string;
	/** One write at a time, in their order. */
	#writing: Promise<unknown> = Promise.resolve();

	constructor({ configurationFile, environment = process.env }: SceneStoreOptions) {
		this.#configurationFile = configurationFile;
		this.#keptFile = join(dataFolder(environment), KEPT_FILE);
	}

	/** What a run without a table in its configuration begins with; nothing, with a warning, where the file cannot be used. */
	async load(): Promise<SceneStyle[]> {
		if (!(await isTaken(this.#keptFile))) return [];
		try {
			const { value } = await readText(this.#keptFile);
			return rowsOf(parse(SceneFile, value, this.#keptFile).scenes);
		} catch (error) {
			if (!isSidecarError(error)) throw error;
			log.warn({ reason: error.message }, 'the kept table of scenes is left out');
			return [];
		}
	}

	/** Gives the file that has it now. Errors: ERR_CONFIG, where a file cannot be read, is broken or cannot be written. */
	keep(rows: readonly SceneStyle[]): Promise<string> {
		const kept = this.#writing.then(() =>
			this.#keep(Object.fromEntries(rows.map(({ scene, style }) => [scene, style]))),
		);
		this.#writing = kept.catch(() => {});
		return kept;
	}

	async #keep(scenes: Record<string, string>): Promise<string> {
		try {
			return this.#configurationFile === undefined
				? await this.#keepAlone(scenes)
				: await keepInConfiguration(this.#configurationFile, scenes);
		} catch (error) {
			if (!isSidecarError(error)) throw error;
			throw new SidecarError('ERR_CONFIG', error.message, { cause: error });
		}
	}

	async #keepAlone(scenes: Record<string, string>): Promise<string> {
		const path = this.#keptFile;
		// What somebody wrote by hand and cannot be read is theirs to mend, not ours to lose.
		if (await isTaken(path)) await readText(path);
		await makeFolder(dirname(path));
		const file: SceneFile = { format: 'allaprima-scenes', formatVersion: 1, scenes };
		await writeGuarded([{ path, content: `${JSON.stringify(file, null, '\t')}\n` }], { replace: true });
		return path;
	}
}

const rowsOf = (scenes: Record<string, string>): SceneStyle[] =>
	Object.entries(scenes).map(([scene, style]) => ({ scene, style }));

/** Read again each time: whatever else was changed in it meanwhile stays. The file that a link leads to is the one meant. */
const keepInConfiguration = async (path: string, scenes: Record<string, string>): Promise<string> => {
	const own = await realpath(path).catch((cause: NodeJS.ErrnoException) => {
		throw new SidecarError('ERR_CONFIG', `${path} cannot be read (${cause.code ?? 'unknown error'}).`, { cause });
	});
	const file = await readText(own);
	for (const key of [[], ['obs']]) {
		const held = key.length === 0 ? file.value : (file.value as { obs?: unknown }).obs;
		if (held !== undefined && !isObject(held))
			throw new SidecarError('ERR_CONFIG', `${file.at(key)} expected an object`);
	}
	// It may hold a password, and is readable by whom its owner wants.
	const { mode } = await stat(own);
	const content = withJsonValue(file.text, ['obs', 'scenes'], scenes);
	await writeGuarded([{ path: own, content, mode: mode & 0o777 }], { replace: true });
	return path;
};

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

const readText = async (path: string) => {
	const bytes = await readGuarded(path, { byteLengthMax: FILE_BYTES, follow: true });
	const text = bytes.toString('utf8');
	if (!Buffer.from(text).equals(bytes)) throw new SidecarError('ERR_CONFIG', `${path} is not text in UTF-8.`);
	return { text, ...readJsonText(text, path, 'ERR_CONFIG') };
};
