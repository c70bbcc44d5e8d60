import { rmSync } from 'node:fs';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { SidecarError } from '../errors.ts';
import { FfmpegChild, fileUrl, usualMatrix } from '../ffmpeg.ts';
import { type Picture, pictureByteLength, type StyledFrame } from '../frame/frame.ts';
import { loadNative } from '../native.ts';
import { type Container, CONTAINERS, videoArguments } from './container.ts';
import type { FrameSink, SinkSetup } from './frame-sink.ts';
import { matroskaFrameHeader, matroskaHeader } from './matroska.ts';
import { probeAudio, type RecordedAudio } from './recorded-audio.ts';

/** Frames that may wait for the encoder: enough to ride out its key frames, few enough to hold at 8K. */
const QUEUE_LENGTH = 3;
/** Of the encoder's clock, 90 kHz, rounded up. It refuses two frames of one time. */
const TICK_US = 12;
const FFMPEG_QUIET = ['-hide_banner', '-nostats', '-loglevel', 'error', '-y'];

/**
 * A video file, encoded by ffmpeg. It is written beside the target under a hidden name and takes the
 * target's name only in `finish`, so that whatever goes wrong, a file at `path` is whole, or the one that
 * was there before. Errors: ERR_SINK, ERR_RUNTIME.
 */
export const openFileSink = async (path: string, setup: SinkSetup): Promise<FrameSink> => {
	const extension = extname(path).toLowerCase();
	const container = CONTAINERS[extension];
	if (!container) {
		throw new SidecarError(
			'ERR_SINK',
			`${path}: the name should end in one of ${Object.keys(CONTAINERS).join(', ')}, not in "${extension}". Rename the output.`,
		);
	}
	if ((await stat(path).catch(() => undefined))?.isDirectory()) {
		throw new SidecarError('ERR_SINK', `${path}: this is a folder. Name a file to write.`);
	}
	// Better now than at the first frame: is there an ffmpeg at all?
	await (await FfmpegChild.start('ffmpeg', ['-version'])).stop();
	const audio = setup.audio && (await probeAudio(setup.audio));
	const partialPath = await createPartial(path, extension);
	return new FileSink({ path, partialPath, container, setup, audio });
};

/** `.clip.1234.partial.mp4`: hidden, of this process, and with the extension of the target. */
const createPartial = async (path: string, extension: string): Promise<string> => {
	const folder = dirname(path);
	const stem = `.${basename(path, extname(path))}`;
	try {
		await removeAbandoned(folder, stem);
		const partialPath = join(folder, `${stem}.${process.pid}.partial${extension}`);
		await (await open(partialPath, 'wx')).close();
		return partialPath;
	} catch (cause) {
		const { code, message } = cause as NodeJS.ErrnoException;
		const seen: Record<string, string> = {
			ENOENT: `there is no folder ${folder}. Create it`,
			ENOTDIR: `${folder} is not a folder. Choose another place`,
			EACCES: `the folder ${folder} may not be written to. Change its permissions or choose another place`,
			EPERM: `the folder ${folder} may not be written to. Change its permissions or choose another place`,
			EROFS: `the folder ${folder} is read-only. Choose another place`,
			ENOSPC: `the disk is full. Free some space or choose another place`,
			EEXIST: `this process is writing it already. Give each sink a file of its own`,
		};
		throw new SidecarError('ERR_SINK', `${path}: ${seen[code ?? ''] ?? `cannot be written (${message})`}.`, { cause });
	}
};

/** Removes what a killed process left behind. */
const removeAbandoned = async (folder: string, stem: string): Promise<void> => {
	for (const name of await readdir(folder)) {
		const pid = name.startsWith(`${stem}.`) && /^\.(\d+)\.partial(\.cut)?\.\w+$/.exec(name.slice(stem.length))?.[1];
		if (pid && !isAlive(Number(pid))) await rm(join(folder, name), { force: true });
	}
};

const isAlive = (pid: number): boolean => {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
};

interface Recording {
	path: string;
	partialPath: string;
	container: Container;
	setup: SinkSetup;
	audio: RecordedAudio | undefined;
}

