import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Configuration } from '../config/schema/configuration.ts';
import { takesReferences, type ModelManifest } from '../config/schema/manifest.ts';
import { PICTURE_BYTES_MAX } from '../config/schema/preset.ts';
import { SidecarError } from '../errors.ts';
import type { ReadPreset, ReferencePicture } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import { readGuarded } from './file-guard.ts';
import { pictureOf } from './preset-bundle.ts';
import type { PresetFile } from './presets.ts';
import { checkImage, decodeReference, readReference } from './reference-image.ts';

/** Pictures of presets that are held at a time: 3 MiB each at the most. */
const REFERENCES_MAX = 64;

/** Beside the preset's file, as large as a bundle takes it. Errors: ERR_STYLE, ERR_RUNTIME. */
const readBeside = async (presetPath: string, name: string): Promise<ReferencePicture> => {
	const path = join(dirname(presetPath), name);
	const bytes = await readGuarded(path, { byteLengthMax: PICTURE_BYTES_MAX.reference, follow: false });
	return await decodeReference(checkImage(pictureOf(bytes, 'reference', `${path}:`).bytes, `${path}:`));
};

/** The pictures of preset files, each decoded once for as long as its file stays the same. */
export class PresetReferences {
	#kept = new Map<string, { stamp: string; picture: ReferencePicture }>();

	/** The files with their pictures; one whose picture cannot be read cannot be used either. */
	async of(files: readonly PresetFile[]): Promise<PresetFile[]> {
		const before = this.#kept;
		this.#kept = new Map();
		const read: PresetFile[] = [];
		for (const file of files) read.push(await this.#with(file, before));
		return read;
	}

	async #with(file: PresetFile, before: ReadonlyMap<string, { stamp: string; picture: ReferencePicture }>) {
		if (!('preset' in file) || file.preset.reference === undefined) return file;
		const path = join(dirname(file.path), file.preset.reference);
		try {
			if (this.#kept.size >= REFERENCES_MAX && !this.#kept.has(path))
				throw new SidecarError('ERR_STYLE', `${file.path}: ${REFERENCES_MAX} other presets have a reference already.`);
			const known = this.#kept.get(path) ?? before.get(path);
			const stamp = await stampOf(path);
			const kept =
				known?.stamp === stamp ? known : { stamp, picture: await readBeside(file.path, file.preset.reference) };
			this.#kept.set(path, kept);
			return { ...file, preset: Object.freeze({ ...file.preset, shown: kept.picture }) };
		} catch (error) {
			return { path: file.path, name: file.name, error: error as Error };
		}
	}
}

/** Another one where the file was written again; reading says what is wrong with one that is not there. */
const stampOf = async (path: string): Promise<string> => {
	const stats = await stat(path).catch(() => undefined);
	return stats ? `${stats.ino} ${stats.size} ${stats.mtimeMs}` : '';
};

/**
 * The preset of a run with the picture that shows it. Errors: ERR_STYLE, ERR_RUNTIME; ERR_MODEL where a picture is asked for
 * and the model takes none, or the preset has no words for it.
 */
export const withReference = async (
	{ path, preset }: { path: string; preset: ReadPreset },
	{ reference, prompt }: Pick<Configuration, 'reference' | 'prompt'>,
	manifest: Pick<ModelManifest, 'family' | 'name'>,
): Promise<ReadPreset> => {
	const takes = takesReferences(manifest);
	if (reference !== undefined) {
		if (!takes)
			throw new SidecarError(
				'ERR_MODEL',
				`The model ${manifest.name} takes no picture as a style, but words alone. Leave --reference out, or name a model of the family causal-dit with --model.`,
			);
		const { name, picture } = await readReference(reference);
		const { prompt: _own, ...rest } = preset;
		return Object.freeze({ ...rest, ...(prompt !== undefined && { prompt }), reference: name, shown: picture });
	}
	if (preset.reference === undefined) return preset;
	if (takes) return Object.freeze({ ...preset, shown: await readBeside(path, preset.reference) });
	if (preset.prompt !== undefined) return preset;
	throw new SidecarError(
		'ERR_MODEL',
		`The style ${preset.name} is shown by a picture and has no prompt, but the model ${manifest.name} takes words alone. Choose another style, or a model of the family causal-dit with --model.`,
	);
};

/**
 * The presets as a model paints them that takes words alone: those without words are left out. What is lost is said once of
 * each, by its name in `told`.
 */
export const inWords = (presets: readonly ReadPreset[], told: Set<string>): ReadPreset[] =>
	presets.flatMap((preset) => {
		const { shown: _, ...words } = preset;
		if (preset.reference !== undefined && !told.has(preset.name)) {
			told.add(preset.name);
			const what = preset.prompt === undefined ? 'preset left out' : 'preset painted by its prompt';
			log.warn({ preset: preset.name, reference: preset.reference }, `${what}: the model takes no picture as a style`);
		}
		return preset.prompt === undefined ? [] : [words];
	});
