import assert from 'node:assert/strict';
import { SidecarError } from '../errors.ts';
import { FfmpegChild, fileUrl } from '../ffmpeg.ts';
import { nowUs, sleepUntil } from '../frame/clock.ts';
import type { FrameRing } from '../frame/ring.ts';
import { type Clip, endWarnings, openClip } from './clip.ts';
import { slotByteLength, type FrameSource, type Pace, type SourceEnd, type SourceInfo } from './frame-source.ts';
import { FRAME_TIMES, readFrameTimes } from './frame-times.ts';
import { PipeReader } from './pipe-reader.ts';

/** Decoding shares the machine with the painter. */
const DECODER_THREADS = 2;

/**
 * A video file, decoded by ffmpeg with every frame's own timestamp. `max` waits for the ring and loses
 * nothing; `source` lets each frame go at its time. Errors: ERR_SOURCE, ERR_RUNTIME.
 */
export const openFileSource = async (path: string, { pace }: { pace: Pace }): Promise<FrameSource> => {
	const clip = await openClip(path);
	return new FileSource(clip, pace);
};

class FileSource implements FrameSource {
	readonly info: SourceInfo;
	#clip: Clip;
	#pace: Pace;
	#child: FfmpegChild | undefined;

	constructor(clip: Clip, pace: Pace) {
		this.#clip = clip;
		this.#pace = pace;
		this.info = {
			name: `file:${clip.path}`,
			layout: clip.layout,
			frameRate: clip.frameRate,
			durationUs: clip.durationUs ?? 0,
			...(clip.hasAlpha && { hasAlpha: true }),
			...(clip.audioStartUs !== undefined && { audio: { path: clip.path, startUs: clip.audioStartUs } }),
		};
	}

	async run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd> {
		const { layout, frameRate } = this.info;
		const pictureBytes = slotByteLength(this.info);
		assert(ring.slotBytes >= pictureBytes, `slots of ${ring.slotBytes} bytes, a picture has ${pictureBytes}`);
		if (signal.aborted) return { framesRead: 0, warnings: [] };

		const child = await FfmpegChild.start('ffmpeg', decoderArguments(this.#clip), { pipes: 1 });
		this.#child = child;
		const kill = () => void child.stop();
		signal.addEventListener('abort', kill, { once: true });
		let framesRead = 0;
		try {
			if (signal.aborted) return { framesRead, warnings: [] };
			const pixels = new PipeReader(child.stdout);
			const timestamps = readFrameTimes(child.output(3));
			const nominalUs = Math.round((1e6 * frameRate.den) / frameRate.num);
			let startedUs: number | undefined;
			let cutFrame = false;
			let endUs = 0;
			let upcoming = await timestamps.next();
			while (await pixels.hasMore()) {
				const slot = await ring.acquire(signal);
				if (slot === undefined) return { framesRead, warnings: [] };
				const filled = await pixels.read(ring.bytes(slot).subarray(0, pictureBytes));
				if (signal.aborted) return { framesRead, warnings: [] };
				if (filled < pictureBytes) {
					cutFrame = true;
					break;
				}
				// Raw streams have no timestamps, and broken ones go backwards; time here never does.
				const given = upcoming.done ? undefined : upcoming.value;
				const timestampUs = given === undefined ? endUs : Math.max(given - this.#clip.originUs, framesRead && endUs);
				upcoming = await timestamps.next();
				const next = upcoming.done ? undefined : upcoming.value;
				const durationUs = next === undefined ? nominalUs : Math.max(1, next - this.#clip.originUs - timestampUs);
				endUs = timestampUs + durationUs;
				startedUs ??= nowUs() - timestampUs;
				if (this.#pace === 'source') await sleepUntil(startedUs + timestampUs, signal);
				if (signal.aborted) return { framesRead, warnings: [] };
				ring.offer({ sequence: framesRead, slot, capturedUs: nowUs(), timestampUs, durationUs, layout });
				framesRead++;
			}
			const exitCode = await child.exited;
			if (signal.aborted) return { framesRead, warnings: [] };
			if (framesRead === 0) {
				throw new SidecarError(
					'ERR_SOURCE_READ',
					`${this.#clip.path}: no frame could be decoded (${child.reason}). Check that it plays elsewhere.`,
				);
			}
			return {
				framesRead,
				warnings: endWarnings(this.#clip, { endUs, cutFrame, exitCode, messages: child.messages }),
			};
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
}

/** Pixels on stdout; a line for each frame's timestamp, in microseconds, on descriptor 3. */
const decoderArguments = ({ path, streamIndex, layout, convertColour, hasAlpha }: Clip): string[] => {
	const { width, height, matrix, range } = layout;
	// A stream that changes its size midway is scaled to its first one; otherwise this does nothing.
	const scale = `scale=${width}:${height}:flags=bicubic`;
	const filters = [FRAME_TIMES, convertColour ? `${scale}:out_color_matrix=${matrix}:out_range=tv` : scale];
	return [
		['-hide_banner', '-nostats', '-loglevel', 'error', '-nostdin'],
		['-threads', String(DECODER_THREADS), '-i', fileUrl(path), '-map', `0:${streamIndex}`],
		['-filter_threads', '1', '-vf', filters.join(','), '-fps_mode', 'passthrough'],
		// yuvj420p is how ffmpeg spells full range; any other way it would squeeze it to limited.
		['-pix_fmt', hasAlpha ? 'yuva420p' : range === 'full' ? 'yuvj420p' : 'yuv420p'],
		// With more threads the encoder of raw video holds each frame back until the next has come.
		['-threads', '1', '-f', 'rawvideo', '-flush_packets', '1', 'pipe:1'],
	].flat();
};
