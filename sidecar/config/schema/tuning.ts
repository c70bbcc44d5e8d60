import { help } from './fields.ts';
import { z } from './zod.ts';

export const stepsField = z
	.literal([1, 2, 4])
	.meta(help('Denoising steps a frame: more steps cost their number in time', 'steps'));

export const tuningFields = {
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
