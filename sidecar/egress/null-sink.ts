import type { FrameSink } from './frame-sink.ts';

/** Takes frames and forgets them: for measuring, and for a rig that only previews. */
export const openNullSink = (): FrameSink => ({
	name: 'null',
	present: () => Promise.resolve(),
	finish: () => Promise.resolve(),
	[Symbol.asyncDispose]: () => Promise.resolve(),
});
