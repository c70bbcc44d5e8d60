import type { Frame, Size, StyledFrame } from '../frame/frame.ts';
import type { Parameters } from '../parameters.ts';

/** Paints frames, in order, wherever the models run. The rest of the sidecar knows no more of them than this. */
export interface Engine extends AsyncDisposable {
	readonly model: string;
	/** The execution provider that was chosen. */
	readonly provider: string;
	readonly painted: Size;
	/** Frames come from the engine's ring, to which it gives each slot back as soon as the pixels were read. */
	paint(frames: AsyncIterable<Frame>): AsyncIterable<StyledFrame>;
}

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
