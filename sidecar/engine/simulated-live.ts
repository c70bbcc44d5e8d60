import { elementCount } from '../frame/tensor.ts';
import { rgbLayout } from '../frame/frame.ts';
import { FrameRing } from '../frame/ring.ts';
import { Gatherer } from '../inference/gatherer.ts';
import type { EncodeRequest, EncodeResult } from '../inference/encoder.ts';
import type { PaintResult } from '../inference/worker-protocol.ts';
import type { NativeAddon } from '../native.ts';
import type { Parameters } from '../parameters.ts';
import type { DenoiserDevice, LineDenoiseRequest } from './denoiser-stream.ts';
import type { EncoderDevice } from './encoder-stream.ts';
import { paintLine } from './line.ts';
import { SimulatedDevice } from './simulated-device.ts';
import { PAINTED, simulatedParameters, simulatedStages, STILL_WORLD } from './simulated-line.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** What a device of several lines takes for requests that it runs together, in milliseconds. */
export interface SharedTimes {
	sideMs: (requests: readonly EncodeRequest[]) => number;
	mainMs: (requests: readonly LineDenoiseRequest[]) => number;
}

/** Milliseconds that each stream of the device was at work. */
export interface BusyTimes {
	sideMs: number;
	mainMs: number;
}

/**
 * A device that several lines share: on each of its two streams what waits is run together, at most `most` requests, as
 * the inference threads do it. What it gives is mid-grey.
 */
export const simulateSharedDevice = (
	{ sideMs, mainMs }: SharedTimes,
	{ most, clock }: { most: number; clock: VirtualClock },
): { device: EncoderDevice & DenoiserDevice; busy: BusyTimes } => {
	const grey = new SimulatedDevice({ sideMs: 0, mainMs: 0, sleep: async () => {} });
	const busy = { sideMs: 0, mainMs: 0 };
	const work = async (stream: keyof BusyTimes, ms: number) => {
		busy[stream] += ms;
		await clock.sleep(ms);
	};
	const encoding = new Gatherer<EncodeRequest, EncodeResult>({
		run: async (requests) => {
			await work('sideMs', sideMs(requests));
			return await Promise.all(requests.map((request) => grey.encode(request)));
		},
		keyOf: ({ pictures }) => pictures.shape.slice(1).join(),
		most,
	});
	const denoising = new Gatherer<LineDenoiseRequest, PaintResult>({
		run: async (requests) => {
			await work('mainMs', mainMs(requests));
			return await Promise.all(requests.map((request) => grey.denoise(request)));
		},
		keyOf: ({ noise, temporal }) => [...noise.shape.slice(1), temporal.multiplier].join(),
		most,
	});
	const device = {
		encode: (request: EncodeRequest) => encoding.call(request),
		denoise: (request: LineDenoiseRequest) => denoising.call(request),
		advance: async (entering?: LineDenoiseRequest) => {
			await work('mainMs', mainMs(entering ? [entering] : []));
			return await grey.advance(entering);
		},
	};
	return { device, busy };
};

/** A frame that was painted, by the clock of the simulation. */
export interface LiveFrame {
	sequence: number;
	capturedMs: number;
	paintedMs: number;
}

interface LiveSimulation {
	clock: VirtualClock;
	device: EncoderDevice & DenoiserDevice;
	native?: NativeAddon;
	tuning: Partial<Parameters['tuning']>;
	/** Of each source, which drops what it is too late for; `max` offers every frame as soon as there is room. */
	fps: number | 'max';
	/** Frames of each source. */
	frames: number;
	/** Sources, each with a line of its own; their frames come evenly spread. */
	streams?: number;
}

/**
 * Frames from their capture to their painting, for each source: the rings, the stages and the gathering are the real
 * ones. A batch waits until it is full, however long that takes.
 */
export const simulateLive = ({ clock, streams = 1, fps, ...settings }: LiveSimulation): Promise<LiveFrame[][]> => {
	const stream = async (index: number): Promise<LiveFrame[]> => {
		const { device, native = STILL_WORLD, frames } = settings;
		const parameters = simulatedParameters(settings.tuning);
		const { batchSize } = parameters.tuning;
		const layout = rgbLayout(PAINTED);
		const ring = new FrameRing({
			slotCount: 3 * batchSize,
			slotBytes: elementCount([PAINTED.height, PAINTED.width, 3]),
			mode: fps === 'max' ? 'wait' : 'newest-wins',
			waitingMax: batchSize,
		});
		const { signal } = new AbortController();
		const capture = async () => {
			const everyMs = fps === 'max' ? 0 : 1000 / fps;
			await clock.sleep((index / streams) * everyMs);
			for (let sequence = 0; sequence < frames; sequence++) {
				const slot = (await ring.acquire(signal))!;
				const capturedUs = Math.round(1000 * clock.nowMs);
				ring.offer({ sequence, slot, capturedUs, timestampUs: capturedUs, durationUs: 1000 * everyMs, layout });
				if (fps !== 'max') await clock.sleep(everyMs);
			}
			ring.close();
		};
		const painted: LiveFrame[] = [];
		const paint = async () => {
			const stages = simulatedStages({ device, native, ring, parametersNow: () => parameters });
			for await (const { sequence, capturedUs } of paintLine(ring.frames(signal), stages))
				painted.push({ sequence, capturedMs: capturedUs / 1000, paintedMs: clock.nowMs });
		};
		await Promise.all([capture(), paint()]);
		return painted;
	};
	return clock.run(Promise.all(Array.from({ length: streams }, (_, index) => stream(index))));
};
