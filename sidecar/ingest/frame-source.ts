import type { FrameRing } from '../frame/ring.ts';
import {
	alphaPlaneByteLength,
	pictureByteLength,
	type AudioTrack,
	type FrameRate,
	type PictureLayout,
} from '../frame/frame.ts';

export interface SourceInfo {
	/** As the user named it: `scene`, `file:PATH`. */
	name: string;
	layout: PictureLayout;
	/** Nominal rate; a variable rate gives its average. */
	frameRate: FrameRate;
	/** 0 where the source has no end or does not know it. */
	durationUs: number;
	audio?: AudioTrack;
	/** It runs whether it is painted or not, as a camera does: its frames come before the engine is ready. */
	isLive?: true;
	/** Alpha comes with the frames: in their pixels, or in their slots, in a plane behind the picture. */
	hasAlpha?: true;
}

/** Of a slot: a picture, and its alpha where that lies behind it. */
export const slotByteLength = ({ layout, hasAlpha }: Pick<SourceInfo, 'layout' | 'hasAlpha'>): number =>
	pictureByteLength(layout) + (hasAlpha ? alphaPlaneByteLength(layout) : 0);

/** What the source has to say when it ended. */
export interface SourceEnd {
	framesRead: number;
	/** Things the user should hear, such as a file cut in the middle. */
	warnings: string[];
}

/**
 * Gives frames. `run` fills slots of the ring until the source ends or the signal aborts, stamps each
 * with `capturedUs` and offers it; it does not close the ring. Frames have one layout for the whole run.
 * Errors: ERR_SOURCE while opening, ERR_SOURCE_READ while running.
 */
export interface FrameSource extends AsyncDisposable {
	readonly info: SourceInfo;
	run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd>;
}

/** How frames are stamped and let go: as fast as they are taken, or in real time. */
export type Pace = 'max' | 'source';
