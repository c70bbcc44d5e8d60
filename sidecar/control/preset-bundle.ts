import { dirname, join } from 'node:path';
import { explainValue, parseExplained, valueAt } from '../config/explained.ts';
import type { JsonText } from '../config/json-text.ts';
import { readPresetVersion } from '../config/preset-versions.ts';
import { BUNDLE_FORMAT, maskFileOf, PICTURE_BYTES_MAX, PresetBundle, type Preset } from '../config/schema/preset.ts';
import { SidecarError } from '../errors.ts';
import type { ReadPreset } from '../parameters.ts';
import { readGuarded } from './file-guard.ts';
import { imageHeaderOf, type ImageType } from './image-header.ts';
import { PRESET_BYTES_MAX, PRESET_SUFFIX, readJsonFile } from './presets.ts';

export const BUNDLE_SUFFIX = '.allaprima-style';
export const BUNDLE_BYTES_MAX = 8 * 1024 * 1024;
const SIDE_PX_MAX = 4096;

export const PICTURES = ['thumbnail', 'reference', 'mask'] as const;
export type PictureKind = (typeof PICTURES)[number];

export interface PresetPicture {
	type: ImageType;
	bytes: Buffer;
}

/** A preset with its pictures, wherever they lie. The preset names no file; what its region calls the mask says nothing. */
export interface PicturedPreset {
	preset: Preset;
	pictures: Partial<Record<PictureKind, PresetPicture>>;
}

/**
 * Reads a preset with its pictures: a bundle, or a preset file and what lies beside it. What is named in it is never
 * used as a path but for a plain file name beside a preset file. Errors: ERR_STYLE.
 */
export const readPicturedPreset = async (path: string): Promise<PicturedPreset> => {
	const text = await readJsonFile(path, path.endsWith(PRESET_SUFFIX) ? PRESET_BYTES_MAX : BUNDLE_BYTES_MAX);
	return valueAt(text.value, ['format']) === BUNDLE_FORMAT ? readBundle(text) : await withNeighbours(text, path);
};

/** One file with everything in it, to give away. */
export const bundleOf = ({ preset, pictures }: PicturedPreset): string => {
	const encoded = PICTURES.flatMap((kind) => {
		const picture = pictures[kind];
		return picture ? [[kind, picture.bytes.toString('base64')]] : [];
	});
	const { reference } = pictures;
	// Without words a preset is only good where it names a picture.
	const named =
		preset.prompt === undefined && reference ? { reference: `${preset.name}.reference.${reference.type}` } : {};
	return jsonOf({
		format: BUNDLE_FORMAT,
		formatVersion: 1,
		preset: { ...preset, ...named },
		...Object.fromEntries(encoded),
	});
};

/** As files are written: for people, too. */
export const jsonOf = (value: unknown): string => `${JSON.stringify(value, null, '\t')}\n`;

const readBundle = (text: JsonText): PicturedPreset => {
	const bundle = parseExplained(PresetBundle, text, [], 'ERR_STYLE');
	const pictures: PicturedPreset['pictures'] = {};
	for (const kind of PICTURES) {
		const data = bundle[kind];
		if (data === undefined) continue;
		const bytes = Buffer.from(data, 'base64');
		if (bytes.toString('base64') !== data)
			throw new SidecarError('ERR_STYLE', explainValue(text, [kind], 'a picture in base64'));
		pictures[kind] = pictureOf(bytes, kind, `${text.at([kind])} ${kind}:`);
	}
	const preset = readPresetVersion(text, ['preset']);
	if (maskFileOf(preset.region) && !pictures.mask)
		throw new SidecarError(
			'ERR_STYLE',
			explainValue(text, ['preset', 'region'], 'a region whose mask is in the bundle'),
		);
	if (preset.prompt === undefined && !pictures.reference)
		throw new SidecarError(
			'ERR_STYLE',
			explainValue(text, ['reference'], 'a picture in base64, for there is no prompt'),
		);
	return { preset: unpictured(preset), pictures };
};

const withNeighbours = async (text: JsonText, path: string): Promise<PicturedPreset> => {
	const preset = readPresetVersion(text);
	const pictures: PicturedPreset['pictures'] = {};
	for (const kind of PICTURES) {
		const name = kind === 'mask' ? maskFileOf(preset.region) : preset[kind];
		if (name === undefined) continue;
		const file = join(dirname(path), name);
		const bytes = await readGuarded(file, { byteLengthMax: PICTURE_BYTES_MAX[kind], follow: false });
		pictures[kind] = pictureOf(bytes, kind, `${file}:`);
	}
	return { preset: unpictured(preset), pictures };
};

/** Without what is only true beside its file. */
export const unpictured = (preset: ReadPreset): Preset => {
	const own: { -readonly [Key in keyof ReadPreset]: ReadPreset[Key] } = { ...preset };
	for (const key of ['$schema', 'thumbnail', 'reference', 'shown'] as const) delete own[key];
	return Object.freeze(own);
};

/** Errors: ERR_STYLE. */
export const pictureOf = (bytes: Buffer, kind: PictureKind, what: string): PresetPicture => {
	const refuse = (reason: string): never => {
		throw new SidecarError('ERR_STYLE', `${what} ${reason}`);
	};
	const byteLengthMax = PICTURE_BYTES_MAX[kind];
	if (bytes.length > byteLengthMax) refuse(`has ${bytes.length} bytes, expected at most ${byteLengthMax}`);
	const header = imageHeaderOf(bytes);
	if (!header || header.type === 'gif')
		return refuse('is no picture that is understood, expected a PNG, JPEG or WebP file');
	const { type, width, height } = header;
	if (Math.min(width, height) < 1 || Math.max(width, height) > SIDE_PX_MAX)
		refuse(`has ${width}x${height} px, expected sides of 1 to ${SIDE_PX_MAX} px`);
	return { type, bytes };
};
