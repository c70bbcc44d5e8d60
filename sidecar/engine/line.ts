import type { Frame, StyledFrame } from '../frame/frame.ts';
import { farAhead } from './ahead.ts';
import type { Batcher } from './batcher.ts';
import type { Converter } from './converter.ts';
import type { DenoiserStream } from './denoiser-stream.ts';
import type { EncoderStream } from './encoder-stream.ts';
import type { MotionTracker } from './motion-tracker.ts';
import type { SimilarityFilter } from './similarity-filter.ts';
import type { TemporalAdapter } from './temporal-adapter.ts';

export interface Stages {
	batcher: Batcher;
	converter: Converter;
	similarityFilter: SimilarityFilter;
	motionTracker: MotionTracker;
	encoderStream: EncoderStream;
	temporalAdapter: TemporalAdapter;
	denoiserStream: DenoiserStream;
}

/**
 * The data path of a frame, top to bottom. Each stage pulls from the one above it, so nothing is buffered
 * that the stage below did not ask for. The ring alone drops, `ahead` alone overlaps: batch n + 1 is
 * converted and encoded while batch n is denoised, so the steady period is max(side, main). Where denoiser and decoder
 * have a thread each, `batchesAhead` batches are asked for before one is painted, and main is the longer of the two. With
 * `overlaps` false, which is for measurements, the period is the sum of all.
 */
export const paintLine = (
	frames: AsyncIterable<Frame>,
	stages: Stages,
	{ batchesAhead = 0, overlaps = true }: { batchesAhead?: number | undefined; overlaps?: boolean | undefined } = {},
): AsyncIterable<StyledFrame> => {
	const { batcher, converter, similarityFilter, motionTracker, encoderStream, temporalAdapter, denoiserStream } =
		stages;
	const ahead = <T>(items: AsyncIterable<T>, count: number) => farAhead(items, overlaps ? count : 0);

	const batches = batcher.batches(frames); //                     FrameBatch        B frames + one parameters snapshot
	const pictured = converter.convert(batches); //                 PictureBatch      + RGB at the painted size
	const sifted = similarityFilter.sift(pictured); //              SiftedBatch       + is it still the picture painted last?
	const moving = motionTracker.track(sifted); //                  MovingBatch       + flow, started now and awaited late
	const encoded = ahead(encoderStream.encode(moving), 1); //      EncodedBatch      + promptEmbeds, sourceLatents   (side stream)
	const conditioned = temporalAdapter.condition(encoded); //      ConditionedBatch  + noise, the last painting warped
	const denoised = denoiserStream.denoise(conditioned); //        DenoisedBatch     + paintings, on their way       (main stream)
	const blended = temporalAdapter.blend(denoised); //             BlendedBatch      + what is shown of them
	return temporalAdapter.show(ahead(blended, batchesAhead)); //   StyledFrame
};
