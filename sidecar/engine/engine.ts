import type { Frame, StyledFrame } from '../frame/frame.ts';
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
}

export type StageName =
	| 'convert' // source pixels -> RGB at the painted size
	| 'flow' // optical flow of the input frames, beside the encoder
	| 'te' // text and vision encoder
	| 'vaeEncode'
	| 'warp' // the last painting along the flow, for the temporal adapter
	| 'noise' // the noise field along the flow
	| 'cond' // embeddings of the temporal adapter
	| 'unet'
	| 'vaeDecode'
	| 'blend';

/** The parameters in force now; read by the batcher once a batch. */
export type ParametersNow = () => Parameters;
