import { Batcher } from '../../sidecar/engine/batcher.ts';
import { Converter } from '../../sidecar/engine/converter.ts';
import { DenoiserStream, type DenoiserDevice } from '../../sidecar/engine/denoiser-stream.ts';
import { EncoderStream, type EncoderDevice } from '../../sidecar/engine/encoder-stream.ts';
import type { EngineObserver, ParametersNow } from '../../sidecar/engine/engine.ts';
import type { Stages } from '../../sidecar/engine/line.ts';
import { MotionTracker } from '../../sidecar/engine/motion-tracker.ts';
import { NoiseField } from '../../sidecar/engine/noise-field.ts';
import { TemporalAdapter } from '../../sidecar/engine/temporal-adapter.ts';
import type { NativeAddon } from '../../sidecar/native.ts';

interface SimulatedLine {
	device: EncoderDevice & DenoiserDevice;
	native: NativeAddon;
	parametersNow: ParametersNow;
	observer?: EngineObserver;
}

const PAINTED = { width: 32, height: 32 };

export const SILENT: EngineObserver = { stage: () => {}, batch: () => {} };

/** The real stages of the line over a device that only takes its time. */
export const simulatedStages = ({ device, native, parametersNow, observer = SILENT }: SimulatedLine): Stages => {
	const bytes = new Uint8Array(3 * PAINTED.width * PAINTED.height);
	return {
		batcher: new Batcher({ parametersNow, deadlineMs: Infinity }),
		converter: new Converter({
			native,
			ring: { bytes: () => bytes, release: () => {} },
			painted: PAINTED,
			fit: 'stretch',
			observer,
		}),
		motionTracker: new MotionTracker({ native, observer }),
		encoderStream: new EncoderStream({ device, native, visionSize: PAINTED, observer }),
		temporalAdapter: new TemporalAdapter({
			native,
			noise: new NoiseField({ native, painted: PAINTED, latents: { channels: 4, scale: 8 } }),
			observer,
		}),
		denoiserStream: new DenoiserStream({ device, observer }),
	};
};
