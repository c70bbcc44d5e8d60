import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { SidecarError } from './errors.ts';
import type { ColorMatrix, Size } from './frame/frame.ts';

export type FfmpegProgram = 'ffmpeg' | 'ffprobe';

/** Lines of stderr that are kept; ffmpeg repeats itself on a damaged file. */
const KEPT_LINES = 20;

/** What is started: the program on PATH, or ALLAPRIMA_FFMPEG, with ffprobe beside it. */
const programPath = (program: FfmpegProgram): string => {
	const ffmpeg = process.env['ALLAPRIMA_FFMPEG'];
	if (!ffmpeg) return program;
	return program === 'ffmpeg' ? ffmpeg : join(dirname(ffmpeg), program);
};

const running = new Set<ChildProcess>();
process.once('exit', () => {
	for (const child of running) child.kill('SIGKILL');
});

/**
 * One run of ffmpeg or ffprobe. It lives in a process group of its own, so that Ctrl-C in a terminal reaches
 * us alone and a recording can still be finished. Whoever starts it ends it: `stop`, or `exited`.
 */
export class FfmpegChild implements AsyncDisposable {
	/** Resolves once the process is gone and its messages are read: its exit code, or undefined when a signal ended it. */
	readonly exited: Promise<number | undefined>;
	/** The last lines it wrote to stderr, without addresses. */
	readonly messages: string[] = [];
	#child: ChildProcess;
	#signal: NodeJS.Signals | undefined;

	private constructor(child: ChildProcess, keptLines: number) {
		this.#child = child;
		const stderr = createInterface({ input: child.stderr! });
		stderr.on('line', (line) => {
			const message = line.replace(/ @ 0x[0-9a-f]+/g, '').trim();
			if (!message || message === this.messages.at(-1)) return;
			this.messages.push(message);
			if (this.messages.length > keptLines) this.messages.shift();
		});
		running.add(child);
		this.exited = Promise.all([once(child, 'exit'), once(stderr, 'close')]).then(([[code, signal]]) => {
			running.delete(child);
			this.#signal = (signal as NodeJS.Signals | null) ?? undefined;
			return (code as number | null) ?? undefined;
		});
		// A pipe breaks whenever ffmpeg ends first; its exit code and messages say why.
		for (const pipe of child.stdio) pipe?.on('error', () => {});
	}

	/**
	 * `stdin` says whether we write to it; `pipes` counts the outputs beyond stderr, from descriptor 3; `keptLines`
	 * is more for who reads what is asked for from the messages. Errors: ERR_RUNTIME.
	 */
	static async start(
		program: FfmpegProgram,
		args: readonly string[],
		{ stdin = false, pipes = 0, keptLines = KEPT_LINES }: { stdin?: boolean; pipes?: number; keptLines?: number } = {},
	): Promise<FfmpegChild> {
		const path = programPath(program);
		const child = spawn(path, args, {
			stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe', ...Array.from({ length: pipes }, () => 'pipe' as const)],
			detached: process.platform !== 'win32',
			windowsHide: true,
		});
		try {
			await once(child, 'spawn');
		} catch (cause) {
			throw new SidecarError(
				'ERR_RUNTIME',
				(cause as NodeJS.ErrnoException).code === 'ENOENT'
					? `${program} was not found (looked for ${path}). Install it, on Debian with: apt-get install ffmpeg. Or name it in ALLAPRIMA_FFMPEG.`
					: `${program} could not be started (${(cause as Error).message}).`,
				{ cause },
			);
		}
		return new FfmpegChild(child, keptLines);
	}

	get stdin(): Writable {
		return this.#child.stdin!;
	}

	get stdout(): Readable {
		return this.#child.stdout!;
	}

	/** Output on a descriptor from 3 upwards. */
	output(descriptor: number): Readable {
		return this.#child.stdio[descriptor] as Readable;
	}

	/** What went wrong, in ffmpeg's own words, or the signal that ended it; undefined where neither is known. */
	get knownReason(): string | undefined {
		return this.messages.slice(-3).join('; ') || (this.#signal && `ffmpeg was ended by ${this.#signal}`);
	}

	get reason(): string {
		return this.knownReason ?? 'ffmpeg gave no reason';
	}

	/** Waits for the end, but not longer than that: a process that hangs in a driver cannot even be killed. */
	async endsWithin(ms: number): Promise<boolean> {
		const ended = new AbortController();
		const late = sleep(ms, false, { signal: ended.signal }).catch(() => false);
		const isOver = await Promise.race([this.exited.then(() => true), late]);
		ended.abort();
		return isOver;
	}

	/** As `stop`, but waits no longer than that. */
	async stopWithin(ms: number): Promise<void> {
		void this.stop();
		await this.endsWithin(ms);
	}

	/** Ends the process if it still runs, and waits until it is gone. */
	async stop(): Promise<void> {
		this.#child.kill('SIGKILL');
		for (const pipe of this.#child.stdio) if (pipe !== this.#child.stderr) pipe?.destroy();
		await this.exited;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
	}
}

/** The part of ffprobe's report that is used here. Numbers are strings in it, and anything may be missing. */
export interface ProbedStream {
	index: number;
	codec_type?: string;
	codec_name?: string;
	width?: number;
	height?: number;
	sample_aspect_ratio?: string;
	pix_fmt?: string;
	color_range?: string;
	color_space?: string;
	color_transfer?: string;
	avg_frame_rate?: string;
	r_frame_rate?: string;
	start_time?: string;
	duration?: string;
	nb_frames?: string;
	disposition?: { attached_pic?: number };
	tags?: Record<string, string>;
	side_data_list?: { side_data_type?: string; rotation?: number }[];
}

export interface ProbedFile {
	streams: ProbedStream[];
	format: { format_name?: string; start_time?: string; duration?: string };
}

/** Asks ffprobe about a file; a file that it cannot read gives its reason. Errors: ERR_RUNTIME. */
export const probeFile = async (path: string): Promise<ProbedFile | { unreadable: string }> => {
	await using child = await FfmpegChild.start('ffprobe', [
		'-v',
		'error',
		'-show_streams',
		'-show_format',
		'-of',
		'json',
		fileUrl(path),
	]);
	const [report, code] = await Promise.all([text(child.stdout), child.exited]);
	if (code !== 0) return { unreadable: child.reason };
	const { streams = [], format = {} } = JSON.parse(report) as Partial<ProbedFile>;
	return { streams, format };
};

/** A path as ffmpeg's argument: never an option, never another protocol. */
export const fileUrl = (path: string): string => `file:${resolve(path)}`;

/** A decimal number of seconds, as ffprobe prints it, in microseconds. */
export const secondsToUs = (seconds: string | undefined): number | undefined => {
	const value = seconds === undefined ? NaN : Number(seconds);
	return Number.isFinite(value) ? Math.round(value * 1e6) : undefined;
};

/** How long a stream is: mp4 says it of the stream, Matroska in a tag "00:00:04.000000000", others not at all. */
export const streamLengthUs = ({ duration, tags }: ProbedStream): number | undefined => {
	const tag = /^(\d+):(\d+):([\d.]+)$/.exec(tags?.['DURATION'] ?? '');
	const ofTag = tag ? String(Number(tag[1]) * 3600 + Number(tag[2]) * 60 + Number(tag[3])) : undefined;
	return (secondsToUs(duration) ?? secondsToUs(ofTag)) || undefined;
};

/** What players take untagged video for: BT.709 for high definition, else BT.601. */
export const usualMatrix = ({ width, height }: Size): ColorMatrix =>
	height >= 720 || width >= 1280 ? 'bt709' : 'bt601';
