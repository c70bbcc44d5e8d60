import { fileName, help, kebabName, promptField, seedField, strengthField } from './fields.ts';
import { z } from './zod.ts';

export const imageName = fileName.regex(/\.(png|jpg|webp)$/, 'expected a file name that ends in .png, .jpg or .webp');

export const REGIONS = ['changed', 'subject', 'background', 'alpha'] as const;
/** Whether what a region's mask is called is no file. */
export const isRegionWord = (mask: string): mask is (typeof REGIONS)[number] =>
	(REGIONS as readonly string[]).includes(mask);

const regionFields = {
	invert: z.boolean().exactOptional().meta(help('Whether everything else is painted instead')),
	feather: z.number().min(0).max(256).exactOptional().meta(help('How far the edge is soft, inside the region', 'px')),
};
export const REGION_EXPECTED =
	'expected all, changed, subject, background, alpha or {mask, invert, feather}: mask one of these words but all, or a picture file';
const regionHelp = help(
	'What is painted; the rest stays the source: all, changed (what moves), subject or background (of a still camera), alpha (where the source is opaque), or {mask: FILE}',
);
/** The part of the picture that is painted. A mask file lies beside the preset. */
export const Region = z.union(
	[z.enum(['all', ...REGIONS]), z.strictObject({ mask: z.union([z.enum(REGIONS), imageName]), ...regionFields })],
	REGION_EXPECTED,
);
export type Region = z.infer<typeof Region>;

/** The file of a region's mask; undefined where it has none. */
export const maskFileOf = (region: OwnRegion | undefined): string | undefined =>
	typeof region === 'object' && !isRegionWord(region.mask) ? region.mask : undefined;

/** The same where files may lie anywhere: of who starts the sidecar. */
export const OwnRegion = z.union(
	[z.enum(['all', ...REGIONS]), z.strictObject({ mask: z.string().min(1).max(4096), ...regionFields })],
	REGION_EXPECTED,
);
export type OwnRegion = z.infer<typeof OwnRegion>;

const titleField = z.string().trim().min(1).max(80).meta(help('Name for people'));
const presetFields = <Version extends number>(version: Version) => ({
	$schema: z.string().max(2048).exactOptional().meta(help('Where editors find this schema; nothing else reads it')),
	format: z.literal('allaprima-style'),
	formatVersion: z.literal(version),
	name: kebabName.meta(help('Name by which the style is chosen; the file is NAME.style.json')),
	title: titleField,
	model: kebabName.meta(help('Name of the model that the preset was made for')),
	prompt: promptField,
	strength: strengthField.default(1),
	seed: seedField.default(42),
});
/** Of the name of a picture, in characters. */
export const REFERENCE_NAME_MAX = 128;

/** The first version, which files may still have. What takes it to the newest: config/preset-versions.ts. */
export const PresetV1 = z.strictObject(presetFields(1));
export type PresetV1 = z.infer<typeof PresetV1>;

/** What an artist chooses: one `*.style.json`. */
export const Preset = z
	.strictObject({
		...presetFields(2),
		prompt: promptField.exactOptional(),
		thumbnail: imageName.exactOptional().meta(help('File beside this one with a small picture of the style')),
		reference: imageName
			.exactOptional()
			.meta(help('File beside this one with a picture that shows the style; models that take none go by the prompt')),
		region: Region.exactOptional().meta(regionHelp),
	})
	.check(({ value: { prompt, reference }, issues }) => {
		if (prompt !== undefined || reference !== undefined) return;
		const message = 'expected text of 1 to 500 characters, or a reference beside it';
		issues.push({ code: 'custom', input: undefined, path: ['prompt'], message });
	});
export type Preset = z.infer<typeof Preset>;

/** What editors check: a file of any version. */
export const PresetFile = z
	.discriminatedUnion('formatVersion', [Preset, PresetV1])
	.meta({ title: 'Alla Prima style', description: 'A preset of Alla Prima: what a picture is to look like.' });

/** A name of a preset, as a user types it: it becomes a file name. */
export const PresetName = kebabName;

export const BUNDLE_FORMAT = 'allaprima-style-bundle';
/** Of the pictures of a preset. */
export const PICTURE_BYTES_MAX = { thumbnail: 256 * 1024, reference: 4 * 1024 * 1024, mask: 1024 * 1024 } as const;
const base64Of = (byteLengthMax: number) => z.string().max(4 * Math.ceil(byteLengthMax / 3));

/** What is painted now, to be kept under a name. */
export const SavePreset = z.strictObject({
	name: PresetName.meta(help('Name of the new preset')),
	title: titleField.exactOptional(),
});
export type SavePreset = z.infer<typeof SavePreset>;

/** A preset as one file, to give away: `*.allaprima-style`. The pictures are PNG, JPEG or WebP files in base64. */
export const PresetBundle = z.strictObject({
	format: z.literal(BUNDLE_FORMAT),
	formatVersion: z.literal(1),
	/** Of any version: config/preset-versions.ts. */
	preset: z.looseObject({}),
	thumbnail: base64Of(PICTURE_BYTES_MAX.thumbnail).exactOptional(),
	reference: base64Of(PICTURE_BYTES_MAX.reference).exactOptional(),
	mask: base64Of(PICTURE_BYTES_MAX.mask).exactOptional(),
});
