import type { Flow } from '../native.ts';
import type { Frame, Picture } from '../frame/frame.ts';
import type { Tensor } from '../frame/tensor.ts';
import type { EncodeResult, PromptEmbeds } from '../inference/encoder.ts';
import type { CausalConditioning, PaintedBefore, TemporalConditioning } from '../inference/denoiser.ts';
import type { Parameters } from '../parameters.ts';

/** B frames that are painted together with one snapshot of the parameters. */
export interface FrameBatch {
	/** Counts batches from 0. */
	index: number;
	frames: readonly Frame[];
	parameters: Parameters;
}

/** + pixels, after which the slots of the frames are free again. */
export interface PictureBatch extends FrameBatch {
	/** RGB at the painted size; under the style `passthrough`, the source's own pixels. */
	pictures: readonly Picture[];
	/** When the side stream began with this batch. */
	sideStartUs: number;
}

/** + whether it is painted. */
export interface SiftedBatch extends PictureBatch {
	/** Nothing has changed: the last painting is shown again, and the streams are passed by. */
	isReused: boolean;
}

/** + the motion of the input and the noise that moves with it, still being computed while the encoder runs. */
export interface MovingBatch extends SiftedBatch {
	motion: Promise<Motion>;
	/** For each frame, the noise to start from, as latents: [batch, channels, height / scale, width / scale]. */
	noise: Promise<Tensor<Float32Array>>;
}

/** How the frames of a batch moved; absent flows were not asked for or have no frame to start from. */
export interface Motion {
	/**
	 * For each frame, the flow from the frame before it where noise or paintings are carried along, at a quarter of the size
	 * where it is paintings alone; undefined at a cut.
	 */
	fromPrevious: readonly (Flow | undefined)[];
	/** For each frame, the flow from the last frame of the batch before; undefined unless a refresh is due. */
	fromLastBatch: readonly Flow[] | undefined;
	/**
	 * For each frame, the flow from the frame before it, at a quarter of the size or finer, where the temporal adapter moves
	 * the last latents along; undefined at a cut.
	 */
	ofLatents: readonly (Flow | undefined)[];
	/** For each frame, whether it is of another scene than the one before it; absent where nobody asked. */
	cuts?: readonly boolean[];
	/** A scene cut or another style: the painting before has nothing to say about this batch. */
	isNewScene: boolean;
}

/** + what the side stream gives; undefined for what passes the streams by: the style `passthrough`, and what is reused. */
export interface EncodedBatch extends MovingBatch {
	encoding: Encoding | undefined;
}

export interface Encoding extends Pick<EncodeResult, 'sourceLatents' | 'details'> {
	prompt: PromptEmbeds;
	/** For a model that paints each frame from the paintings before it. */
	causal?: Pick<CausalConditioning, 'style' | 'mixture' | 'reference'>;
	before?: PaintedBefore;
	sideMs: number;
}

/** + what the main stream starts from. */
export interface ConditionedBatch extends EncodedBatch {
	conditioning: Conditioning | undefined;
	mainStartUs: number;
}

export interface Conditioning {
	noise: Tensor<Float32Array>; // [batch, channels, height / scale, width / scale]
	temporal: TemporalConditioning;
	cuts: readonly boolean[];
}

/** + the paintings, RGB at the painted size, still being painted; the pictures themselves where the streams were passed by. */
export interface DenoisedBatch extends ConditionedBatch {
	paintings: Promise<readonly Picture[]>;
}

/** + what is shown of each frame, once it is painted. */
export interface BlendedBatch extends DenoisedBatch {
	shown: Promise<readonly Picture[]>;
}
