import { isIP, isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { SidecarError, type ErrorCode } from '../errors.ts';

/**
 * The one schema: types, messages, help text and JSON schema follow from it, and nothing else imports zod.
 * Every object is strict, so a misspelt key is an error and never a silent default.
 */

/** What a field says about itself, for help text and controls; a unit is given where the number has one. */
export type FieldHelp = {
	description: string;
	unit?: string;
};

const help = (description: string, unit?: string): FieldHelp => (unit ? { description, unit } : { description });

const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const kebabName = z.string().max(64).regex(KEBAB_CASE, 'expected a name in kebab-case, such as oil-painting');

/** Models and presets may come from anywhere: a name with a separator or `..` could reach outside its folder. */
const fileName = z
	.string()
	.max(128)
	.regex(/^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._-]*$/, 'expected a plain file name, without a folder');

const promptField = z
	.string()
	.trim()
	.min(1)
	.max(500)
	.meta(help('What the painter is told, as an instruction: "transfer this to oil painting style"'));
const strengthField = z
	.number()
	.min(0)
	.max(1)
	.meta(help("How far the conditioning goes from the model's neutral (0) to the style (1); no pixel mix"));
const seedField = z.int().min(0).max(4_294_967_295).meta(help('Seed of the noise the painter starts from'));

// -- Tuning ---------------------------------------------------------------------------------------------

const stepsField = z
	.literal([1, 2, 4])
	.meta(help('Denoising steps a frame: more steps cost their number in time', 'steps'));

const tuningFields = {
	batchSize: z
		.int()
		.min(1)
		.max(16)
		.meta(help('Frames painted together: larger batches give more frames a second and more latency', 'frames')),
	steps: stepsField,
	noise: z
		.enum(['advected', 'fixed', 'per-frame'])
		.meta(help('Noise field: carried along by the optical flow, the same for all frames, or fresh for each')),
	temporalMultiplier: z
		.number()
		.min(0)
		.max(2)
		.meta(help('Weight of the temporal adapter: 0 ignores the last painting, 1 is as trained')),
	condRefreshEvery: z
		.int()
		.min(0)
		.max(64)
		.meta(help('How often the temporal adapter looks at the last painting; 0 turns it off', 'batches')),
	teRefreshEvery: z
		.int()
		.min(1)
		.max(256)
		.meta(help('How often the text and vision encoder looks at a source that moves; 1 is always', 'batches')),
	teBatchOne: z.boolean().meta(help('Whether one frame stands for the whole batch in the text and vision encoder')),
	outputBlend: z
		.number()
		.min(0)
		.max(0.9)
		.meta(
			help(
				'Weight of the last painting, moved along with the picture, in the frame shown, where both show the same; 0 shows the new painting alone',
			),
		),
	similarityThreshold: z
		.number()
		.min(0)
		.max(32)
		.meta(
			help(
				'How much a place of the picture may change for the last painting to be shown again; 0 paints every frame, as --pace max does unless told otherwise',
				'levels',
			),
		),
	streamBatch: z
		.boolean()
		.meta(
			help(
				'Whether one run of the denoiser takes several batches, each at another of its steps: more frames a second where a run is short, for up to steps - 1 batches of latency and without the temporal adapter',
			),
		),
	precision: z
		.enum(['fp32', 'int8', 'auto'])
		.meta(help('Arithmetic of the graphs: auto takes int8 where the model has it and it is faster on this CPU')),
	windowFrames: z
		.int()
		.min(1)
		.max(31)
		.exactOptional()
		.meta(help('Paintings before that a causal model sees; as many as it was made for at most', 'frames')),
	sinkFrames: z
		.int()
		.min(0)
		.max(30)
		.exactOptional()
		.meta(help('Of these, how many are the first of the style and stay; fewer than the window has', 'frames')),
	maskCache: z
		.boolean()
		.exactOptional()
		.meta(
			help(
				'Whether a causal model paints anew only where the last painting is farthest from its source, and all of it every twelfth frame',
			),
		),
	movingBuffer: z
		.boolean()
		.exactOptional()
		.meta(
			help(
				'Whether a causal model takes each frame one step on beside the next one, in one pass, and not through all its steps from the paintings before: more frames a second, each a frame later',
			),
		),
};

/** What an engineer chooses. The model gives the defaults, the configuration and flags override. */
export const Tuning = z.strictObject(tuningFields);
export type Tuning = z.infer<typeof Tuning>;

/** Any part of a tuning; a key that is absent stays as the model has it. */
export type TuningOverrides = Partial<Tuning>;
export const TuningOverrides: z.ZodType<TuningOverrides> = Tuning.partial() as unknown as z.ZodType<TuningOverrides>;

// -- Preset ---------------------------------------------------------------------------------------------

const imageName = fileName.regex(/\.(png|jpg|webp)$/, 'expected a file name that ends in .png, .jpg or .webp');

export const REGIONS = ['changed', 'subject', 'background', 'alpha'] as const;
/** Whether what a region's mask is called is no file. */
export const isRegionWord = (mask: string): mask is (typeof REGIONS)[number] =>
	(REGIONS as readonly string[]).includes(mask);

const regionFields = {
	invert: z.boolean().exactOptional().meta(help('Whether everything else is painted instead')),
	feather: z.number().min(0).max(256).exactOptional().meta(help('How far the edge is soft, inside the region', 'px')),
};
const REGION_EXPECTED =
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

// -- Model manifest -------------------------------------------------------------------------------------

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits');
const sidePx = z.int().min(16).max(8192);
const sizePx = z.tuple([sidePx, sidePx]); // [width, height]

/** A dimension: a number, or a name that the run gives a value; `height/8` is the painted height over 8. */
const DIMENSION = 'expected a positive integer, batch, height, width, height/N or width/N';
const dimension = z.union(
	[
		z.int(DIMENSION).min(1, DIMENSION).max(1_048_576),
		z.string().regex(/^(batch|(height|width)(\/([2-9]|[1-9][0-9]{1,2}))?)$/, DIMENSION),
	],
	DIMENSION,
);

const TensorSpec = z.strictObject({
	name: z.string().min(1).max(128),
	type: z.enum(['uint8', 'int32', 'int64', 'float32', 'float16', 'bool']),
	shape: z.array(dimension).max(8),
});
/** Name, type and shape of one input or output of a graph. */
export type TensorSpec = z.infer<typeof TensorSpec>;

const GraphSpec = z.strictObject({
	file: fileName,
	sha256,
	/** Files beside the graph that have its weights; each that the graph names must be here. */
	externalData: z
		.array(z.strictObject({ file: fileName, sha256 }))
		.min(1)
		.max(64)
		.exactOptional(),
	inputs: z.array(TensorSpec).min(1).max(64),
	outputs: z.array(TensorSpec).min(1).max(64),
});
/** One ONNX graph: its file in the model's folder, and what goes in and comes out. */
export type GraphSpec = z.infer<typeof GraphSpec>;

const Int8Graph = z.strictObject({ file: fileName, sha256 });

const Modifier = z.strictObject({
	name: kebabName.meta(help('What a control says')),
	phrase: z
		.string()
		.regex(/^[^,\s](?:[^,]*[^,\s])?$/, 'expected words without a comma')
		.max(60)
		.meta(help('What the prompt says')),
});
/** Words that a model knows in any prompt, for controls that add them and take them out. */
export type Modifier = z.infer<typeof Modifier>;

const SymbolicSize = z.strictObject({
	multipleOf: z.int().min(1).max(256),
	min: sizePx,
	max: sizePx,
	default: sizePx,
});
const FixedSize = z.strictObject({ fixed: sizePx });

const TextEncoder = z.strictObject({
	tokenizer: fileName,
	tokenizerSha256: sha256,
	template: z.string().max(4000).includes('{prompt}'),
	maxLength: z.int().min(1).max(4096),
	dropTokens: z.int().min(0).max(4095),
	padTokenId: z.int().min(0).max(16_777_215),
	neutralPrompt: promptField,
	/** What te_vision takes: the picture as bytes, `image`, or cut as Qwen3-VL wants it, `pixel_values`. */
	image: z.strictObject({
		width: sidePx,
		height: sidePx,
		patches: z
			.strictObject({ patch: z.int().min(1).max(64), merge: z.int().min(1).max(8), frames: z.int().min(1).max(8) })
			.exactOptional(),
	}),
});

