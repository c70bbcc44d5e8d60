import assert from 'node:assert/strict';

/**
 * Which frames a pass over a moving buffer has (StreamDiT, arXiv 2507.03745, the diagonal partition: chunks of one frame, a pass for
 * each step): every frame is at a level of its own, all are taken one step on, the oldest to its end. Ours has two frames, so
 * it is for models of two steps. A place that no frame has yet is the newest frame's, once more, as it began.
 */
export interface MovingBuffer<Frame> {
	/** It has taken its first step. */
	readonly begun: Frame | undefined;
	/** Its painting was given already; it stays for the next frame to be painted beside it. */
	readonly isGiven: boolean;
}

/** Frames of the buffer, and steps of each. */
export const BUFFERED = 2;

export interface BufferRow<Frame> {
	readonly frame: Frame;
	/** The one that it takes in this pass. */
	readonly step: 0 | 1;
}

export interface BufferPass<Frame> {
	/** Oldest first. */
	readonly rows: readonly [BufferRow<Frame>, BufferRow<Frame>];
	/** The row that comes to its end; undefined where nobody waits for that painting. */
	readonly finished: 0 | undefined;
	/** The row of the frame that takes its first step; undefined where none has entered. */
	readonly entered: 0 | 1 | undefined;
	readonly buffer: MovingBuffer<Frame>;
}

export const EMPTY_BUFFER: MovingBuffer<never> = { begun: undefined, isGiven: false };

/** A frame enters, and the one before it is finished. */
export const enter = <Frame>({ begun, isGiven }: MovingBuffer<Frame>, frame: Frame): BufferPass<Frame> => {
	const buffer = { begun: frame, isGiven: false };
	const first = { frame, step: 0 } as const;
	if (begun === undefined) return { rows: [first, first], finished: undefined, entered: 0, buffer };
	return { rows: [{ frame: begun, step: 1 }, first], finished: isGiven ? undefined : 0, entered: 1, buffer };
};

/** Nothing follows, or not in time: the frame that has begun is finished, and stays; undefined where there is none to finish. */
export const finish = <Frame>({ begun, isGiven }: MovingBuffer<Frame>): BufferPass<Frame> | undefined => {
	if (begun === undefined || isGiven) return undefined;
	return {
		rows: [
			{ frame: begun, step: 1 },
			{ frame: begun, step: 0 },
		],
		finished: 0,
		entered: undefined,
		buffer: { begun, isGiven: true },
	};
};

/** As if this frame, which another has painted, had begun here and been given. */
export const remember = <Frame>(buffer: MovingBuffer<Frame>, frame: Frame): MovingBuffer<Frame> =>
	buffer.begun === undefined ? { begun: frame, isGiven: true } : buffer;

/** Another scene or style begins. What has begun is finished before. */
export const empty = <Frame>({ begun, isGiven }: MovingBuffer<Frame>): MovingBuffer<Frame> => {
	assert(begun === undefined || isGiven, 'a frame of the moving buffer would be lost');
	return EMPTY_BUFFER;
};
