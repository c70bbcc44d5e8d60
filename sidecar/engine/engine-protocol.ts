import type { GraphRole } from '../config/schema/manifest.ts';
import type { Frame, Size, StyledFrame } from '../frame/frame.ts';
import type { Device } from '../inference/devices.ts';
import type { ProviderChoice } from '../inference/provider-probe.ts';
import type { Provider } from '../inference/session.ts';
import type { Fit } from '../native.ts';
import { isStreamBatched, type Condition, type Parameters, type ReferencePicture } from '../parameters.ts';
import type { EncodedPrompt, LineState, StageName } from './engine.ts';
import type { StreamsSettings } from './streams.ts';

/**
 * What the sidecar and an engine's process say to each other. A process has the graphs of one model and paints several
 * lines with them. Pixels cross in two rings of shared memory a line, one each way; a message says in which slot they lie.
 */

/** Lines that a process has at a time. */
export const LINES_MAX = 64;

/**
 * The child's descriptor on which a line's ends are passed, before the message of the line: the reading end of its ring of
 * frames, then the writing end of its ring of paintings.
 */
export const ENDS_FD = 4;

/** Answers that may be under way to the sidecar; the engine waits beyond them. */
export const answersMax = (batchSize: number): number => batchSize + 2;

/** A batch being encoded, one being denoised, one being decoded, one on its way out. */
const BATCHES_IN_ENGINE = 4;
/** A ring of shared memory has 64 slots, one of which is being written. */
const IN_FLIGHT_MAX = 63;

/** Frames that an engine may have at a time, and the first of the next batch. With fewer it runs smaller stream batches. */
export const framesInEngine = (tuning: Parameters['tuning']): number => {
	const inStream = isStreamBatched(tuning) ? tuning.steps - 1 : 0;
	return Math.min((BATCHES_IN_ENGINE + inStream) * tuning.batchSize + 1, IN_FLIGHT_MAX);
};

/** What all lines of a process share. */
export interface OpenRequest extends Omit<StreamsSettings, 'session'> {
	logLevel: string;
}

export interface LineRequest {
	painted: Size;
	fit: Fit;
	/** How long the batcher waits for a batch to fill; Infinity when every frame is painted. */
	batchDeadlineMs: number;
	parameters: Parameters;
	/** Whether the embeddings of the prompts are told, each time that they are new. */
	tellsPrompts?: boolean;
}

/** Parameters on their way: of a reference that those before them had, the pixels are left out. */
export interface SentParameters extends Omit<Parameters, 'conditioning'> {
	conditioning: readonly (Omit<Condition, 'reference'> & {
		reference?: Pick<ReferencePicture, 'id'> & Partial<ReferencePicture>;
	})[];
}

export const toSend = (parameters: Parameters, before: Parameters): SentParameters => {
	const known = referencesOf(before);
	const conditioning = parameters.conditioning.map(({ reference, ...condition }) => {
		if (!reference) return condition;
		return { ...condition, reference: known.has(reference.id) ? { id: reference.id } : reference };
	});
	return { ...parameters, conditioning };
};

export const received = (sent: SentParameters, before: Parameters): Parameters => {
	const known = referencesOf(before);
	const conditioning = sent.conditioning.map(({ reference, ...condition }): Condition => {
		if (!reference) return condition;
		const { id, picture } = reference;
		return { ...condition, reference: picture ? { id, picture } : known.get(id)! };
	});
	return { ...sent, conditioning };
};

const referencesOf = ({ conditioning }: Parameters): Map<string, ReferencePicture> =>
	new Map(conditioning.flatMap(({ reference }) => (reference ? [[reference.id, reference] as const] : [])));

export type ToEngine =
	| ({ type: 'open' } & OpenRequest)
	/** Once the model is open. */
	| ({ type: 'line'; line: number } & LineRequest)
	/** In force from the next batch on. */
	| { type: 'parameters'; line: number; parameters: SentParameters }
	/** Before the first frame: where another engine was. */
	| { type: 'resume'; line: number; state: LineState }
	/** Answers one `pull`; `slot` is of the line's ring of frames. */
	| { type: 'frame'; line: number; frame: Frame }
	/** There are no more frames. */
	| { type: 'end'; line: number }
	/** The sidecar has done with one answer. */
	| { type: 'taken'; line: number }
	/** Nobody wants to hear of the line any more. */
	| { type: 'close'; line: number };

/** How long things took since the answer before. */
export interface Timings {
	stages: [name: StageName, ms: number][];
	batches: { sideMs: number; mainMs: number }[];
}

/** A frame that came out of the line, without its pixels. */
export type Answer = Omit<StyledFrame, 'source' | 'picture'>;

export type FromEngine =
	/** The model is open. */
	| {
			type: 'ready';
			provider: Provider;
			/** Undefined where no driver names it, or where it is another machine's. */
			device?: Device | undefined;
			refused: ProviderChoice['refused'];
			int8Graphs: readonly GraphRole[];
	  }
	| { type: 'opened'; line: number }
	/** The line wants one more frame. */
	| { type: 'pull'; line: number }
	/** `slots` hold the source at the painted size, then the painting; absent where there is no painting. */
	| {
			type: 'answer';
			line: number;
			answer: Answer;
			slots?: { source: number; picture: number };
			timings: Timings;
	  }
	| { type: 'prompts'; line: number; prompts: readonly EncodedPrompt[] }
	/** Of one line, or of all: then the process ends. */
	| { type: 'failed'; line?: number; code: string; message: string };

/** The ring of paintings numbers pictures, two to an answer; the ring knows no other order. */
export const pictureSequences = (answerIndex: number): { source: number; picture: number } => ({
	source: 2 * answerIndex,
	picture: 2 * answerIndex + 1,
});