/** Of every family. */
const manifestFields = {
	format: z.literal('allaprima-model'),
	formatVersion: z.literal(1),
	name: kebabName,
	version: z.string().regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, 'expected a version such as 0.1.0'),
	title: z.string().trim().min(1).max(80),
	licence: z.string().min(1).max(80),
	/** What whoever imports the model is shown besides. */
	licenceNotice: z.string().trim().min(1).max(2000).exactOptional(),
	latents: z.strictObject({ channels: z.int().min(1).max(64), scale: z.int().min(1).max(64) }),
	scheduler: z.strictObject({
		type: z.literal('flow-match-euler'),
		baseShift: z.number().min(0).max(10),
		maxShift: z.number().min(0).max(10),
		baseSeqLen: z.int().min(1).max(65_536),
		maxSeqLen: z.int().min(1).max(65_536),
	}),
	steps: z.strictObject({ default: stepsField, supported: z.array(stepsField).min(1).max(3) }),
	tuning: z.strictObject({
		batchSize: tuningFields.batchSize,
		steps: tuningFields.steps,
		noise: tuningFields.noise,
		teRefreshEvery: tuningFields.teRefreshEvery,
		teBatchOne: tuningFields.teBatchOne,
		precision: tuningFields.precision,
	}),
	styles: z.array(kebabName).max(1000),
	modifiers: z.array(Modifier).max(32).exactOptional(),
};

const CommonManifest = z.object({
	...manifestFields,
	textEncoder: TextEncoder,
	graphs: z.object({ te_vision: GraphSpec }),
});
type CommonManifest = z.infer<typeof CommonManifest>;
type Refuse = (path: (string | number)[], message: string) => void;

/** What is to be right in a manifest of any family. */
const checkManifest = ({ steps, tuning, textEncoder, graphs }: CommonManifest, refuse: Refuse): void => {
	for (const [path, asked] of [
		[['steps', 'default'], steps.default],
		[['tuning', 'steps'], tuning.steps],
	] as const)
		if (!steps.supported.includes(asked))
			refuse([...path], `expected one of the supported steps (${steps.supported.join(', ')}), got ${asked}`);
	const { width, height, patches } = textEncoder.image;
	const token = patches ? patches.patch * patches.merge : 1;
	if (width % token || height % token)
		refuse(['textEncoder', 'image'], `expected sides in multiples of patch * merge (${token}), got ${width}x${height}`);
	const seen = patches ? 'pixel_values' : 'image';
	const taken = graphs.te_vision.inputs.map(({ name }) => name);
	if (!taken.includes(seen))
		refuse(
			['graphs', 'te_vision', 'inputs'],
			`expected ${seen}, for textEncoder.image has ${patches ? '' : 'no '}patches, got ${taken.join(', ')}`,
		);
	if (textEncoder.dropTokens >= textEncoder.maxLength)
		refuse(['textEncoder', 'dropTokens'], `expected less than maxLength (${textEncoder.maxLength})`);
};

const NO_INT8 = 'expected fp32 or auto: the model has no int8 graphs';

const EditUnetManifest = z
	.strictObject({
		...manifestFields,
		family: z.literal('edit-unet'),
		size: z.union([SymbolicSize, FixedSize], 'expected {multipleOf, min, max, default} or {fixed}, sides in px'),
		textEncoder: TextEncoder,
		temporalAdapter: z.strictObject({
			multiplier: tuningFields.temporalMultiplier,
			condRefreshEvery: tuningFields.condRefreshEvery,
			outputBlend: tuningFields.outputBlend.exactOptional(),
		}),
		graphs: z.strictObject({
			te_vision: GraphSpec,
			te_text: GraphSpec,
			vae_encoder: GraphSpec,
			lllite_cond: GraphSpec,
			unet: GraphSpec,
			vae_decoder: GraphSpec,
		}),
		/** The same graphs in int8, with the same inputs and outputs; a role may have none. */
		int8: z
			.strictObject({
				te_vision: Int8Graph.exactOptional(),
				te_text: Int8Graph.exactOptional(),
				vae_encoder: Int8Graph.exactOptional(),
				lllite_cond: Int8Graph.exactOptional(),
				unet: Int8Graph.exactOptional(),
				vae_decoder: Int8Graph.exactOptional(),
			})
			.refine((graphs) => Object.keys(graphs).length > 0, 'expected at least one graph')
			.exactOptional(),
	})
	.check(({ value, issues }) => {
		const refuse: Refuse = (path, message) => issues.push({ code: 'custom', input: value, path, message });
		if (!('fixed' in value.size)) {
			const { multipleOf, min, max } = value.size;
			for (const key of ['min', 'max', 'default'] as const)
				if (value.size[key].some((side) => side % multipleOf !== 0))
					refuse(['size', key], `expected sides that are multiples of ${multipleOf}, got ${value.size[key].join('x')}`);
			if (value.size.default.some((side, axis) => side < min[axis]! || side > max[axis]!))
				refuse(
					['size', 'default'],
					`expected ${min.join('x')} to ${max.join('x')}, got ${value.size.default.join('x')}`,
				);
		}
		checkManifest(value, refuse);
		if (value.tuning.precision === 'int8' && !value.int8) refuse(['tuning', 'precision'], NO_INT8);
	});
/** A U-Net that edits a picture, with an adapter that makes a painting follow from the one before. */
export type EditUnetManifest = z.infer<typeof EditUnetManifest>;

const CausalDitManifest = z
	.strictObject({
		...manifestFields,
		family: z.literal('causal-dit'),
		size: FixedSize,
		/** What is said where a picture shows the style. */
		textEncoder: TextEncoder.extend({ referencePrompt: promptField }),
		/** Frames whose keys and values are kept; as many as the graphs have room for. */
		window: z.strictObject({ frames: z.int().min(1).max(31), sinkFrames: z.int().min(0).max(30) }),
		graphs: z.strictObject({
			te_vision: GraphSpec,
			te_text: GraphSpec,
			vae_encoder: GraphSpec,
			dit_prompt: GraphSpec,
			dit_reference: GraphSpec,
			dit_step: GraphSpec,
			dit_step_kept: GraphSpec,
			/** Without it there is no moving buffer. */
			dit_buffer: GraphSpec.exactOptional(),
			vae_decoder: GraphSpec,
		}),
	})
	.check(({ value, issues }) => {
		const refuse: Refuse = (path, message) => issues.push({ code: 'custom', input: value, path, message });
		const { size, latents, window, graphs } = value;
		checkManifest(value, refuse);
		if (value.tuning.precision === 'int8') refuse(['tuning', 'precision'], NO_INT8);
		if (size.fixed.some((side) => side % latents.scale !== 0))
			refuse(['size', 'fixed'], `expected sides that are multiples of ${latents.scale}, got ${size.fixed.join('x')}`);
		if (window.sinkFrames >= window.frames)
			refuse(['window', 'sinkFrames'], `expected less than frames (${window.frames}), got ${window.sinkFrames}`);
		const [width, height] = size.fixed.map((side) => side / latents.scale);
		for (const [role, frames] of [
			['dit_step', 1],
			['dit_buffer', 2],
		] as const) {
			const spec = graphs[role];
			const sample = spec?.inputs.find(({ name }) => name === 'sample')?.shape.join(', ');
			const expected = [frames, latents.channels, height, width].join(', ');
			if (spec && sample !== expected)
				refuse(['graphs', role, 'inputs'], `expected sample [${expected}], got [${sample ?? 'missing'}]`);
		}
	});
/** A transformer that paints each frame from the paintings before it: docs/causal-dit.md. */
export type CausalDitManifest = z.infer<typeof CausalDitManifest>;

