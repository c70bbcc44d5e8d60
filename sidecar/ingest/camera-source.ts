import assert from 'node:assert/strict';
import { SidecarError } from '../errors.ts';
import { FfmpegChild } from '../ffmpeg.ts';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, type Size } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import { log } from '../telemetry/logger.ts';
import { faultOfFile, videoDevicePath } from '../video-device.ts';
import { CameraClock } from './camera-clock.ts';
import { cameraError, openingError } from './camera-errors.ts';
import {
	type CameraFormat,
	type CameraMode,
	chooseCameraMode,
	describeCameraFormats,
	parseCameraFormats,
} from './camera-formats.ts';
import type { FrameSource, Pace, SourceEnd, SourceInfo } from './frame-source.ts';
import { FRAME_TIMES, readFrameTimes } from './frame-times.ts';
import { PipeReader } from './pipe-reader.ts';
import { parseY4mHeader, Y4M_FRAME_HEADER, Y4M_HEADER_BYTES_MAX } from './y4m.ts';

/** Asked for where nothing else is: a driver gives the nearest rate it has. */
const USUAL_FPS = 30;
/** Cameras take seconds to wake up. */
const OPENING_MS = 10_000;
/** Exposure in the dark may take a second; more than this is no exposure. */
const STALL_MS = 5000;
/** A process that hangs in the driver of a broken device cannot be killed, and must not keep us. */
const STOPPING_MS = 2000;

export interface CameraOptions {
	pace: Pace;
	/** What to ask of the camera; what is left out is chosen for live use. */
	fps?: number | undefined;
	size?: Size | undefined;
	/** By ffmpeg's name: mjpeg, yuyv422. */
	format?: string | undefined;
	stallMs?: number;
	platform?: NodeJS.Platform;
}

/**
 * A camera of Linux, read by ffmpeg. It delivers from here on, and what comes before `run` is thrown away.
 * `device` is a path, or a number for /dev/videoN. Errors: ERR_SOURCE, ERR_CONFIG, ERR_RUNTIME.
 */
export const openCameraSource = async (
	device: string,
	{ pace, fps, size, format, stallMs = STALL_MS, platform = process.platform }: CameraOptions,
): Promise<FrameSource> => {
	const path = videoDevicePath(device);
	if (pace === 'max') {
		throw new SidecarError(
			'ERR_CONFIG',
			`The camera ${path} runs at its own pace and at no other. Leave --pace max out; it is for files and the scene.`,
		);
	}
	if (platform !== 'linux') {
		throw cameraError(path, `cameras work on Linux so far, and this is ${platform}`, 'Use a file or the scene here.');
	}
	const fault = await faultOfFile(path);
	if (fault) throw await openingError(path, fault);
	const formats = await listFormats(path);
	const mode = chooseCameraMode(formats, { ...(size && { size }), ...(format && { format }) });
	if (!mode) {
		const asked = [format, size && `${size.width}x${size.height}`].filter(Boolean).join(' at ');
		throw cameraError(path, `it does not offer ${asked}`, `It offers: ${describeCameraFormats(formats)}.`);
	}

	const child = await FfmpegChild.start('ffmpeg', captureArguments(path, mode, fps ?? USUAL_FPS), { pipes: 1 });
	try {
		const pixels = new PipeReader(child.stdout);
		const header = await readHeader(child, pixels);
		const opened = header === undefined ? undefined : parseY4mHeader(header);
		if (!opened) throw await openingError(path, child.messages);
		const { layout, frameRate } = opened;
		const { width, height } = layout;
		const gotFps = frameRate.num / frameRate.den;
		log.info({ device: path, format: mode.format, width, height, fps: gotFps }, 'camera opened');
		if (fps !== undefined && Math.abs(gotFps / fps - 1) > 0.01)
			log.warn({ askedFps: fps, fps: gotFps }, 'the camera gives another frame rate than it was asked for');
		const info: SourceInfo = { name: `camera:${path}`, layout, frameRate, durationUs: 0, isLive: true };
		return new CameraSource({ path, info, child, pixels, stallMs });
	} catch (error) {
		await child.stopWithin(STOPPING_MS);
		throw error;
	}
};

/** Errors: ERR_SOURCE, ERR_RUNTIME. */
const listFormats = async (path: string): Promise<CameraFormat[]> => {
	const child = await FfmpegChild.start(
		'ffmpeg',
		['-hide_banner', '-nostdin', '-f', 'v4l2', '-list_formats', 'all', '-i', path],
		{ keptLines: 1000 },
	);
	// A listing ends with an error in any case.
	if (!(await child.endsWithin(OPENING_MS))) await child.stopWithin(STOPPING_MS);
	const formats = parseCameraFormats(child.messages);
	if (formats.length === 0) throw await openingError(path, child.messages);
	return formats;
};

/** YUV4MPEG2 on stdout, whose header tells what the driver made of our wishes; times on descriptor 3. */
const captureArguments = (path: string, { format, size }: CameraMode, fps: number): string[] =>
	[
		['-hide_banner', '-nostats', '-loglevel', 'error', '-nostdin'],
		// Nothing is held back to look at more of it: one frame tells all there is to know.
		['-fflags', 'nobuffer', '-flags', 'low_delay', '-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0'],
		// With more threads a decoder holds as many frames.
		['-threads', '1', '-f', 'v4l2', '-input_format', format, '-video_size', `${size.width}x${size.height}`],
		['-framerate', String(fps), '-i', path, '-map', '0:v:0'],
		['-filter_threads', '1', '-vf', FRAME_TIMES, '-fps_mode', 'passthrough'],
		// JPEG has full range, and yuvj420p is how ffmpeg spells it; any other way it would squeeze it to limited.
		['-pix_fmt', format === 'mjpeg' ? 'yuvj420p' : 'yuv420p', '-f', 'yuv4mpegpipe', '-flush_packets', '1', 'pipe:1'],
	].flat();

