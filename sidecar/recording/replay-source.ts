import { SidecarError } from '../errors.ts';
import type { FfmpegChild } from '../ffmpeg.ts';
import { nowUs, sleepUntil } from '../frame/clock.ts';
import { pictureByteLength } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import type { FrameSource, Pace, SourceEnd, SourceInfo } from '../ingest/frame-source.ts';
import { PipeReader } from '../ingest/pipe-reader.ts';
import { startVideoReader, VIDEO_FILE } from './lossless-video.ts';
import type { Replay } from './replay.ts';

/** The frames of a recording, with the numbers and times that they had. Errors: ERR_SOURCE_READ, ERR_RUNTIME. */
export class ReplaySource implements FrameSource {
	readonly info: SourceInfo;
	readonly #replay: Replay;
	readonly #pace: Pace;
	#child: FfmpegChild | undefined;

	constructor(replay: Replay, pace: Pace) {
		const { layout, frameRate } = replay.header.source;
		this.#replay = replay;
		this.#pace = pace;
		this.info = { name: `replay:${replay.folder}`, layout, frameRate, durationUs: 0 };
	}

	async run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd> {
		const { layout } = this.info;
		let framesRead = 0;
		const child = await startVideoReader(this.#replay.folder, layout);
		this.#child = child;
		const kill = () => void child.stop();
		signal.addEventListener('abort', kill, { once: true });
		try {
			const pixels = new PipeReader(child.stdout);
			let startedUs: number | undefined;
			for await (const { sequence, timestampUs, durationUs } of this.#replay.frames()) {
				const slot = await ring.acquire(signal);
				if (slot === undefined || signal.aborted) return { framesRead, warnings: [] };
				const picture = ring.bytes(slot).subarray(0, pictureByteLength(layout));
				const filled = await pixels.read(picture);
				if (signal.aborted) return { framesRead, warnings: [] };
				if (filled < picture.length) return await this.#cut(child, framesRead);
				startedUs ??= nowUs() - timestampUs;
				if (this.#pace === 'source') await sleepUntil(startedUs + timestampUs, signal);
				if (signal.aborted) return { framesRead, warnings: [] };
				ring.offer({ sequence, slot, capturedUs: nowUs(), timestampUs, durationUs, layout });
				framesRead++;
			}
			if (framesRead === 0)
				throw new SidecarError(
					'ERR_SOURCE_READ',
					`${this.#replay.folder}: no frame was recorded before the run ended.`,
				);
			return { framesRead, warnings: [] };
		} catch (error) {
			if (signal.aborted) return { framesRead, warnings: [] };
			throw error;
		} finally {
			signal.removeEventListener('abort', kill);
			await child.stop();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#child?.stop();
	}

	/** The video is shorter than the list of its frames: a killed run leaves a few in the encoder. */
	async #cut(child: FfmpegChild, framesRead: number): Promise<SourceEnd> {
		await child.exited;
		const reason = child.messages.length ? ` (${child.reason})` : '';
		const what = `${this.#replay.folder}: ${VIDEO_FILE} ends after ${framesRead} frames${reason}`;
		if (framesRead === 0) throw new SidecarError('ERR_SOURCE_READ', `${what}. There is nothing to paint.`);
		return { framesRead, warnings: [`${what}, before its events do.`] };
	}
}
