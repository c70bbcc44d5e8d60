import type { Frame, StyledFrame } from '../frame/frame.ts';
import { ahead } from './ahead.ts';
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
 * converted and encoded while batch n is denoised, so the steady period is max(side, main). With `overlaps` false, which
 * is for measurements, it is their sum.
 */
export const paintLine = (
	frames: AsyncIterable<Frame>,
	stages: Stages,
	{ overlaps = true }: { overlaps?: boolean | undefined } = {},
): AsyncIterable<StyledFrame> => {
	const { batcher, converter, similarityFilter, motionTracker, encoderStream, temporalAdapter, denoiserStream } =
		stages;
	const overlapped = overlaps ? ahead : <T>(items: AsyncIterable<T>) => items;

	const batches = batcher.batches(frames); //                     FrameBatch        B frames + one parameters snapshot
	const pictured = converter.convert(batches); //                 PictureBatch      + RGB at the painted size
	const sifted = similarityFilter.sift(pictured); //              SiftedBatch       + is it still the picture painted last?
	const moving = motionTracker.track(sifted); //                  MovingBatch       + flow, started now and awaited late
	const encoded = overlapped(encoderStream.encode(moving)); //    EncodedBatch      + promptEmbeds, sourceLatents   (side stream)
	const conditioned = temporalAdapter.condition(encoded); //      ConditionedBatch  + noise, the last painting warped
	const denoised = denoiserStream.denoise(conditioned); //        DenoisedBatch     + paintings                    (main stream)
	return temporalAdapter.blend(denoised); //                      StyledFrame
};
