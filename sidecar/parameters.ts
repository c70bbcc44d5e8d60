import type { Preset } from './config/schema/preset.ts';
import type { Tuning } from './config/schema/tuning.ts';
import type { Picture } from './frame/frame.ts';

/** A painting that shows a style. */
export interface ReferencePicture {
	/** Of its pixels. */
	readonly id: string;
	readonly picture: Picture;
}

/** A preset as it was read, with the picture that shows its style. */
export interface ReadPreset extends Preset {
	readonly shown?: ReferencePicture;
}

/**
 * What one batch sees: a resolved preset and the tuning in force, frozen. The only door from control to
 * the data path: the batcher reads the newest snapshot once a batch.
 */
export interface Parameters {
	/** Rises with each change of the target style; a frame of an older epoch is never shown after a newer one. */
	readonly epoch: number;
	/** The preset's name; `passthrough` gives the source's own frames. */
	readonly style: string;
	/** Prompts whose embeddings are mixed; what their weights lack to 1 is the model's neutral conditioning. */
	readonly conditioning: readonly Condition[];
	readonly seed: number;
	readonly tuning: Tuning;
}

export interface Condition {
	readonly prompt: string;
	readonly weight: number;
	/** Says the style in the prompt's stead, to models that can be shown one. */
	readonly reference?: ReferencePicture;
}
/** What is told and shown, however much of it. */
export type Look = Omit<Condition, 'weight'>;

export const PASSTHROUGH = 'passthrough';

/** What is told beside a picture that has no words of its own: with these `causal-dit` is trained. */
export const REFERENCE_PROMPT = 'transfer the video style to match the reference image style';

/** Whether a run of the denoiser has frames at each of the steps, and not one batch at one: the stream batch, the moving buffer. */
export const isStreamBatched = ({
	steps,
	streamBatch,
	movingBuffer = false,
}: Pick<Tuning, 'steps' | 'streamBatch' | 'movingBuffer'>): boolean => (streamBatch || movingBuffer) && steps > 1;

export const lookOf = ({ prompt = REFERENCE_PROMPT, shown }: Pick<ReadPreset, 'prompt' | 'shown'>): Look => ({
	prompt,
	...(shown && { reference: shown }),
});

/** The same for the same words and picture. */
export const lookKey = ({ prompt, reference }: Look): string => `${reference?.id ?? ''}\n${prompt}`;

export const resolveParameters = (preset: ReadPreset, tuning: Tuning, epoch: number): Parameters =>
	Object.freeze({
		epoch,
		style: preset.name,
		conditioning: [{ ...lookOf(preset), weight: preset.strength }],
		seed: preset.seed,
		tuning: Object.freeze({ ...tuning }),
	});