class FileSink implements FrameSink {
	readonly name: string;
	#recording: Recording;
	/** What the encoder is fed, but for the pixels. */
	#layout: Omit<Picture, 'data'>;
	#encoder: FfmpegChild | undefined;
	/** Source time of the first frame written, the file's zero. */
	#firstUs = 0;
	#lastUs = 0;
	#endUs = 0;
	#framesWritten = 0;
	#tail: Promise<void> = Promise.resolve();
	#waiting: Promise<void>[] = [];
	#spare: Uint8Array[] = [];
	#failure: SidecarError | undefined;
	#finished = false;
	#removePartial: () => void;

	constructor(recording: Recording) {
		this.#recording = recording;
		this.name = `file:${recording.path}`;
		const { width, height } = recording.setup.size;
		this.#layout = { format: 'I420', width, height, matrix: usualMatrix({ width, height }), range: 'limited' };
		this.#removePartial = () => rmSync(recording.partialPath, { force: true });
		process.once('exit', this.#removePartial);
	}

	async present(frame: StyledFrame): Promise<void> {
		if (this.#failure) throw this.#failure;
		this.#tail = this.#tail.then(() => this.#write(frame));
		this.#waiting.push(this.#tail);
		if (this.#waiting.length >= QUEUE_LENGTH) await this.#waiting.shift();
		if (this.#failure) throw this.#failure;
	}

	async finish(): Promise<void> {
		await this.#tail;
		if (this.#failure) throw this.#failure;
		const { path, partialPath } = this.#recording;
		try {
			if (!this.#encoder) throw this.#error('no frame came, so there is nothing to write');
			this.#encoder.stdin.end();
			await this.#endOf(this.#encoder);
			await this.#cutAudio();
			// A full disk or a lost share may show only here.
			await using file = await open(partialPath, 'r+');
			await file.sync();
			await rename(partialPath, path);
			this.#finished = true;
			process.off('exit', this.#removePartial);
		} catch (cause) {
			throw this.#fail(cause);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#encoder?.stop();
		await this.#tail;
		if (this.#finished) return;
		process.off('exit', this.#removePartial);
		await rm(this.#recording.partialPath, { force: true });
	}

	/** Never rejects: a failure is kept for whoever calls next. */
	async #write(frame: StyledFrame): Promise<void> {
		if (this.#failure) return;
		try {
			this.#encoder ??= await this.#startEncoder(frame);
			const { stdin } = this.#encoder;
			const pixels = await this.#toOutput(frame.picture);
			const earliestUs = this.#framesWritten ? this.#lastUs + TICK_US : 0;
			const timestampUs = Math.max(frame.timestampUs - this.#firstUs, earliestUs);
			const durationUs = frame.durationUs || this.#nominalUs();
			stdin.write(matroskaFrameHeader({ timestampUs, durationUs, byteLength: pixels.length }));
			await new Promise<void>((resolve, reject) => {
				stdin.write(pixels, (error) => (error ? reject(error) : resolve()));
			});
			if (pixels !== frame.picture.data) this.#spare.push(pixels);
			this.#framesWritten++;
			this.#lastUs = timestampUs;
			this.#endUs = timestampUs + durationUs;
		} catch (cause) {
			// A broken pipe says only that ffmpeg ended; ffmpeg says why.
			const { syscall, code } = cause as NodeJS.ErrnoException;
			if (syscall === 'write' || code === 'ERR_STREAM_DESTROYED') await this.#encoder?.exited;
			this.#fail(cause);
		}
	}

	/** The picture as the encoder takes it. */
	async #toOutput(picture: Picture): Promise<Uint8Array> {
		const target = this.#layout;
		const same = (['format', 'width', 'height', 'matrix', 'range'] as const).every(
			(key) => picture[key] === target[key],
		);
		if (same) return picture.data;
		const data = this.#spare.pop() ?? new Uint8Array(pictureByteLength(target));
		await loadNative().convert(picture, { ...target, data }, this.#recording.setup.fit);
		return data;
	}

	async #startEncoder(first: StyledFrame): Promise<FfmpegChild> {
		const { partialPath, container, setup, audio } = this.#recording;
		this.#firstUs = first.timestampUs;
		const colour = this.#layout.matrix === 'bt709' ? 'bt709' : 'smpte170m';
		const encoder = await FfmpegChild.start(
			'ffmpeg',
			[
				FFMPEG_QUIET,
				// The header says all there is to know; probing would hold frames back.
				['-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0', '-f', 'matroska', '-i', 'pipe:0'],
				audio ? audioInput(audio, this.#firstUs) : [],
				['-map', '0:v:0', ...videoArguments(container, setup.size)],
				['-fps_mode', 'passthrough', '-enc_time_base', '1:90000'],
				['-color_range', 'tv', '-colorspace', colour, '-color_primaries', colour, '-color_trc', colour],
				audio ? audioOutput(audio, container) : [],
				[...container.options, '-map_metadata', '-1', '-f', container.muxer, fileUrl(partialPath)],
			].flat(),
			{ stdin: true },
		);
		encoder.stdin.write(matroskaHeader({ ...setup, ...this.#layout }));
		return encoder;
	}

	/** Where the video was made shorter than its source, the audio ends with it; a whole clip keeps all of its audio. */
	async #cutAudio(): Promise<void> {
		const { partialPath, container, audio } = this.#recording;
		const endUs = this.#firstUs + this.#endUs;
		if (audio?.videoEndUs === undefined || endUs + 2 * this.#nominalUs() >= audio.videoEndUs) return;
		const extension = extname(partialPath);
		const cutPath = `${partialPath.slice(0, -extension.length)}.cut${extension}`;
		try {
			const cutter = await FfmpegChild.start(
				'ffmpeg',
				[
					[...FFMPEG_QUIET, '-nostdin', '-i', fileUrl(partialPath), '-map', '0', '-c', 'copy'],
					['-t', String(this.#endUs / 1e6), ...container.options, '-f', container.muxer, fileUrl(cutPath)],
				].flat(),
			);
			await this.#endOf(cutter);
			await rename(cutPath, partialPath);
		} finally {
			await rm(cutPath, { force: true });
		}
	}

	/** Waits for a run that must end well. ffmpeg may say 0 although it could not write the end of a file. */
	async #endOf(child: FfmpegChild): Promise<void> {
		const code = await child.exited;
		const lost = child.messages.some((message) => /No space left|quota exceeded|Error writing trailer/i.test(message));
		if (code !== 0 || lost) throw this.#error(`writing failed after ${this.#framesWritten} frames (${child.reason})`);
	}

	#nominalUs(): number {
		const { num, den } = this.#recording.setup.frameRate;
		return Math.round((1e6 * den) / num);
	}

	#error(seen: string, cause?: unknown): SidecarError {
		const advice = /No space left|quota/i.test(seen) ? ' Free some space or choose another place.' : '';
		return new SidecarError('ERR_SINK_WRITE', `${this.#recording.path}: ${seen}.${advice}`, { cause });
	}

	/** Keeps the first failure. */
	#fail(cause: unknown): SidecarError {
		if (cause instanceof SidecarError) return (this.#failure ??= cause);
		const reason = this.#encoder?.knownReason ?? (cause as Error).message;
		return (this.#failure ??= this.#error(`writing failed after ${this.#framesWritten} frames (${reason})`, cause));
	}
}

/** Puts the audio where it belongs: ffmpeg has moved its file's earliest stream to zero, and the video's first frame is our zero. */
const audioInput = ({ path, startUs, firstUs }: RecordedAudio, videoFirstUs: number): string[] => [
	'-itsoffset',
	`${startUs - videoFirstUs - firstUs}us`,
	'-vn',
	'-sn',
	'-dn',
	'-i',
	fileUrl(path),
];

const audioOutput = ({ codec }: RecordedAudio, { audioCopied, audioEncoder }: Container): string[] => [
	'-map',
	'1:a:0',
	'-c:a',
	...(audioCopied.includes(codec) ? ['copy'] : audioEncoder),
];
