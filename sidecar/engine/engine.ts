import type { Frame, Picture, StyledFrame } from '../frame/frame.ts';
import type { PromptEmbeds } from '../inference/encoder.ts';
import type { Parameters } from '../parameters.ts';

/** Paints frames, in order, wherever the models run. The rest of the sidecar knows no more of them than this. */
export interface Engine extends AsyncDisposable {
	/** The execution provider that was chosen; undefined until then. */
	readonly provider: string | undefined;
	/** Frames come from the engine's ring, to which it gives each slot back. */
	paint(frames: AsyncIterable<Frame>): AsyncIterable<StyledFrame>;
}

export type EngineState =
	| 'starting' // the model is being loaded
	| 'painting'
	| 'stale' // it has frames and gives none
	| 'restarting'; // it died, and another is being started

/** Hears how long things took; called on the event loop, must be quick. */
export interface EngineObserver {
	stage(name: StageName, ms: number): void;
	/** Busy time of the two streams for one batch. */
	batch(times: { sideMs: number; mainMs: number }): void;
	/** All that are in use, after some were encoded anew. */
	prompts?(prompts: readonly EncodedPrompt[]): void;
}

/** A prompt and what the encoder made of it; undefined is the model's neutral one. */
export interface EncodedPrompt {
	prompt: string | undefined;
	embeds: PromptEmbeds;
}

/** Where an engine was in a stream, for the one that goes on from there. */
export interface LineState {
	/** Of the last painting. */
	epoch: number;
	/** The frame that was painted last, and its painting: RGB at the painted size. */
	source: Picture;
	painting: Picture;
	/** Empty where nobody knows them: they are encoded anew. */
	prompts: readonly EncodedPrompt[];
}

export type StageName =
	| 'convert' // source pixels -> RGB at the painted size
	| 'similarity' // how much the picture differs from the one painted last
	| 'flow' // optical flow of the input frames, beside the encoder
	| 'te' // text and vision encoder
	| 'vaeEncode'
	| 'warp' // the last painting along the flow, for the temporal adapter
	| 'noise' // the noise field along the flow
	| 'cond' // embeddings of the temporal adapter
	| 'unet'
	| 'dit' // in the stead of a U-Net: the causal transformer
	| 'vaeDecode'
	| 'blend';

/** The parameters in force now; read by the batcher once a batch. */
export type ParametersNow = () => Parameters;
