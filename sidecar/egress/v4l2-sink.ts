import { setTimeout as sleep } from 'node:timers/promises';
import { SidecarError } from '../errors.ts';
import { FfmpegChild } from '../ffmpeg.ts';
import { nowUs } from '../frame/clock.ts';
import { type Picture, pictureByteLength, type Size, type StyledFrame } from '../frame/frame.ts';
import { loadNative } from '../native.ts';
import { log, repeated } from '../telemetry/logger.ts';
import {
	describeVideoDevices,
	faultOfFile,
	faultOfMessages,
	listVideoDevices,
	type VideoDeviceFault,
	videoDevicePath,
} from '../video-device.ts';
import type { FrameSink, SinkSetup } from './frame-sink.ts';

const OPENING_MS = 5000;
const LOOK_EVERY_MS = 10;
/** What ffmpeg says at the level `info` when all is well, or after it said what is wrong. */
const NO_ERROR = /^(Input|Output|Stream|Duration|Metadata|encoder|frame=|video:|Press|Conversion failed)/;
/** A process that hangs in a driver cannot be killed, and must not keep us. */
const STOPPING_MS = 2000;

/**
 * A virtual camera of Linux (v4l2loopback), written by ffmpeg: black from here on until the first frame comes.
 * `device` is a path, or a number for /dev/videoN. Errors: ERR_SINK, ERR_RUNTIME.
 */
export const openV4l2Sink = async (
	device: string,
	setup: SinkSetup,
	{ platform = process.platform }: { platform?: NodeJS.Platform } = {},
): Promise<FrameSink> => {
	const path = videoDevicePath(device);
	if (platform !== 'linux') {
		throw sinkError(path, `virtual cameras work on Linux so far, and this is ${platform}`, 'Use another sink here.');
	}
	const fault = await faultOfFile(path);
	if (fault) throw await openingError(path, fault);
	const layout = layoutOf(setup.size);
	const child = await FfmpegChild.start('ffmpeg', outputArguments(path, layout, setup.frameRate), { stdin: true });
	try {
		// ffmpeg opens the device when the first frame has come, and says so once the device has taken the format.
		child.stdin.write(blackPicture(layout));
		const lateUs = nowUs() + OPENING_MS * 1000;
		while (!child.messages.some((message) => message.startsWith('Output #0'))) {
			if (await child.endsWithin(LOOK_EVERY_MS)) throw await openingError(path, child.messages);
			if (nowUs() > lateUs) {
				const seen = `it did not take a format within ${OPENING_MS / 1000} s`;
				throw sinkError(path, seen, 'Load v4l2loopback anew, or use another device.');
			}
		}
		return new V4l2Sink({ path, child, layout, setup });
	} catch (error) {
		await stopSoon(child);
		throw error;
	}
};

/** What programs take a camera for that says nothing else: 4:2:0 of even sides, BT.601, limited range. */
const layoutOf = ({ width, height }: Size): Omit<Picture, 'data'> => ({
	format: 'I420',
	width: Math.max(2, width - (width % 2)),
	height: Math.max(2, height - (height % 2)),
	matrix: 'bt601',
	range: 'limited',
});

const blackPicture = (layout: Omit<Picture, 'data'>): Uint8Array => {
	const data = new Uint8Array(pictureByteLength(layout)).fill(128);
	return data.fill(16, 0, layout.width * layout.height);
};

const outputArguments = (path: string, { width, height }: Size, { num, den }: SinkSetup['frameRate']): string[] =>
	[
		// `info` is what tells that the output is open.
		['-hide_banner', '-nostats', '-loglevel', 'info', '-y'],
		['-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0'],
		['-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-video_size', `${width}x${height}`, '-framerate', `${num}/${den}`],
		// With more threads even the encoder of raw video holds a frame back.
		['-i', 'pipe:0', '-fps_mode', 'passthrough', '-threads', '1', '-c:v', 'rawvideo', '-pix_fmt', 'yuv420p'],
		['-f', 'v4l2', path],
	].flat();

const stopSoon = async (child: FfmpegChild): Promise<void> => {
	void child.stop();
	await child.endsWithin(STOPPING_MS);
};

const reasonOf = (messages: readonly string[]): string =>
	messages
		.filter((message) => !NO_ERROR.test(message))
		.slice(0, 2)
		.join('; ') || 'ffmpeg gave no reason';

const sinkError = (path: string, seen: string, advice: string): SidecarError =>
	new SidecarError('ERR_SINK', `Virtual camera ${path}: ${seen}. ${advice}`);

/** `sudo modprobe ...` for a device of this name. */
const modprobeCommand = (path: string): string => {
	const number = /^\/dev\/video(\d+)$/.exec(path)?.[1];
	return `sudo modprobe v4l2loopback devices=1 ${number ? `video_nr=${number} ` : ''}exclusive_caps=1 card_label="Alla Prima"`;
};

