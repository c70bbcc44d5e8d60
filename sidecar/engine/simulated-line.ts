import { rgbLayout, type Frame } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import type { NativeAddon } from '../native.ts';
import { resolveParameters, type Parameters } from '../parameters.ts';
import { Batcher } from './batcher.ts';
import { Converter } from './converter.ts';
import { DenoiserStream, type DenoiserDevice } from './denoiser-stream.ts';
import { EncoderStream, type EncoderDevice } from './encoder-stream.ts';
import type { EngineObserver, ParametersNow } from './engine.ts';
import { paintLine, type Stages } from './line.ts';
import { MotionTracker } from './motion-tracker.ts';
import { NoiseField } from './noise-field.ts';
import { SimulatedDevice, type StageTimes } from './simulated-device.ts';
import { SimilarityFilter } from './similarity-filter.ts';
import { TemporalAdapter } from './temporal-adapter.ts';

export const PAINTED = { width: 32, height: 32 };

const SILENT: EngineObserver = { stage: () => {}, batch: () => {} };

/** The addon's contract over a world where nothing moves and pixels do not matter. */
export const STILL_WORLD: NativeAddon = {
	opencvVersion: 'none',
	lowerThreadPriority: () => {},
	vulkanDevices: () => [],
	convert: async () => {},
	patchRows: async () => {},
	encodeJpeg: async () => new Uint8Array(),
	decodeJpeg: async () => {},
	opticalFlow: async () => {},
	warp: async () => {},
	moveLatents: async (latents, _shape, _flows, target) => target.set(latents),
	blend: async () => {},
	paintRegion: async () => {},
	takeAlpha: async () => {},
	shapeMask: async ({ data }, _isInverted, _featherPx, target) => {
		target.data.set(data);
		return 'some';
	},
	advectNoise: async (field, _from, _shape, _flow, _to, samples) => samples.set(field),
	thumbnailDifference: async () => 0,
	blockDifference: async () => 0,
	meanMotion: async () => 0,
	pictureDifference: async () => ({ meanAbsolute: 0, psnrDb: Infinity, ssim: 1 }),
	pictureDetail: async () => ({ sobel: 0, hfFft: 0 }),
	warpingError: async () => ({ all: 0, visible: 0, visibleFraction: 1 }),
};

const PIXELS = new Uint8Array(3 * PAINTED.width * PAINTED.height);
const ONE_PICTURE = { bytes: () => PIXELS, release: () => {} };

interface Simulation {
	device: EncoderDevice & DenoiserDevice;
	parametersNow: ParametersNow;
	native?: NativeAddon;
	ring?: Pick<FrameRing, 'bytes' | 'release'>;
	/** How long a batch waits for its frames; left out, for ever. */
	deadlineMs?: number;
}

/** The real stages of the line over a device of one's own choice, for frames of 32x32. */
export const simulatedStages = ({
	device,
	parametersNow,
	native = STILL_WORLD,
	ring = ONE_PICTURE,
	deadlineMs = Infinity,
}: Simulation): Stages => {
	const noise = new NoiseField({ native, painted: PAINTED, latents: { channels: 4, scale: 8 } });
	return {
		batcher: new Batcher({ parametersNow, deadlineMs }),
		converter: new Converter({
			native,
			ring,
			painted: PAINTED,
			fit: 'stretch',
			observer: SILENT,
		}),
		similarityFilter: new SimilarityFilter({ native, observer: SILENT }),
		motionTracker: new MotionTracker({ native, noise, observer: SILENT }),
		encoderStream: new EncoderStream({ device, native, vision: PAINTED, observer: SILENT }),
		temporalAdapter: new TemporalAdapter({ native, observer: SILENT }),
		denoiserStream: new DenoiserStream({ device, observer: SILENT, deadlineMs }),
	};
};

/**
 * Steady milliseconds from batch to batch when every frame is there at once. The law of the line says
 * max(side, main), or max(side, main, decode) with batches ahead, and without overlap their sum.
 */
export const simulatePeriodMs = async ({
	batchSize,
	batches,
	overlaps,
	batchesAhead,
	tuning,
	nowMs,
	...times
}: StageTimes & {
	batchSize: number;
	batches: number;
	overlaps?: boolean;
	batchesAhead?: number;
	tuning?: Partial<Parameters['tuning']>;
	nowMs: () => number;
}): Promise<number> => {
	const parameters = simulatedParameters({ batchSize, ...tuning });
	const stages = simulatedStages({ device: new SimulatedDevice(times), parametersNow: () => parameters });
	const endsMs: number[] = [];
	for await (const { sequence } of paintLine(frames(batchSize * batches), stages, { batchesAhead, overlaps }))
		if (sequence % batchSize === batchSize - 1) endsMs.push(nowMs());
	const [settled, last] = [endsMs[2]!, endsMs.at(-1)!]; // the first two batches fill the line
	return (last - settled) / (batches - 3);
};

async function* frames(count: number): AsyncGenerator<Frame, void, undefined> {
	for (let sequence = 0; sequence < count; sequence++)
		yield { sequence, slot: 0, capturedUs: 0, timestampUs: 0, durationUs: 0, layout: rgbLayout(PAINTED) };
}

const PRESET = {
	format: 'allaprima-style',
	formatVersion: 2,
	name: 'grey',
	title: 'Grey',
	model: 'simulated',
	prompt: 'paint it grey',
	strength: 1,
	seed: 42,
} as const;

const TUNING = {
	steps: 1,
	noise: 'advected',
	temporalMultiplier: 1,
	condRefreshEvery: 8,
	teRefreshEvery: 1,
	teBatchOne: false,
	outputBlend: 0,
	similarityThreshold: 0,
	streamBatch: false,
	precision: 'fp32',
} as const;

/** Parameters as the paper paints with, but for what is said otherwise. */
export const simulatedParameters = (tuning: Partial<Parameters['tuning']>): Parameters =>
	resolveParameters(PRESET, { ...TUNING, batchSize: 1, ...tuning }, 0);