/** `model.json`: which graph plays which role, and how the engine is to use them. */
export const ModelManifest = z.discriminatedUnion('family', [EditUnetManifest, CausalDitManifest], {
	error: ({ code }) => (code === 'invalid_union' ? 'expected edit-unet or causal-dit' : 'expected an object'),
});
export type ModelManifest = z.infer<typeof ModelManifest>;

type RolesOf<Manifest> = Manifest extends ModelManifest ? keyof Manifest['graphs'] : never;
/** Of any family. */
export type GraphRole = RolesOf<ModelManifest>;

/** Errors: ERR_MODEL, where the model's family has no such role. */
export const graphOf = ({ name, family, graphs }: ModelManifest, role: GraphRole): GraphSpec => {
	const spec = (graphs as Partial<Record<GraphRole, GraphSpec>>)[role];
	if (spec) return spec;
	throw new SidecarError('ERR_MODEL', `The model ${name} (${family}) has no graph ${role}.`);
};

/** Its graphs in int8; a family may have none. */
export const int8GraphsOf = (manifest: ModelManifest): Partial<Record<GraphRole, { file: string; sha256: string }>> =>
	('int8' in manifest && manifest.int8) || {};

/** Whether a painting may show the model a style. */
export const takesReferences = ({ family }: Pick<ModelManifest, 'family'>): boolean => family === 'causal-dit';

/** The sha256 of what the denoiser paints with: of its weights, where they lie beside the graph. */
export const denoiserHashOf = ({ graphs }: Pick<ModelManifest, 'graphs'>): string => {
	const denoiser = 'unet' in graphs ? graphs.unet : graphs.dit_step;
	return denoiser.externalData?.[0]?.sha256 ?? denoiser.sha256;
};

/** The shapes of the embeddings of a prompt that was shown one frame. */
export const promptShapesOf = ({
	graphs: { te_text },
	textEncoder: { maxLength, dropTokens },
}: Pick<ModelManifest, 'graphs' | 'textEncoder'>): { shape: (number | string)[]; maskShape: number[] } => {
	const spec = te_text.outputs.find(({ name }) => name === 'prompt_embeds');
	return {
		shape: spec?.shape.map((side) => (side === 'batch' ? 1 : side)) ?? [],
		maskShape: [1, maxLength - dropTokens],
	};
};

/** Two to three times what the noise of a camera in a room with lamps does to blocks of 16 x 16 pixels, of 255 levels. */
const SIMILARITY_THRESHOLD = 3;

/** What is of one family alone. */
const FAMILY_TUNING = {
	'edit-unet': ['temporalMultiplier', 'condRefreshEvery'],
	'causal-dit': ['windowFrames', 'sinkFrames', 'maskCache', 'movingBuffer'],
} as const satisfies Record<ModelManifest['family'], readonly (keyof Tuning)[]>;

const foreignKeys = ({ family }: Pick<ModelManifest, 'family'>) =>
	FAMILY_TUNING[family === 'edit-unet' ? 'causal-dit' : 'edit-unet'];

/** What is asked for and the model's family does not have. */
export const foreignTuning = (manifest: Pick<ModelManifest, 'family'>, asked: TuningOverrides): (keyof Tuning)[] =>
	foreignKeys(manifest).filter((key) => asked[key]);

/** The tuning in force: the model's defaults, then what the configuration or flags override, as far as the model has it. */
export const resolveTuning = (manifest: ModelManifest, overrides: TuningOverrides): Tuning => {
	const own = { ...overrides };
	for (const key of foreignKeys(manifest)) delete own[key];
	return {
		...manifest.tuning,
		outputBlend: 0,
		...familyTuning(manifest),
		similarityThreshold: SIMILARITY_THRESHOLD,
		streamBatch: false,
		...own,
	};
};

const familyTuning = (manifest: ModelManifest) => {
	if (manifest.family === 'causal-dit') {
		const { frames, sinkFrames } = manifest.window;
		const own = { windowFrames: frames, sinkFrames, maskCache: false, movingBuffer: false };
		return { temporalMultiplier: 0, condRefreshEvery: 0, ...own };
	}
	const { multiplier, ...own } = manifest.temporalAdapter;
	return { temporalMultiplier: multiplier, ...own };
};

// -- Commands -------------------------------------------------------------------------------------------

const fadeField = z
	.number()
	.min(0)
	.max(60)
	.meta(help('How long a change of style fades from the old to the new; 0 cuts', 's'));

const SETTLED_COMMANDS = [
	/** `fadeS` is for this change alone, which keeps step with something else and waits for no beat. */
	z.strictObject({ type: z.literal('style'), name: z.string().min(1).max(64), fadeS: fadeField.exactOptional() }),
	z.strictObject({ type: z.literal('next') }),
	z.strictObject({ type: z.literal('previous') }),
	z.strictObject({ type: z.literal('prompt'), text: promptField }),
	z.strictObject({ type: z.literal('strength'), value: strengthField }),
	z.strictObject({ type: z.literal('seed'), value: seedField }),
	z.strictObject({ type: z.literal('fade'), seconds: fadeField }),
	z.strictObject({ type: z.literal('toggle') }),
	z.strictObject({ type: z.literal('panic'), on: z.boolean() }),
	z.strictObject({ type: z.literal('tap') }),
	z.strictObject({
		type: z.literal('tempo'),
		bpm: z.number().min(30).max(300).meta(help('How fast the music is', 'beats/min')),
		beatsPerBar: z.int().min(1).max(16).exactOptional(),
		/** The moment at which it comes is the beginning of a bar. */
		downbeat: z.boolean().exactOptional(),
	}),
	z.strictObject({ type: z.literal('quantise'), to: z.enum(['off', 'beat', 'bar']) }),
	/** For all styles; `preset` leaves it to each of them. The same again learns the background anew. */
	z.strictObject({ type: z.literal('region'), region: z.union([z.literal('preset'), Region], REGION_EXPECTED) }),
] as const;
const COMMANDS = [
	...SETTLED_COMMANDS,
	z.strictObject({ type: z.literal('newStrokes') }),
	z.strictObject({
		type: z.literal('reference'),
		from: z
			.enum(['painting', 'source', 'preset'])
			.meta(help('Paints like the painting or the source is now, or as the preset says again')),
	}),
] as const;

/** Those that always do the same to the same state: a random seed has been chosen, a picture was taken. */
export const SettledCommand = z.discriminatedUnion('type', SETTLED_COMMANDS);
export type SettledCommand = z.infer<typeof SettledCommand>;

/** Everything that can be asked of a running sidecar, from wherever it comes. What they do: control/control-state.ts. */
export const Command = z.discriminatedUnion('type', COMMANDS, {
	error: ({ code }) =>
		code === 'invalid_union'
			? `expected one of ${COMMANDS.map(({ shape }) => shape.type.value).join(', ')}`
			: 'expected an object with a type',
});
export type Command = z.infer<typeof Command>;

const StageName = z.enum([
	'convert',
	'similarity',
	'flow',
	'te',
	'vaeEncode',
	'warp',
	'noise',
	'cond',
	'unet',
	'dit',
	'vaeDecode',
	'blend',
]);

const GraphRoleName = z.enum([
	'te_vision',
	'te_text',
	'vae_encoder',
	'lllite_cond',
	'unet',
	'dit_prompt',
	'dit_reference',
	'dit_step',
	'dit_step_kept',
	'dit_buffer',
	'vae_decoder',
] satisfies GraphRole[]);

// -- Recordings -----------------------------------------------------------------------------------------

const pictureSide = z.int().min(1).max(16_384);