const openingError = async (path: string, why: VideoDeviceFault | readonly string[]): Promise<SidecarError> => {
	const fault = typeof why === 'string' ? why : faultOfMessages(why);
	const devices = describeVideoDevices(await listVideoDevices());
	const others = devices ? ` Video devices here: ${devices}.` : '';
	const make = `Make one: ${modprobeCommand(path)} (on Debian from the package v4l2loopback-dkms).${others}`;
	switch (fault) {
		case 'absent':
			return sinkError(path, 'there is no such device', make);
		case 'no device file':
			return sinkError(path, 'this is no device', `It is named like v4l2:/dev/video10. ${make}`);
		case 'no video device':
			return sinkError(path, 'this is no video device', make);
		case 'wrong direction':
			return sinkError(
				path,
				'it takes no pictures: it is a camera, or a virtual camera that another program feeds',
				`Close that program, or choose another device. ${make}`,
			);
		case 'busy':
			return sinkError(path, 'another program feeds it', `Close that one; fuser -v ${path} names it.`);
		case 'forbidden':
			return sinkError(
				path,
				'it may not be opened',
				'Join its group (sudo usermod -aG video "$USER") and log in again.',
			);
		default: {
			const reason = typeof why === 'string' ? why : reasonOf(why);
			return sinkError(path, `ffmpeg cannot write to it (${reason})`, make);
		}
	}
};

interface VirtualCamera {
	path: string;
	child: FfmpegChild;
	layout: Omit<Picture, 'data'>;
	setup: SinkSetup;
}

class V4l2Sink implements FrameSink {
	readonly name: string;
	#camera: VirtualCamera;
	/** While a frame is written, the newest that came since. */
	#next: StyledFrame | undefined;
	#writing: Promise<void> | undefined;
	#pixels: Uint8Array;
	#isEnding = false;
	#failure: SidecarError | undefined;
	#warnOfDrop = repeated((facts, message) => log.warn(facts, message), 'virtual camera is slow, frames are left out', {
		nowUs,
	});

	constructor(camera: VirtualCamera) {
		this.name = `v4l2:${camera.path}`;
		this.#camera = camera;
		this.#pixels = new Uint8Array(pictureByteLength(camera.layout));
		void camera.child.exited.then(() => this.#isEnding || this.#fail());
	}

	present(frame: StyledFrame): Promise<void> {
		if (this.#failure) return Promise.reject(this.#failure);
		if (this.#next) this.#warnOfDrop({ device: this.#camera.path });
		this.#next = frame;
		this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
		return Promise.resolve();
	}

	/** Does not wait for a device that stalls. */
	async finish(): Promise<void> {
		this.#isEnding = true;
		await Promise.race([this.#writing, sleep(STOPPING_MS, undefined, { ref: false })]);
		this.#camera.child.stdin.end();
		await this.#camera.child.endsWithin(STOPPING_MS);
		if (this.#failure) throw this.#failure;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isEnding = true;
		await stopSoon(this.#camera.child);
	}

	/** Never rejects: a failure is kept for whoever calls next. */
	async #write(): Promise<void> {
		const { child } = this.#camera;
		for (let frame = this.#take(); frame; frame = this.#take()) {
			try {
				const pixels = await this.#toOutput(frame.picture);
				await new Promise<void>((resolve, reject) => {
					child.stdin.write(pixels, (error) => (error ? reject(error) : resolve()));
				});
			} catch (cause) {
				// A broken pipe says only that ffmpeg ended; ffmpeg says why.
				await child.endsWithin(STOPPING_MS);
				this.#fail(cause);
				return;
			}
		}
	}

	#take(): StyledFrame | undefined {
		const frame = this.#next;
		this.#next = undefined;
		return frame;
	}

	async #toOutput(picture: Picture): Promise<Uint8Array> {
		const { layout, setup } = this.#camera;
		const isSame = (['format', 'width', 'height', 'matrix', 'range'] as const).every(
			(key) => picture[key] === layout[key],
		);
		if (isSame) return picture.data;
		await loadNative().convert(picture, { ...layout, data: this.#pixels }, setup.fit);
		return this.#pixels;
	}

	/** Keeps the first failure. */
	#fail(cause?: unknown): void {
		const { path, child } = this.#camera;
		this.#failure ??= new SidecarError(
			'ERR_SINK_WRITE',
			`Virtual camera ${path} was lost (${reasonOf(child.messages)}). Was v4l2loopback unloaded? Load it and start again: ${modprobeCommand(path)}`,
			{ cause },
		);
	}
}
