import assert from 'node:assert/strict';
import { SidecarError } from '../../errors.ts';

/** How many frames a cache of keys and values has room for, and how many of them are sinks. */
export interface WindowSize {
	frames: number;
	/** The first frames after the start or a change of style, which stay. */
	sinkFrames: number;
}

/** A frame whose keys and values are held, and where. */
export interface HeldFrame {
	readonly frame: number;
	readonly slot: number;
	readonly isSink: boolean;
}

/**
 * What is held, oldest first. Its place in this row is a frame's position: the newest is 1 frame back, the one before it 2,
 * and none is farther than the window is long, however long the stream. A sink is as far back as its place says, not as its number.
 */
export type FrameWindow = readonly HeldFrame[];

export const EMPTY_WINDOW: FrameWindow = [];

/** How many frames back entry `index` is for the frame that is painted next. */
export const framesBack = (window: FrameWindow, index: number): number => window.length - index;

export interface Writing {
	window: FrameWindow;
	/** Where the keys and values of the frame go. */
	slot: number;
	/** Slots whose frames are one frame farther back than before. */
	farther: readonly number[];
}

/**
 * A pass over a frame writes its keys and values. Sinks lie in the first slots; of the others the oldest makes way where all are
 * taken. A further pass over the newest frame overwrites it in its place, and nothing moves (Self-Forcing, arXiv 2506.08009).
 */
export const writeFrame = (window: FrameWindow, frame: number, { frames, sinkFrames }: WindowSize): Writing => {
	const newest = window.at(-1);
	assert(!newest || frame >= newest.frame, `frame ${frame} is written after ${newest?.frame}`);
	if (newest?.frame === frame) return { window, slot: newest.slot, farther: [] };
	const sinks = window.filter(({ isSink }) => isSink).length;
	const isSink = sinks < sinkFrames;
	const taken = new Set(window.map(({ slot }) => slot));
	let slot = isSink ? sinks : sinkFrames;
	while (!isSink && taken.has(slot)) slot++;
	let evicted = -1;
	if (slot === frames) {
		evicted = window.findIndex((held) => !held.isSink);
		slot = window[evicted]!.slot;
	}
	return {
		window: [...window.filter((_, i) => i !== evicted), { frame, slot, isSink }],
		slot,
		// What is older than the evicted one keeps its place.
		farther: window.slice(evicted + 1).map((held) => held.slot),
	};
};

export interface Keeping {
	window: FrameWindow;
	/** The frame that stays moves out of a sink's slot. */
	move?: { from: number; to: number };
}

/** The style changes: the last frame stays, as an ordinary one (RTR-DiT, arXiv 2604.13509, rule 3), and all others go. */
export const keepNewest = (window: FrameWindow, { sinkFrames }: WindowSize): Keeping => {
	const newest = window.at(-1);
	if (!newest) return { window };
	const kept: FrameWindow = [{ frame: newest.frame, slot: sinkFrames, isSink: false }];
	return newest.slot === sinkFrames ? { window: kept } : { window: kept, move: { from: newest.slot, to: sinkFrames } };
};

/** Throws ERR_CONFIG unless a window can be that long: 1 to `longest` frames, at least one of them no sink. */
export const checkWindow = ({ frames, sinkFrames }: WindowSize, longest: number): void => {
	if (!Number.isInteger(frames) || frames < 1 || frames > longest)
		throw new SidecarError('ERR_CONFIG', `The window has ${frames} frames, expected 1 to ${longest}.`);
	if (!Number.isInteger(sinkFrames) || sinkFrames < 0 || sinkFrames >= frames)
		throw new SidecarError(
			'ERR_CONFIG',
			`${sinkFrames} frames of the window are sinks, expected 0 to ${frames - 1} of its ${frames}: one has to make way.`,
		);
};
