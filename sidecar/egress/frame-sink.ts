import type { Fit } from '../native.ts';
import type { AudioTrack, FrameRate, Size, StyledFrame } from '../frame/frame.ts';

export interface SinkSetup {
	/** What the sink gives out: the source's size, or the painted size under `--output painted`. */
	size: Size;
	/** How a picture of another shape meets that size; undoes what was done on the way in. */
	fit: Fit;
	frameRate: FrameRate;
	audio?: AudioTrack;
}

/**
 * Takes painted frames. `present` hands the frame over and resolves as soon as the sink can take another:
 * at once for a live sink, when the bounded queue has room for a file. Errors: ERR_SINK while opening, ERR_SINK_WRITE while running.
 */
export interface FrameSink extends AsyncDisposable {
	readonly name: string;
	/** Whether it shows of a painting what lies outside the region, too; left out, it does not. */
	showsWhole?(): boolean;
	present(frame: StyledFrame): Promise<void>;
	/** Writes what is queued and makes the result whole; without it, disposal throws the result away. */
	finish(): Promise<void>;
}