/** `recording.json`: what was there when the recording began. */
export const RecordingHeader = z.strictObject({
	format: z.literal('allaprima-recording'),
	formatVersion: z.literal(1),
	version: z.string().max(64),
	startedAt: z.iso.datetime(),
	source: z.strictObject({
		name: z.string().max(4096),
		layout: z.strictObject({
			format: z.enum(['RGB', 'BGRA', 'RGBA', 'NV12', 'I420', 'UYVY']),
			width: pictureSide,
			height: pictureSide,
			matrix: z.enum(['bt601', 'bt709']),
			range: z.enum(['limited', 'full']),
		}),
		frameRate: z.strictObject({ num: z.int().min(1).max(1_000_000), den: z.int().min(1).max(1_000_000) }),
	}),
	model: z.strictObject({ name: kebabName, sha256 }),
	painted: z.strictObject({ width: pictureSide, height: pictureSide }),
	fit: z.enum(['cover', 'contain', 'stretch']),
	// A recording that does not say it was made when every frame was painted, and each batch in runs of its own.
	tuning: Tuning.extend({
		similarityThreshold: tuningFields.similarityThreshold.default(0),
		streamBatch: tuningFields.streamBatch.default(false),
	}),
	preset: Preset,
	presets: z.array(Preset).max(2001),
	fadeS: fadeField.exactOptional(),
	region: OwnRegion.exactOptional(),
});
export type RecordingHeader = z.infer<typeof RecordingHeader>;

const timeUs = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const countUs = z.int().min(0);

/** `events.jsonl`: a line for each thing that made a difference to the painting, in the order in which they came. */
export const RecordingEvent = z.discriminatedUnion('type', [
	/** The next frame of the video, painted with the parameters of that time. */
	z.strictObject({
		type: z.literal('frame'),
		sequence: z.int().min(0),
		timestampUs: countUs,
		durationUs: countUs,
		atUs: timeUs,
	}),
	z.strictObject({ type: z.literal('command'), command: SettledCommand, atUs: timeUs, leadUs: timeUs }),
	z.strictObject({ type: z.literal('presets'), presets: z.array(Preset).max(2001), atUs: timeUs }),
	/** A picture of the recording, to paint like; absent: as the preset says again. */
	z.strictObject({
		type: z.literal('reference'),
		file: imageName.exactOptional(),
		name: z.string().max(REFERENCE_NAME_MAX).exactOptional(),
		atUs: timeUs,
		leadUs: timeUs,
	}),
	z.strictObject({ type: z.literal('armed'), name: z.string().max(64).exactOptional() }),
	z.strictObject({ type: z.literal('transition'), seconds: fadeField }),
	z.strictObject({ type: z.literal('released'), atUs: timeUs }),
	/** An engine began to paint, and knew nothing of the paintings before. */
	z.strictObject({
		type: z.literal('engine'),
		provider: z.string().max(64),
		int8Graphs: z.array(GraphRoleName).max(6),
	}),
	/** Frames that were painted and are not here, for the disk was slower than they came. */
	z.strictObject({ type: z.literal('lost'), frames: z.int().min(1) }),
]);
export type RecordingEvent = z.infer<typeof RecordingEvent>;

// -- The plugin in OBS -------------------------------------------------------------------------------------

const failureField = z.enum(['passthrough', 'hold', 'slate']);
const holdSeconds = z.number().min(0.1).max(86_400);
const afterHold = z.enum(['slate', 'passthrough']);
const streamId = z.string().min(1).max(128);
const rateField = z.int().min(1).max(1_000_000);

/**
 * What the plugin says, a line each: obs-bridge/protocol.md. Loose where a newer plugin may say more. A command is
 * checked by itself, so that one that is refused does not end the connection.
 */
export const ObsMessage = z.discriminatedUnion('type', [
	z.object({
		type: z.literal('hello'),
		protocol: z.int(),
		plugin: z.string().max(64),
		obs: z.string().max(64),
	}),
	z.object({
		type: z.literal('stream'),
		id: streamId,
		name: z.string().max(512),
		tap: z.string().min(1).max(256),
		fps: z.object({ num: rateField, den: rateField }),
		style: z.string().max(64),
		/** Asked for as a command, which says when it is too long. */
		prompt: z.string(),
		strength: strengthField,
		failure: failureField,
		/** Absent: for ever, as plugins had it that do not say it. */
		holdS: holdSeconds.exactOptional(),
		afterHold: afterHold.exactOptional(),
		/** Absent: as the style says. */
		region: z.literal('alpha').exactOptional(),
	}),
	z.object({ type: z.literal('stream_removed'), id: streamId }),
	z.object({ type: z.literal('command'), id: streamId.exactOptional(), command: z.unknown() }),
	/** All that there are. */
	z.object({ type: z.literal('scenes'), scenes: z.array(z.object({ name: z.string().max(512) })).max(1000) }),
	z.object({
		type: z.literal('scene_switch_started'),
		to: z.string().max(512),
		durationMs: z.number().min(0).max(600_000),
	}),
	z.object({ type: z.literal('transition'), durationMs: z.number().min(0).max(600_000) }),
	z.object({
		type: z.literal('shown'),
		id: streamId,
		glassToGlassMs: z.object({ p50: z.number(), p95: z.number() }),
	}),
]);
export type ObsMessage = z.infer<typeof ObsMessage>;

// -- Configuration --------------------------------------------------------------------------------------

/** Where the page and the API are, unless the configuration says otherwise. */
export const HTTP_PORT = 7717;

const side = z.int().min(32).max(8192).multipleOf(32);
const paintedSizeField = z
	.union([z.literal('auto'), z.strictObject({ width: side, height: side })], {
		error: 'expected auto, or a width and a height of 32 to 8192 px in multiples of 32',
	})
	.meta(help("Painted size; auto keeps the source's aspect at about 147,000 pixels", 'px'));
const fitField = z
	.enum(['cover', 'contain', 'stretch'])
	.meta(help('How the source meets a painted size of another shape: crop, pad or distort'));
const failurePolicyField = failureField.meta(
	help('What is shown while the engine gives no painting: the source, the last painting, or a card'),
);
const holdField = z
	.union([holdSeconds, z.literal('forever')], { error: 'expected 0.1 to 86400 s, or forever' })
	.meta(help('How long the failure policy hold keeps the last painting: 0.1 to 86400 s, or forever', 's'));
const afterHoldField = afterHold.meta(help('What is shown once hold has kept the last painting for as long as it may'));
const staleAfterField = z
	.int()
	.min(100)
	.max(60_000)
	.meta(
		help(
			'How long the engine may owe a frame before the failure policy takes over; never less than four of its own frames',
			'ms',
		),
	);
const cameraSide = z.int().min(16).max(8192);

// -- The page and the API -----------------------------------------------------------------------------------

const httpPort = z.int().min(0).max(65_535);
const hostName = z
	.string()
	.max(253)
	.regex(/^[A-Za-z0-9._:-]+$/, 'expected a name or an address, such as 0.0.0.0 or studio.lan');

const HttpListen = z.strictObject({
	port: httpPort.exactOptional().meta(help(`Port; else ${HTTP_PORT}`)),
	host: hostName.exactOptional().meta(help('Name or address to listen at; any but this machine alone needs a token')),
	hosts: z.array(hostName).max(16).exactOptional().meta(help('Names by which others reach it, of a reverse proxy say')),
	tokenFile: z
		.string()
		.min(1)
		.exactOptional()
		.meta(help('File with the token, which nobody else may read; else ALLAPRIMA_HTTP_TOKEN')),
});

/** What viewers of a stream may ask for, by a bot that asks for them. */
export const ChatRules = z.strictObject({
	styles: z.array(kebabName).min(1).max(100).meta(help('Names of the styles that viewers may choose')),
	coolDownS: z.number().min(0).max(3600).default(30).meta(help('How long a choice of a viewer stands', 's')),
	perUserCoolDownS: z
		.number()
		.min(0)
		.max(86_400)
		.default(120)
		.meta(help('How long a viewer waits between two choices', 's')),
	maxPerMinute: z.int().min(1).max(600).default(6).meta(help('Choices of all viewers together', '1/min')),
});
export type ChatRules = z.infer<typeof ChatRules>;

