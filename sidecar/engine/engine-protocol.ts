import type { GraphRole } from '../config/schema.ts';
import type { Frame, Size, StyledFrame } from '../frame/frame.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import type { ProviderChoice } from '../inference/provider-probe.ts';
import type { Provider } from '../inference/session.ts';
import type { Fit } from '../native.ts';
import type { Parameters } from '../parameters.ts';
import type { StageName } from './engine.ts';

/**
 * What the sidecar and the engine's process say to each other. Pixels cross in two rings of shared memory, one
 * each way; a message says in which slot they lie.
 */

/** The descriptors of the child: the reading end of the ring of frames, the writing end of the ring of paintings. */
export const FRAMES_FD = 4;
export const PAINTINGS_FD = 5;

/** Answers that may be under way to the sidecar; the engine waits beyond them. */
export const answersMax = (batchSize: number): number => batchSize + 2;

export interface OpenRequest {
	folder: ModelFolder;
	provider: Provider | 'auto';
	/** Graphs to run in int8; left out, by the tuning's precision. */
	int8Graphs?: readonly GraphRole[];
	painted: Size;
	fit: Fit;
	/** How long the batcher waits for a batch to fill; Infinity when every frame is painted. */
	batchDeadlineMs: number;
	parameters: Parameters;
	logLevel: string;
}

export type ToEngine =
	| ({ type: 'open' } & OpenRequest)
	/** In force from the next batch on. */
	| { type: 'parameters'; parameters: Parameters }
	/** Answers one `pull`; `slot` is of the ring of frames. */
	| { type: 'frame'; frame: Frame }
	/** There are no more frames. */
	| { type: 'end' }
	/** The sidecar has done with one answer. */
	| { type: 'taken' };

/** How long things took since the answer before. */
export interface Timings {
	stages: [name: StageName, ms: number][];
	batches: { sideMs: number; mainMs: number }[];
}

/** A frame that came out of the line, without its pixels. */
export type Answer = Omit<StyledFrame, 'source' | 'picture'>;

export type FromEngine =
	| { type: 'ready'; provider: Provider; refused: ProviderChoice['refused']; int8Graphs: readonly GraphRole[] }
	/** The line wants one more frame. */
	| { type: 'pull' }
	/** `slots` hold the source at the painted size, then the painting; absent where there is no painting. */
	| { type: 'answer'; answer: Answer; slots?: { source: number; picture: number }; timings: Timings }
	/** The process ends after this. */
	| { type: 'failed'; code: string; message: string };

/** The ring of paintings numbers pictures, two to an answer; the ring knows no other order. */
export const pictureSequences = (answerIndex: number): { source: number; picture: number } => ({
	source: 2 * answerIndex,
	picture: 2 * answerIndex + 1,
});
