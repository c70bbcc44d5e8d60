import { setTimeout as sleep } from 'node:timers/promises';
import { SidecarError } from '../errors.ts';
import { pictureByteLength, type FrameRate, type PictureLayout } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import { SharedRingReader, type RingFrame } from '../frame/shared-ring.ts';
import type { NativeAddon } from '../native.ts';
import { log } from '../telemetry/logger.ts';
import type { FrameSource, SourceEnd, SourceInfo } from './frame-source.ts';

/** Where a filter in OBS puts its frames. */
export interface ObsTap {
	/** The socket of its ring. */
	path: string;
	/** For people: source and filter. */
	name: string;
	frameRate: FrameRate;
}

/** The tap that is there now, and word of when that changes. */
export interface ObsTaps {
	current(): ObsTap | undefined;
	/** Resolves at the next change, or when the signal aborts. */
	changed(signal: AbortSignal): Promise<void>;
}

/** Stands for the layout that is not known, where no frame will come. */
const NONE: PictureLayout = { format: 'BGRA', width: 512, height: 288, matrix: 'bt709', range: 'full' };
const CONNECT_MS = 2000;
/** A tap whose ring cannot be read is tried again after this. */
const RETRY_MS = 250;

/**
 * Frames that the plugin's filter taps in OBS. Waits for OBS, and for its next start when it ends; a run lasts longer
 * than either. When the signal aborts before there was a frame, the source has none.
 */
export const openObsSource = async (
	taps: ObsTaps,
	{ native, signal }: { native: Pick<NativeAddon, 'convert'>; signal: AbortSignal },
): Promise<FrameSource> => {
	if (!taps.current()) log.info('waiting for the filter Alla Prima in OBS');
	for await (const { frame, tap } of tappedFrames(taps, signal)) {
		const { name, frameRate } = tap;
		return new ObsSource(taps, native, {
			name: `obs:${name}`,
			layout: frame.layout,
			frameRate,
			durationUs: 0,
			isLive: true,
			hasAlpha: true,
		});
	}
	return new ObsSource(taps, native, {
		name: 'obs',
		layout: NONE,
		frameRate: { num: 30, den: 1 },
		durationUs: 0,
		isLive: true,
	});
};

class ObsSource implements FrameSource {
	readonly info: SourceInfo;
	readonly #taps: ObsTaps;
	readonly #native: Pick<NativeAddon, 'convert'>;

	constructor(taps: ObsTaps, native: Pick<NativeAddon, 'convert'>, info: SourceInfo) {
		this.#taps = taps;
		this.#native = native;
		this.info = info;
	}

	async run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd> {
		const { layout, frameRate } = this.info;
		const durationUs = Math.round((1e6 * frameRate.den) / frameRate.num);
		let framesRead = 0;
		let sequence = -1;
		let firstUs: number | undefined;
		for await (const { frame, pixels } of tappedFrames(this.#taps, signal)) {
			const slot = await ring.acquire(signal);
			if (slot === undefined) break;
			const target = ring.bytes(slot).subarray(0, pictureByteLength(layout));
			if (isSame(frame.layout, layout)) target.set(pixels.subarray(0, target.length));
			// The source in OBS changed its size. The plugin stretches the painting over it, which undoes this.
			else await this.#native.convert({ ...frame.layout, data: pixels }, { ...layout, data: target }, 'stretch');
			sequence += 1 + frame.missed;
			firstUs ??= frame.capturedUs;
			const { capturedUs } = frame;
			ring.offer({ sequence, slot, capturedUs, timestampUs: capturedUs - firstUs, durationUs, layout });
			framesRead++;
		}
		return { framesRead, warnings: [] };
	}

	async [Symbol.asyncDispose](): Promise<void> {}
}

/** Frame after frame, from whatever tap is there; `pixels` hold each until the next is asked for. */
async function* tappedFrames(
	taps: ObsTaps,
	signal: AbortSignal,
): AsyncGenerator<{ frame: RingFrame; pixels: Uint8Array; tap: ObsTap }, void, undefined> {
	while (!signal.aborted) {
		const tap = taps.current();
		if (!tap) {
			await taps.changed(signal);
			continue;
		}
		try {
			using reader = await SharedRingReader.connect(tap.path, { timeoutMs: CONNECT_MS });
			const pixels = new Uint8Array(reader.slotBytes);
			for await (const frame of reader.frames(pixels, signal)) {
				yield { frame, pixels: pixels.subarray(0, pictureByteLength(frame.layout)), tap };
				if (taps.current()?.path !== tap.path) break;
			}
		} catch (error) {
			if (!(error instanceof SidecarError)) throw error;
			log.debug({ code: error.code, reason: error.message }, 'tap lost');
		}
		// The ring ended or could not be read: OBS may be closing it for a larger one, or be gone.
		await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
	}
}

const isSame = (a: PictureLayout, b: PictureLayout): boolean =>
	a.format === b.format && a.width === b.width && a.height === b.height && a.matrix === b.matrix && a.range === b.range;
