import type { Frame, StyledFrame } from '../frame/frame.ts';
import { ahead } from './ahead.ts';
import type { Batcher } from './batcher.ts';
import type { Converter } from './converter.ts';
import type { DenoiserStream } from './denoiser-stream.ts';
import type { EncoderStream } from './encoder-stream.ts';
import type { MotionTracker } from './motion-tracker.ts';
import type { TemporalAdapter } from './temporal-adapter.ts';

export interface Stages {
	batcher: Batcher;
	converter: Converter;
	motionTracker: MotionTracker;
	encoderStream: EncoderStream;
	temporalAdapter: TemporalAdapter;
	denoiserStream: DenoiserStream;
}

/**
 * The data path of a frame, top to bottom. Each stage pulls from the one above it, so nothing is buffered
 * that the stage below did not ask for. The ring alone drops, `ahead` alone overlaps: batch n + 1 is
 * converted and encoded while batch n is denoised, so the steady period is max(side, main).
 */
export const paintLine = (frames: AsyncIterable<Frame>, stages: Stages): AsyncIterable<StyledFrame> => {
	const { batcher, converter, motionTracker, encoderStream, temporalAdapter, denoiserStream } = stages;

	const batches = batcher.batches(frames); //                     FrameBatch        B frames + one parameters snapshot
	const pictured = converter.convert(batches); //                 PictureBatch      + RGB at the painted size
	const moving = motionTracker.track(pictured); //                MovingBatch       + flow, started now and awaited late
	const encoded = ahead(encoderStream.encode(moving)); //         EncodedBatch      + promptEmbeds, sourceLatents   (side stream)
	const conditioned = temporalAdapter.condition(encoded); //      ConditionedBatch  + noise, the last painting warped
	const denoised = denoiserStream.denoise(conditioned); //        DenoisedBatch     + paintings                    (main stream)
	return temporalAdapter.blend(denoised); //                      StyledFrame
};
