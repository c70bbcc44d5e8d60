import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { nowUs, sleepUntil } from '../frame/clock.ts';
import { type FrameRate, type PictureLayout, pictureByteLength, type Size } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import type { FrameSource, Pace, SourceEnd, SourceInfo } from './frame-source.ts';
import { Backdrop } from './scene/backdrop.ts';
import { Scene } from './scene/scene.ts';

export interface DrawnSourceOptions {
	size: Size;
	frameRate: FrameRate;
	seed: number;
	pace: Pace;
	/** Without an end where it is left out. */
	durationS?: number;
}

/** The built-in scene: frame k depends on k and the seed alone. */
export const openSceneSource = async (options: DrawnSourceOptions): Promise<FrameSource> =>
	new DrawnSource('scene', new Scene(options.size, options.seed), options);

/** Drifting colour without an end; frame k depends on k and the seed alone. */
export const openBackdropSource = async (options: DrawnSourceOptions): Promise<FrameSource> =>
	new DrawnSource('backdrop', new Backdrop(options.size, options.seed), options);

interface Drawing {
	paint(pixels: Uint32Array, timeS: number): void;
}

class DrawnSource implements FrameSource {
	readonly info: SourceInfo;
	#drawing: Drawing;
	#pace: Pace;
	#frameCount: number;

	constructor(name: string, drawing: Drawing, { size, frameRate, pace, durationS }: DrawnSourceOptions) {
		const layout: PictureLayout = { format: 'RGBA', ...size, matrix: 'bt709', range: 'full' };
		this.#drawing = drawing;
		this.#pace = pace;
		this.#frameCount = durationS === undefined ? Infinity : Math.round((durationS * frameRate.num) / frameRate.den);
		this.info = {
			name,
			layout,
			frameRate,
			durationUs: durationS === undefined ? 0 : timestampUs(this.#frameCount, frameRate),
		};
	}

	async run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd> {
		const { layout, frameRate } = this.info;
		const pictureBytes = pictureByteLength(layout);
		assert(ring.slotBytes >= pictureBytes, `slots of ${ring.slotBytes} bytes, a picture has ${pictureBytes}`);
		const startedUs = nowUs();
		let framesRead = 0;
		let sequence = 0;
		while (sequence < this.#frameCount) {
			if (this.#pace === 'source') {
				// Whoever cannot paint it in time leaves frames out, as a camera would.
				const dueSequence = Math.floor(((nowUs() - startedUs) * frameRate.num) / (1e6 * frameRate.den));
				sequence = Math.max(sequence, dueSequence);
				if (sequence >= this.#frameCount) break;
			}
			const slot = await ring.acquire(signal);
			if (slot === undefined) break;
			const bytes = ring.bytes(slot);
			const timeUs = timestampUs(sequence, frameRate);
			this.#drawing.paint(new Uint32Array(bytes.buffer, bytes.byteOffset, pictureBytes / 4), timeUs / 1e6);
			await (this.#pace === 'source' ? sleepUntil(startedUs + timeUs, signal) : nextTurn());
			if (signal.aborted) break;
			const durationUs = timestampUs(sequence + 1, frameRate) - timeUs;
			ring.offer({ sequence, slot, capturedUs: nowUs(), timestampUs: timeUs, durationUs, layout });
			framesRead++;
			sequence++;
		}
		return { framesRead, warnings: [] };
	}

	async [Symbol.asyncDispose](): Promise<void> {}
}

const timestampUs = (sequence: number, { num, den }: FrameRate): number => Math.round((sequence * 1e6 * den) / num);
