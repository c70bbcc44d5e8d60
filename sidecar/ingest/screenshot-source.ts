import { setTimeout as sleep } from 'node:timers/promises';
import { SidecarError } from '../errors.ts';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, rgbLayout } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import { log, repeated } from '../telemetry/logger.ts';
import { readBmp, sizeOfBmp } from './bmp.ts';
import type { FrameSource, SourceEnd, SourceInfo } from './frame-source.ts';

/** OBS makes a BMP of 640x360 in about 13 ms: more than this would cost it more than its own picture. */
const USUAL_FPS = 15;
const RETRY_MS = 500;

/** A picture of a source or scene in OBS, now. */
export type Shoot = (source: string) => Promise<Uint8Array>;

/**
 * A source or scene of OBS by its screenshots: no plugin needed, at a lower rate and no way back. Goes on when OBS is
 * away for a while. Errors: ERR_SOURCE where the first picture cannot be had.
 */
export const openScreenshotSource = async (
	source: string,
	{ shoot, fps = USUAL_FPS }: { shoot: Shoot; fps?: number | undefined },
): Promise<FrameSource> => {
	let first: Uint8Array;
	try {
		first = await shoot(source);
	} catch (cause) {
		throw new SidecarError('ERR_SOURCE', `OBS gives no picture of "${source}" (${(cause as Error).message}).`, {
			cause,
		});
	}
	const size = sizeOfBmp(first);
	if (!size) throw new SidecarError('ERR_SOURCE', `What OBS gives of "${source}" is no BMP of 24 or 32 bits.`);
	return new ScreenshotSource(source, shoot, {
		name: `obs-screenshot:${source}`,
		layout: rgbLayout(size),
		frameRate: { num: Math.round(fps * 1000), den: 1000 },
		durationUs: 0,
		isLive: true,
	});
};

class ScreenshotSource implements FrameSource {
	readonly info: SourceInfo;
	readonly #source: string;
	readonly #shoot: Shoot;
	readonly #warn = repeated((facts, message) => log.warn(facts, message), 'no picture from OBS', { nowUs });

	constructor(source: string, shoot: Shoot, info: SourceInfo) {
		this.#source = source;
		this.#shoot = shoot;
		this.info = info;
	}

	async run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd> {
		const { layout, frameRate } = this.info;
		const durationUs = Math.round((1e6 * frameRate.den) / frameRate.num);
		const startedUs = nowUs();
		let framesRead = 0;
		for (let sequence = 0; !signal.aborted; sequence++) {
			const capturedUs = nowUs();
			const bytes = await this.#shot();
			const size = bytes && sizeOfBmp(bytes);
			if (!bytes || !size || size.width !== layout.width || size.height !== layout.height) {
				if (bytes) this.#warn({ reason: 'another size or format than at first; start again for it' });
				await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
				continue;
			}
			const slot = await ring.acquire(signal);
			if (slot === undefined) break;
			readBmp(bytes, size, ring.bytes(slot).subarray(0, pictureByteLength(layout)));
			ring.offer({ sequence, slot, capturedUs, timestampUs: capturedUs - startedUs, durationUs, layout });
			framesRead++;
			const waitMs = (capturedUs + durationUs - nowUs()) / 1000;
			await sleep(Math.max(waitMs, 0), undefined, { signal }).catch(() => {});
		}
		return { framesRead, warnings: [] };
	}

	async [Symbol.asyncDispose](): Promise<void> {}

	async #shot(): Promise<Uint8Array | undefined> {
		try {
			return await this.#shoot(this.#source);
		} catch (error) {
			this.#warn({ reason: (error as Error).message });
			return undefined;
		}
	}
}