/** What a bot sends. No prompt: what is painted is the streamer's to answer for. */
export const ChatRequest = z.strictObject({
	style: z.string().trim().min(1).max(80).meta(help('Name or title of a style, as a viewer wrote it')),
	user: z.string().trim().min(1).max(64).meta(help('Who asks, for the cool-down')),
});
export type ChatRequest = z.infer<typeof ChatRequest>;

// -- OSC ----------------------------------------------------------------------------------------------------

/** Where OSC listens, unless the configuration says otherwise. */
export const OSC_PORT = 7718;

const oscPort = z.int().min(0).max(65_535);
const isLocalName = (text: string): boolean => text === 'localhost';
const oscHost = z
	.string()
	.refine((text) => isIP(text) !== 0 || isLocalName(text), 'expected an address of this machine, such as 0.0.0.0');
const oscSender = z.string().refine((text) => isIP(text) !== 0, 'expected an address, such as 192.168.1.20');
const oscTarget = z.string().refine((text) => {
	const [, address = '', port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
	const isAddress =
		isLocalName(address) || isIPv4(address) || (/^\[.*\]$/.test(address) && isIPv6(address.slice(1, -1)));
	return isAddress && Number(port) >= 1 && Number(port) <= 65_535;
}, 'expected ADDRESS:PORT, such as 192.168.1.20:9000');

const OscListen = z.strictObject({
	port: oscPort.exactOptional().meta(help(`UDP port; else ${OSC_PORT}`)),
	host: oscHost.exactOptional().meta(help('Address to listen at; any but this machine alone needs allow')),
	allow: z
		.array(oscSender)
		.max(64)
		.exactOptional()
		.meta(help('Addresses that may send; where absent, all of this machine')),
	feedback: z
		.array(oscTarget)
		.max(16)
		.exactOptional()
		.meta(help('Who is told changes without asking, as ADDRESS:PORT')),
});

// -- MIDI ---------------------------------------------------------------------------------------------------

/** `note 36`, `cc 1`, `program 0`: a control on any channel, or as `channel 10 note 36` on one. */
export const MIDI_CONTROL = /^(?:channel ([1-9]|1[0-6]) )?(note|cc|program) (\d|[1-9]\d|1[01]\d|12[0-7])$/;
/** In a file; what a person maps stays far below. */
export const MIDI_BINDINGS_MAX = 512;

const MIDI_COMMANDS = [
	z.strictObject({ type: z.literal('style'), name: z.string().min(1).max(64) }),
	/** By its place in the order of next and previous, from 0. */
	z.strictObject({ type: z.literal('styleAt'), index: z.int().min(0).max(999) }),
	z.strictObject({ type: z.literal('next') }),
	z.strictObject({ type: z.literal('previous') }),
	z.strictObject({ type: z.literal('toggle') }),
	z.strictObject({ type: z.literal('reference'), from: z.enum(['painting', 'source', 'preset']) }),
	z.strictObject({ type: z.literal('prompt'), text: promptField }),
	/** Without `on`, each press turns it over. */
	z.strictObject({ type: z.literal('panic'), on: z.boolean().exactOptional() }),
	z.strictObject({ type: z.literal('seed'), value: seedField }),
	z.strictObject({ type: z.literal('newStrokes') }),
	z.strictObject({ type: z.literal('tap') }),
	z.strictObject({ type: z.literal('quantise'), to: z.enum(['off', 'beat', 'bar']) }),
	/** These follow the control where they say no value. */
	z.strictObject({ type: z.literal('strength'), value: strengthField.exactOptional() }),
	z.strictObject({ type: z.literal('fade'), seconds: fadeField.exactOptional() }),
	z.strictObject({ type: z.literal('tempo'), bpm: z.number().min(30).max(300).exactOptional() }),
	/** For a control that the default mapping has, and that is to do nothing. */
	z.strictObject({ type: z.literal('nothing') }),
] as const;

/** What a control of a controller asks for. */
export const MidiCommand = z.discriminatedUnion('type', MIDI_COMMANDS, {
	error: ({ code }) =>
		code === 'invalid_union'
			? `expected one of ${MIDI_COMMANDS.map(({ shape }) => shape.type.value).join(', ')}`
			: 'expected an object with a type',
});
export type MidiCommand = z.infer<typeof MidiCommand>;

const midiControl = z
	.string()
	.regex(MIDI_CONTROL, 'expected note N, cc N or program N, or the same after channel 1 to 16, N from 0 to 127');

/** What controls do, by the name of the control. */
export const MidiMapping = z
	.record(midiControl, MidiCommand)
	.refine(
		(mapping) => Object.keys(mapping).length <= MIDI_BINDINGS_MAX,
		`expected at most ${MIDI_BINDINGS_MAX} controls`,
	);
export type MidiMapping = z.infer<typeof MidiMapping>;

/** `midi.json`: what was learned. */
export const MidiFile = z.strictObject({
	format: z.literal('allaprima-midi'),
	formatVersion: z.literal(1),
	mapping: MidiMapping,
});
export type MidiFile = z.infer<typeof MidiFile>;

/** The control that is touched next is to do this. */
export const LearnMidi = z.strictObject({ command: MidiCommand });
export type LearnMidi = z.infer<typeof LearnMidi>;

/** A control that is to do again what it did before it was learned. */
export const ForgetMidi = z.strictObject({ control: midiControl });
export type ForgetMidi = z.infer<typeof ForgetMidi>;

const midiPort = z.string().trim().min(1).max(256);

const MidiListen = z.strictObject({
	port: z
		.union([midiPort, z.array(midiPort).min(1).max(16)])
		.exactOptional()
		.meta(help('A part of the name of a port, or several, or all; else all')),
	channel: z
		.union([z.literal('all'), z.int().min(1).max(16)])
		.exactOptional()
		.meta(help('The channel that is heard; else all')),
	mapping: MidiMapping.exactOptional().meta(help('What controls do, over the default mapping')),
	feedback: z.boolean().exactOptional().meta(help('Whether controllers show what is in force; else they do')),
	clock: z.boolean().exactOptional().meta(help('Whether a MIDI clock tells the tempo; else it does')),
});

// -- Scenes of OBS ------------------------------------------------------------------------------------------

export const SCENE_NAME_MAX = 256;
const SCENES_MAX = 500;
const sceneName = z
	.string()
	.min(1)
	.max(SCENE_NAME_MAX)
	.refine((name) => name !== '__proto__', 'expected a scene by another name than __proto__');
const sceneStyle = z.string().min(1).max(64);
const sceneStyles = z
	.record(sceneName, sceneStyle)
	.refine((scenes) => Object.keys(scenes).length <= SCENES_MAX, `expected at most ${SCENES_MAX} scenes`);

const SceneStyle = z.strictObject({
	scene: sceneName.meta(help('Name of the scene, as OBS has it')),
	style: sceneStyle.meta(help('Name of the style that it is painted in')),
});
export type SceneStyle = z.infer<typeof SceneStyle>;

/** The table as it is to be, in place of the one there is. */
export const SetScenes = z.strictObject({
	scenes: z
		.array(SceneStyle)
		.max(SCENES_MAX)
		.refine((rows) => new Set(rows.map(({ scene }) => scene)).size === rows.length, 'expected each scene once'),
	revision: z
		.int()
		.min(0)
		.exactOptional()
		.meta(help('Of the table that was changed: where there is a newer one, nothing is done')),
});
export type SetScenes = z.infer<typeof SetScenes>;

/** The table of who has no configuration file. */
export const SceneFile = z.strictObject({
	format: z.literal('allaprima-scenes'),
	formatVersion: z.literal(1),
	scenes: sceneStyles,
});
export type SceneFile = z.infer<typeof SceneFile>;

// -- NDI ----------------------------------------------------------------------------------------------------

/** A source by its name, or by where it is when discovery is not to be had. */
const ndiStream = z.string().trim().min(1).max(253);

/** One source of NDI and the painting of it; what is absent is as the configuration has it for all. */
export const NdiChannel = z.strictObject({
	in: ndiStream.meta(help('Source to paint: its name ("RIG (CAM 1)", or CAM 1 alone), or HOST:PORT')),
	out: ndiStream.exactOptional().meta(help('Name of the painted stream; else as outName says')),
	style: z.string().min(1).exactOptional(),
	prompt: promptField.exactOptional(),
	reference: z.string().min(1).exactOptional(),
	strength: strengthField.exactOptional(),
	seed: seedField.exactOptional(),
	region: OwnRegion.exactOptional(),
	size: paintedSizeField.exactOptional(),
	fit: fitField.exactOptional(),
	failure: failurePolicyField.exactOptional(),
	holdS: holdField.exactOptional(),
	afterHold: afterHoldField.exactOptional(),
	staleAfterMs: staleAfterField.exactOptional(),
});
export type NdiChannel = z.infer<typeof NdiChannel>;

const Ndi = z.strictObject({
	runtimePath: z
		.string()
		.min(1)
		.exactOptional()
		.meta(help('File or folder of the NDI runtime; else NDI_RUNTIME_DIR_V6, _V5 and where its installer puts it')),
	groups: z.string().min(1).max(256).exactOptional().meta(help('Groups to look for sources in, and to send to')),
	extraIps: z
		.array(z.string().min(1).max(253))
		.max(64)
		.default([])
		.meta(help('Machines to ask for sources where multicast does not reach them')),
	discoveryServer: z.string().min(1).max(253).exactOptional().meta(help('Address of an NDI discovery server')),
	onlyWhenWatched: z.boolean().default(true).meta(help('Whether to paint only while somebody receives the stream')),
	failover: z
		.boolean()
		.default(true)
		.meta(help('Whether receivers go to the source if the relay dies; under passthrough alone, whatever is set here')),
	delayMs: z
		.union([z.literal('auto'), z.int().min(0).max(1000)], { error: 'expected auto, or 0 to 1000 ms' })
		.default('auto')
		.meta(help('How much later than the source the painted stream is, sound included; auto follows the painter', 'ms')),
	outName: z
		.string()
		.max(253)
		.includes('{source}')
		.default('{source} (Painted)')
		.meta(help('Name of a painted stream whose channel has none of its own')),
	channels: z.array(NdiChannel).max(64).default([]).meta(help('What allaprima relay paints without --in')),
});

// -- The fleet ----------------------------------------------------------------------------------------------

const Fleet = z.strictObject({
	deadlineMs: z
		.int()
		.min(20)
		.max(10_000)
		.default(300)
		.meta(
			help('How long a live frame or its painting may be on its way; what takes longer is dropped where it is', 'ms'),
		),
	caFile: z.string().min(1).exactOptional().meta(help("Certificate of whoever signed the NATS server's, as PEM")),
	certFile: z.string().min(1).exactOptional().meta(help('Certificate to show to the NATS server, as PEM')),
	keyFile: z.string().min(1).exactOptional().meta(help('Its private key, as PEM')),
	credsFile: z.string().min(1).exactOptional().meta(help('Credentials of an account of NATS (.creds)')),
});
export type Fleet = z.infer<typeof Fleet>;

const Sink = z
	.string()
	.regex(
		/^(null|obs|file:.+|v4l2:.+|ndi:.+|srt:\/\/.+)$/s,
		'expected null, obs, file:PATH, v4l2:DEVICE, ndi:NAME or srt://HOST:PORT',
	);

/** A sink with a failure policy of its own; what is absent is as the run has it. */
const OwnSink = z.strictObject({
	/** What OBS shows is the filter's to say. */
	to: Sink.refine((to) => to !== 'obs', 'expected another sink than obs').meta(help('Where painted frames go')),
	failure: failurePolicyField.exactOptional(),
	holdS: holdField.exactOptional(),
	afterHold: afterHoldField.exactOptional(),
});

/** `allaprima.json` after defaults, environment and flags were joined. */
export const Configuration = z.strictObject({
	$schema: z.string().exactOptional().meta(help('Where editors find the schema')),
	source: z
		.string()
		.regex(
			/^(scene|backdrop(:\d{1,9})?|file:.+|camera:.+|obs(:.+)?|obs-screenshot:.+|ndi:.+|srt:\/\/.+|replay:.+)$/s,
			'expected scene, backdrop (backdrop:SEED), file:PATH, camera:DEVICE, obs, obs-screenshot:SOURCE, ndi:NAME, srt://HOST:PORT or replay:FOLDER',
		)
		.default('scene')
		.meta(
			help(
				'Where frames come from: scene, backdrop (backdrop:SEED: colours that drift, for painting where nothing is filmed), file:PATH, camera:DEVICE, obs (obs:NAME for one filter of several), obs-screenshot:SOURCE, ndi:NAME, srt://HOST:PORT (docs/live.md), or replay:FOLDER',
			),
		),
	cameraSize: z
		.strictObject({ width: cameraSide, height: cameraSide }, { error: 'expected a size such as 1280x720' })
		.exactOptional()
		.meta(help('Size to ask of a camera; else up to 1280x720', 'px')),
	cameraFormat: z
		.string()
		.regex(/^[a-z0-9_]{2,32}$/, 'expected a format by its name in ffmpeg, such as mjpeg or yuyv422')
		.exactOptional()
		.meta(help('Format to ask of a camera, such as mjpeg or yuyv422; else what gives its full rate')),
	sinks: z
		.array(
			z.union([Sink, OwnSink], {
				error:
					'expected null, obs, file:PATH, v4l2:DEVICE, ndi:NAME or srt://HOST:PORT, or in a file {to, failure, holdS, afterHold}, to anything but obs; failure passthrough, hold or slate, holdS 0.1 to 86400 or forever, afterHold slate or passthrough',
			}),
		)
		.min(1)
		.max(16)
		.default(['null'])
		.meta(
			help(
				'Where painted frames go: null, file:PATH, v4l2:DEVICE, ndi:NAME, srt://HOST:PORT (docs/live.md), or obs, to which frames from obs go in any case',
			),
		),
	style: z.string().min(1).default('oil-painting').meta(help('Name of a preset, or the path of a preset file')),
	prompt: promptField.exactOptional(),
	reference: z
		.string()
		.min(1)
		.exactOptional()
		.meta(help('A picture that shows the style, for a model that takes one: PNG, JPEG, WebP or GIF')),
	strength: strengthField.exactOptional(),
	seed: seedField.exactOptional(),
	region: OwnRegion.exactOptional().meta(
		help(
			'What is painted in every style; the rest stays the source: all, changed (what moves), subject or background (of a still camera), alpha (where the source is opaque), or a mask FILE; with ,invert and ,feather=PX behind it. Else what the style says',
		),
	),
	model: z.string().min(1).exactOptional().meta(help("Name of a model or its folder; else the preset's model")),
	provider: z
		.enum(['auto', 'cuda', 'dml', 'coreml', 'webgpu', 'cpu'])
		.default('auto')
		.meta(help('Execution provider; auto takes the first that starts')),
	size: paintedSizeField.default('auto'),
	engine: z
		.string()
		.regex(
			/^(local|paired(:[A-Za-z0-9_-]{1,64})?|(nats|tls):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?)$/,
			'expected local, paired or paired:NAME for a machine that allaprima pair has joined to this one, or a NATS server such as nats://studio.lan or tls://studio.lan:4222; what opens it is for the environment',
		)
		.default('local')
		.meta(
			help(
				'Where the models run: local, paired for the machine that this one is paired with (docs/two-pc.md), or nats://HOST[:PORT] for the workers there (docs/fleet.md)',
			),
		),
	fps: z
		.number()
		.min(1)
		.max(240)
		.exactOptional()
		.meta(help('Frame rate of the scene or backdrop, or to ask of a camera; a file has its own', 'frames/s')),
	fit: fitField.default('cover'),
	output: z
		.enum(['source', 'painted'])
		.default('source')
		.meta(help("Whether sinks get the source's size or the painted size")),
	pace: z
		.enum(['source', 'max'])
		.default('source')
		.meta(help('Live, dropping what comes too fast, or every frame as fast as it can be painted')),
	failure: failurePolicyField.default('passthrough'),
	holdS: holdField.default(10),
	afterHold: afterHoldField.default('slate'),
	staleAfterMs: staleAfterField.default(1000),
	governor: z
		.enum(['on', 'off'])
		.default('on')
		.meta(help('Whether a live picture that is not painted in time gives up what is seen least: docs/live.md')),
	frames: z.int().min(1).exactOptional().meta(help('Stop after this many frames of the source', 'frames')),
	durationS: z.number().positive().max(2_000_000).exactOptional().meta(help('Stop after this long', 's')),
	fadeS: fadeField
		.exactOptional()
		.meta(help("How long a change of style fades; 0 cuts; else as long as OBS's transition, or half a second", 's')),
	http: z
		.union([httpPort, z.literal(['auto', 'off']), HttpListen], {
			error: 'expected a port of 0 to 65535, HOST:PORT, auto, off, or in a file {port, host, hosts, tokenFile}',
		})
		.default('auto')
		.meta(
			help(
				`Where the page is: a port of this machine, or with a token HOST:PORT; auto takes ${HTTP_PORT} for a live run and none for --pace max`,
			),
		),
	chat: z
		.union([z.literal('off'), ChatRules], {
			error: 'expected off or {styles, coolDownS, perUserCoolDownS, maxPerMinute}',
		})
		.default('off')
		.meta(help('What viewers may choose through POST /api/chat')),
	osc: z
		.union([oscPort, z.literal('off'), OscListen], {
			error: 'expected a port of 0 to 65535, ADDRESS:PORT, off, or in a file {port, host, allow, feedback}',
		})
		.default('off')
		.meta(help('Where OSC is obeyed: a UDP port of this machine, or with osc.allow in a file ADDRESS:PORT')),
	midi: z
		.union([midiPort, MidiListen], {
			error: 'expected a part of the name of a port, all, off, or in a file {port, channel, mapping, feedback, clock}',
		})
		.default('off')
		.meta(help('Controllers by MIDI that are obeyed: a part of the name of a port, all, or off')),
	report: z.string().min(1).exactOptional().meta(help('File for the report of the run, as JSON')),
	record: z
		.string()
		.min(1)
		.exactOptional()
		.meta(help('New folder for what is painted and all that is asked meanwhile, to be painted again by replay:FOLDER')),
	obs: z
		.strictObject({
			scenes: sceneStyles
				.exactOptional()
				.meta(help('Style by scene: what is painted when OBS switches to it; where absent, what the page kept')),
			audioInputs: z
				.array(z.string().min(1).max(512))
				.max(64)
				.default([])
				.meta(help('Inputs of OBS whose audio is to wait for the painted picture; needs websocket')),
			websocket: z
				.strictObject({
					url: z
						.string()
						.regex(/^ws(s|\+unix)?:.+/, 'expected an address such as ws://127.0.0.1:4455')
						.default('ws://127.0.0.1:4455')
						.meta(help('Where obs-websocket listens')),
					password: z
						.string()
						.max(256)
						.exactOptional()
						.meta(help('Its password; better in the environment, as ALLAPRIMA_OBS_PASSWORD')),
				})
				.exactOptional()
				.meta(help('How to reach OBS without the plugin')),
		})
		.default({ audioInputs: [] })
		.meta(help('What OBS has to do with styles')),
	fleet: Fleet.default(Fleet.parse({})).meta(help('How workers on other machines are reached')),
	ndi: Ndi.default(Ndi.parse({})).meta(help('What the NDI relay paints, and how it finds it')),
	tuning: TuningOverrides.default({}).meta(help("Overrides of the model's tuning")),
});
export type Configuration = z.infer<typeof Configuration>;

/** The port to listen on; undefined where there is to be no page. A run as fast as it can has nobody to steer it. */
export const httpPortOf = ({ http, pace }: Pick<Configuration, 'http' | 'pace'>): number | undefined => {
	if (http === 'off' || (http === 'auto' && pace === 'max')) return undefined;
	if (typeof http === 'object') return http.port ?? HTTP_PORT;
	return http === 'auto' ? HTTP_PORT : http;
};

// -- The fleet: what the other machines say -------------------------------------------------------------------

/** Raised with every change after which a worker and a sidecar do not understand each other any more. */
export const FLEET_PROTOCOL = 4;

/** How a picture crosses the network. */
export const WireEncoding = z.enum(['nv12', 'jpeg']);
export type WireEncoding = z.infer<typeof WireEncoding>;

const fleetId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -');
const monotonicUs = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const fleetSize = z.strictObject({ width: pictureSide, height: pictureSide });
const fleetModel = z.strictObject({ name: kebabName, sha256 });
/** Long enough for a model's folder and a graph's shapes. */
const fleetText = z.string().max(4000);
const leaseNumber = z.int().min(1);

const referenceId = z.string().regex(/^[A-Za-z0-9_.:-]{1,128}$/, 'expected 1 to 128 letters, digits, _ . : or -');

/** Of parameters.ts, from another machine. The pixels of a reference come before, in a message of their own. */
const FleetParameters = z.strictObject({
	epoch: z.int().min(0),
	style: z.string().min(1).max(256),
	conditioning: z
		.array(
			z.strictObject({
				prompt: z.string().max(500),
				weight: z.number().min(0).max(2),
				reference: referenceId.exactOptional(),
			}),
		)
		.max(32),
	seed: seedField,
	tuning: Tuning,
});

const frameTimes = {
	sequence: z.int().min(0),
	capturedUs: z.number(),
	timestampUs: z.number(),
	durationUs: z.number(),
};

/** Who can paint this? To all workers. */
export const FleetOffer = z.strictObject({ protocol: z.int(), model: fleetModel, painted: fleetSize });
export type FleetOffer = z.infer<typeof FleetOffer>;

const Refusal = z.enum(['full', 'draining', 'model', 'protocol', 'request']);

/** What a worker says of itself. Loose: a newer one may say more. */
export const FleetBid = z.object({
	protocol: z.int(),
	worker: fleetId,
	host: z.string().max(253),
	/** Absent: it can. */
	refuses: Refusal.exactOptional(),
	/** Painted pixels a second: what it has measured that it can do, and what it does. */
	capacity: z.number().min(0),
	load: z.number().min(0),
	lines: z.int().min(0),
	linesMax: z.int().min(0),
});
export type FleetBid = z.infer<typeof FleetBid>;

/** A line at one worker. */
export const FleetOpen = z.strictObject({
	protocol: z.int(),
	stream: fleetId,
	line: fleetId,
	model: fleetModel,
	painted: fleetSize,
	/** Null: every frame is painted, and the batcher waits for whole batches. */
	batchDeadlineMs: z.number().min(0).max(60_000).nullable(),
	/** As many slots as a ring may have, but for the one that is being written. */
	inFlightMax: z.int().min(1).max(63),
	parameters: FleetParameters,
});
export type FleetOpen = z.infer<typeof FleetOpen>;

export const FleetOpened = z.union([
	z.object({ isOpen: z.literal(true), worker: fleetId }),
	z.object({ isOpen: z.literal(false), refuses: Refusal, message: fleetText }),
]);
export type FleetOpened = z.infer<typeof FleetOpened>;

const fleetTimes = z.object({ p50: z.number().min(0), p95: z.number().min(0) });

/** What a worker is doing. Loose: a newer one may say more. */
export const FleetStatus = z.object({
	protocol: z.int(),
	version: z.string().max(64),
	worker: fleetId,
	host: z.string().max(253),
	isDraining: z.boolean(),
	capacity: z.number().min(0),
	load: z.number().min(0),
	linesMax: z.int().min(0),
	lines: z
		.array(
			z.object({
				stream: fleetId,
				line: fleetId,
				painted: fleetSize,
				isLeased: z.boolean(),
				/** Painted in the last seconds. */
				fps: z.number().min(0),
			}),
		)
		.max(256),
	/** Since it began. */
	framesPainted: z.int().min(0),
	framesDropped: z.int().min(0),
	leasesLost: z.int().min(0),
	/** How long its last frames were there, and how long of that they waited for others, in ms; absent before there were any. */
	frameMs: fleetTimes.exactOptional(),
	queueMs: fleetTimes.exactOptional(),
});
export type FleetStatus = z.infer<typeof FleetStatus>;

const embeddedPrompt = z.strictObject({
	/** Null is the model's neutral one. */
	prompt: z.string().max(500).nullable(),
	shape: z.array(z.int().min(1).max(65_536)).length(3),
	maskShape: z.array(z.int().min(1).max(65_536)).length(2),
});
const embeddedPrompts = z.array(embeddedPrompt).max(33);

/** What a sidecar says to the worker that has its line; what follows the words: fleet/messages.ts. */
export const ToWorker = z.discriminatedUnion('type', [
	z.strictObject({ type: z.literal('lease') }),
	z.strictObject({
		type: z.literal('frame'),
		lease: leaseNumber,
		...frameTimes,
		/** Of its picture, and of the painting that is wanted of it. */
		encoding: WireEncoding,
		/** By the worker's monotonic clock; absent where every frame is painted. */
		untilUs: z.number().exactOptional(),
		/** Where they are others than before. */
		parameters: FleetParameters.exactOptional(),
	}),
	z.strictObject({
		type: z.literal('last'),
		of: z.enum(['source', 'painting']),
		epoch: z.int().min(0),
		encoding: WireEncoding,
	}),
	z.strictObject({ type: z.literal('prompts'), prompts: embeddedPrompts }),
	/** A painting that shows a style: RGB at the painted size. */
	z.strictObject({ type: z.literal('reference'), id: referenceId }),
	z.strictObject({ type: z.literal('taken') }),
	z.strictObject({ type: z.literal('end') }),
	z.strictObject({ type: z.literal('beat'), atUs: monotonicUs }),
	z.strictObject({ type: z.literal('close') }),
	/** As `close`, because it has had frames for long and gives none. */
	z.strictObject({ type: z.literal('stuck') }),
]);
export type ToWorker = z.infer<typeof ToWorker>;

const milliseconds = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

/** What a worker says to the sidecar whose line it has. */
export const FromWorker = z.discriminatedUnion('type', [
	z.strictObject({
		type: z.literal('ready'),
		provider: z.enum(['cuda', 'dml', 'coreml', 'webgpu', 'cpu']),
		int8Graphs: z.array(GraphRoleName).max(6),
	}),
	z.strictObject({ type: z.literal('pull') }),
	z.strictObject({ type: z.literal('leased'), lease: leaseNumber }),
	/** Another has it. */
	z.strictObject({ type: z.literal('leaseRefused') }),
	z.strictObject({
		type: z.literal('answer'),
		lease: leaseNumber,
		...frameTimes,
		epoch: z.int().min(0),
		kind: z.enum(['painting', 'source']),
		/** The painting before: then it is not sent again. */
		isReused: z.boolean(),
		/** Of the painting, where one is sent. */
		encoding: WireEncoding,
		/** When its frame came and when this was sent, by the worker's monotonic clock. */
		heardUs: monotonicUs,
		sentUs: monotonicUs,
		stages: z.array(z.tuple([StageName, milliseconds])).max(256),
		batches: z.array(z.strictObject({ sideMs: milliseconds, mainMs: milliseconds })).max(64),
	}),
	/** It came too late to be painted. */
	z.strictObject({ type: z.literal('dropped'), sequence: z.int().min(0), heardUs: monotonicUs }),
	z.strictObject({ type: z.literal('prompts'), prompts: embeddedPrompts }),
	z.strictObject({ type: z.literal('beat'), atUs: monotonicUs, workerUs: monotonicUs }),
	/** The worker is to be emptied: the stream should go elsewhere. */
	z.strictObject({ type: z.literal('leaving') }),
	z.strictObject({ type: z.literal('failed'), code: z.string().max(32), message: fleetText }),
]);
export type FromWorker = z.infer<typeof FromWorker>;

/** Who holds a stream, in the table of leases. */
export const FleetLease = z.object({ worker: fleetId, line: fleetId });
export type FleetLease = z.infer<typeof FleetLease>;

// -- Two machines that are paired -------------------------------------------------------------------------------

/** Where the NATS server of a pair listens, unless `allaprima pair --port` says otherwise. */
export const FLEET_PORT = 7720;
/** Where a machine that shows a code waits for it, unless that is taken: then the code has the port. */
export const PAIRING_PORT = 7721;
/** Raised with every change after which two machines cannot be paired any more. */
export const PAIRING_PROTOCOL = 2;

const tcpPort = z.int().min(1).max(65_535);
const pairToken = z.string().regex(/^[A-Za-z0-9_-]{32,128}$/, 'expected 32 to 128 letters, digits, _ or -');
const pairAddresses = z.array(hostName).min(1).max(16);
const certificate = z
	.string()
	.max(8192)
	.regex(
		/^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?$/,
		'expected one certificate, as PEM',
	);

/** What two machines agreed on, at either end. */
export const Pair = z.strictObject({
	/** Of the machine with the NATS server. */
	name: fleetId,
	/** Whether that is this one. */
	isHost: z.boolean(),
	/** Where it is reached; the first that answers is taken. */
	addresses: pairAddresses,
	port: tcpPort,
	token: pairToken,
	/** The only one that is trusted there. */
	certificate,
});
export type Pair = z.infer<typeof Pair>;

/** `paired.json`: the newest first. */
export const PairsFile = z.strictObject({
	format: z.literal('allaprima-pairs'),
	formatVersion: z.literal(1),
	pairs: z.array(Pair).max(64),
});
export type PairsFile = z.infer<typeof PairsFile>;

/** Of 32 bytes, in base64url. */
const pairingProof = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'expected 43 letters, digits, _ or -');

