import { SidecarError } from '../../errors.ts';
import { fileName, help, kebabName, promptField, sha256 } from './fields.ts';
import { Tuning, TuningOverrides, stepsField, tuningFields } from './tuning.ts';
import { z } from './zod.ts';

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