/** The first line; undefined where it does not come in time, or ffmpeg ends before it. */
const readHeader = async (child: FfmpegChild, pixels: PipeReader): Promise<string | undefined> => {
	const timer = setTimeout(() => {
		child.messages.push(`no picture came within ${OPENING_MS / 1000} s`);
		void child.stop();
	}, OPENING_MS);
	try {
		const line = await pixels.line(Y4M_HEADER_BYTES_MAX);
		if (line === undefined) await child.endsWithin(STOPPING_MS);
		return line;
	} finally {
		clearTimeout(timer);
	}
};

interface Camera {
	path: string;
	info: SourceInfo;
	child: FfmpegChild;
	pixels: PipeReader;
	stallMs: number;
}

class CameraSource implements FrameSource {
	readonly info: SourceInfo;
	#camera: Camera;
	#stamps: AsyncGenerator<number | undefined, void, undefined>;
	#watch: NodeJS.Timeout | undefined;
	#hasStalled = false;
	#isWanted = false;
	#drained: Promise<void>;

	constructor(camera: Camera) {
		this.info = camera.info;
		this.#camera = camera;
		this.#stamps = readFrameTimes(camera.child.output(3));
		this.#drained = this.#drain();
		this.#drained.catch(() => {}); // `run` meets it
	}

	async run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd> {
		const { layout, frameRate } = this.info;
		const pictureBytes = pictureByteLength(layout);
		assert(ring.slotBytes >= pictureBytes, `slots of ${ring.slotBytes} bytes, a picture has ${pictureBytes}`);
		const durationUs = Math.round((1e6 * frameRate.den) / frameRate.num);
		const clock = new CameraClock();
		let framesRead = 0;
		const kill = () => void this.#camera.child.stop();
		signal.addEventListener('abort', kill, { once: true });
		if (signal.aborted) kill();
		try {
			this.#isWanted = true;
			await this.#drained;
			while (await this.#comes()) {
				const slot = await ring.acquire(signal);
				if (slot === undefined) return { framesRead, warnings: [] };
				const stamp = await this.#read(ring.bytes(slot).subarray(0, pictureBytes));
				if (!stamp) break;
				if (signal.aborted) return { framesRead, warnings: [] };
				const capturedUs = nowUs();
				const timestampUs = clock.timestampUs(capturedUs, stamp.us);
				ring.offer({ sequence: framesRead, slot, capturedUs, timestampUs, durationUs, layout });
				framesRead++;
			}
			if (signal.aborted) return { framesRead, warnings: [] };
			throw await this.#lost();
		} finally {
			signal.removeEventListener('abort', kill);
			await this[Symbol.asyncDispose]();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		clearTimeout(this.#watch);
		await this.#camera.child.stopWithin(STOPPING_MS);
	}

	/** Frames that nobody wants yet: left in the pipe they would be the first to be shown, and old. */
	async #drain(): Promise<void> {
		const nowhere = new Uint8Array(pictureByteLength(this.info.layout));
		while (!this.#isWanted && (await this.#comes()) && (await this.#read(nowhere)));
	}

	/** Waits for a frame; false where none will come. */
	async #comes(): Promise<boolean> {
		const header = new Uint8Array(Y4M_FRAME_HEADER.length);
		const came = await this.#watched(() => this.#camera.pixels.fills(header));
		return came && Buffer.from(header).toString('latin1') === Y4M_FRAME_HEADER;
	}

	/** Reads the frame that comes; undefined where it ends in the middle. */
	async #read(target: Uint8Array): Promise<{ us: number | undefined } | undefined> {
		return await this.#watched(async () => {
			if (!(await this.#camera.pixels.fills(target))) return undefined;
			return { us: (await this.#stamps.next()).value ?? undefined };
		});
	}

	/** A camera that stalls is given up: its ffmpeg ends, and with it whatever waits for a frame. */
	async #watched<T>(wait: () => Promise<T>): Promise<T> {
		this.#watch = setTimeout(() => {
			this.#hasStalled = true;
			void this.#camera.child.stop();
		}, this.#camera.stallMs);
		try {
			return await wait();
		} finally {
			clearTimeout(this.#watch);
		}
	}

	async #lost(): Promise<SidecarError> {
		const { path, child, stallMs } = this.#camera;
		const error = (seen: string, advice: string) =>
			new SidecarError('ERR_SOURCE_READ', `Camera ${path}: ${seen}. ${advice} Then start again.`);
		if (this.#hasStalled) {
			return error(
				`no frame came for ${stallMs / 1000} s`,
				'Check its cable and its lens cap or privacy switch, or plug it in again.',
			);
		}
		await child.endsWithin(STOPPING_MS);
		const isGone = (await faultOfFile(path)) === 'absent' || /No such device/.test(child.messages.join('\n'));
		return isGone
			? error('it was unplugged, or lost its power', 'Plug it in again.')
			: error(`it stopped giving frames (${child.reason})`, 'Check it, or plug it in again.');
	}
}