/** What the machine says where the code was typed, first; loose, for another version says it otherwise. */
export const PairingProof = z.object({
	protocol: z.int(),
	/** What it is called, to be shown. */
	host: fleetId,
	proof: pairingProof,
});
export type PairingProof = z.infer<typeof PairingProof>;

/** What the machine with the code answers. */
export const PairingAnswer = z.discriminatedUnion('type', [
	z.strictObject({
		type: z.literal('granted'),
		proof: pairingProof,
		name: fleetId,
		addresses: pairAddresses,
		port: tcpPort,
		token: pairToken,
	}),
	z.strictObject({ type: z.literal('refused'), reason: z.enum(['code', 'used', 'protocol']) }),
]);
export type PairingAnswer = z.infer<typeof PairingAnswer>;

/** What came of it, for the machine with the code. */
export const PairingEnd = z.strictObject({ type: z.enum(['kept', 'unreachable']) });
export type PairingEnd = z.infer<typeof PairingEnd>;

// -- What the rest of the sidecar needs of zod -----------------------------------------------------------

export type Schema<T> = z.ZodType<T>;

/**
 * Checks `value`; `what` names it in the message ("preset oil-painting.style.json").
 * Errors: `code`, with a line for each thing that is wrong and where it is.
 */
export const parse = <T>(schema: Schema<T>, value: unknown, what: string, code: ErrorCode = 'ERR_CONFIG'): T => {
	const result = schema.safeParse(value);
	if (result.success) return result.data;
	throw new SidecarError(code, `${what} is not valid:\n${z.prettifyError(result.error)}`, { cause: result.error });
};

/** The part of JSON schema that help text, controls and `presets/style.schema.json` use. */
export interface JsonSchema {
	type?: string;
	description?: string;
	unit?: string;
	default?: unknown;
	const?: unknown;
	enum?: unknown[];
	minimum?: number;
	exclusiveMinimum?: number;
	maximum?: number;
	minLength?: number;
	maxLength?: number;
	properties?: Record<string, JsonSchema>;
}

/** JSON schema of what a user may write, so a field with a default is not required. */
export const jsonSchemaOf = (schema: z.ZodType): JsonSchema => z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;
