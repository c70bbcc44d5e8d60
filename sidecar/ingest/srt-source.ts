import { setTimeout as sleep } from 'node:timers/promises';
import { FfmpegChild } from '../ffmpeg.ts';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, type FrameRate, type PictureLayout, type Size } from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import { openSrtLink, type SrtLink } from '../srt.ts';
import { log, repeated } from '../telemetry/logger.ts';
import type { FrameSource, SourceEnd, SourceInfo } from './frame-source.ts';
import { PipeReader } from './pipe-reader.ts';
import { parseY4mHeader, Y4M_FRAME_HEADER, Y4M_HEADER_BYTES_MAX } from './y4m.ts';

/** A sender from whom nothing comes for so long is gone. */
const STALL_MS = 5000;
const RETRY_MS = 500;
const STOPPING_MS = 2000;
/** Whoever sends says how large a picture is, and has ffmpeg take memory for it. */
const PIXELS_MAX = 4096 * 2304;

/** Stands for a sender that never came. */
const NONE = {
	layout: { format: 'I420', width: 512, height: 288, matrix: 'bt601', range: 'limited' },
	frameRate: { num: 30, den: 1 },
} as const;

interface Connection {
	child: FfmpegChild;
	pixels: PipeReader;
	layout: PictureLayout;
	frameRate: FrameRate;
}

/**
 * Video that comes by SRT, received by ffmpeg and waited for as long as it takes: the first picture says how large all are,
 * and a sender that comes back may send another size. Errors: ERR_CONFIG, ERR_RUNTIME.
 */
export const openSrtSource = async (address: string, signal: AbortSignal): Promise<FrameSource> => {
	const link = await openSrtLink(address);
	log.info({ source: link.name }, 'waiting for the SRT sender');
	const source = new SrtReceiver(link);
	const first = await source.connect(signal, undefined);
	return new SrtSource(source, first);
};

/** Connects, again and again. */
class SrtReceiver {
	readonly link: SrtLink;
	readonly #saysLost = repeated((facts, message) => log.warn(facts, message), 'no SRT sender', {
		nowUs,
		everyUs: 10_000_000,
	});

	constructor(link: SrtLink) {
		this.link = link;
	}

	/** Undefined once the signal aborts. `size` is what its pictures are to have. */
	async connect(signal: AbortSignal, size: Size | undefined): Promise<Connection | undefined> {
		while (!signal.aborted) {
			const child = await FfmpegChild.start('ffmpeg', receiveArguments(this.link, size));
			const stop = () => void child.stop();
			signal.addEventListener('abort', stop, { once: true });
			if (signal.aborted) stop();
			const pixels = new PipeReader(child.stdout);
			const header = await pixels.line(Y4M_HEADER_BYTES_MAX);
			signal.removeEventListener('abort', stop);
			const opened = header === undefined ? undefined : parseY4mHeader(header);
			if (opened && !signal.aborted) return { child, pixels, ...opened };
			await child.stopWithin(STOPPING_MS);
			if (signal.aborted) return undefined;
			this.#saysLost({ source: this.link.name, reason: this.link.redact(child.reason) });
			await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
		}
		return undefined;
	}
}

const receiveArguments = ({ options, url }: SrtLink, size: Size | undefined): string[] =>
	[
		['-hide_banner', '-nostats', '-loglevel', 'error', '-nostdin'],
		['-fflags', 'nobuffer', '-flags', 'low_delay', '-probesize', '500000', '-analyzeduration', '1000000'],
		['-threads', '1', '-max_pixels', String(PIXELS_MAX), '-f', 'mpegts', ...options, '-i', url, '-map', '0:v:0'],
		['-filter_threads', '1'],
		['-vf', `scale=${size ? `${size.width}:${size.height}:` : ''}out_color_matrix=bt601:out_range=tv,setsar=1`],
		['-fps_mode', 'passthrough', '-pix_fmt', 'yuv420p', '-f', 'yuv4mpegpipe', '-flush_packets', '1', 'pipe:1'],
	].flat();

class SrtSource implements FrameSource {
	readonly info: SourceInfo;
	readonly #receiver: SrtReceiver;
	#connection: Connection | undefined;
	#isWanted = false;
	readonly #drained: Promise<boolean>;

	constructor(receiver: SrtReceiver, first: Connection | undefined) {
		const { layout, frameRate } = first ?? NONE;
		this.#receiver = receiver;
		this.#connection = first;
		this.info = { name: receiver.link.name, layout, frameRate, durationUs: 0, isLive: true };
		this.#drained = this.#drain();
	}

	async run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd> {
		const { layout, frameRate } = this.info;
		const bytes = pictureByteLength(layout);
		const durationUs = Math.round((1e6 * frameRate.den) / frameRate.num);
		let framesRead = 0;
		let firstUs: number | undefined;
		let slot: number | undefined;
		const stop = () => void this.#connection?.child.stop();
		signal.addEventListener('abort', stop, { once: true });
		if (signal.aborted) stop();
		try {
			this.#isWanted = true;
			let comes = await this.#drained;
			while (!signal.aborted) {
				if (!comes) {
					await this.#reconnect(signal);
					comes = this.#connection !== undefined;
					continue;
				}
				// One that nothing came for is for the next frame, whoever sends that.
				slot ??= await ring.acquire(signal);
				if (slot === undefined) break;
				comes = await this.#read(ring.bytes(slot).subarray(0, bytes));
				if (!comes) continue;
				const capturedUs = nowUs();
				firstUs ??= capturedUs;
				const timestampUs = capturedUs - firstUs;
				ring.offer({ sequence: framesRead++, slot, capturedUs, timestampUs, durationUs, layout });
				slot = undefined;
			}
			return { framesRead, warnings: [] };
		} finally {
			signal.removeEventListener('abort', stop);
			await this[Symbol.asyncDispose]();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#connection) await this.#connection.child.stopWithin(STOPPING_MS);
	}

	/** Frames that nobody wants yet: left in the pipe they would be the first to be shown, and old. */
	async #drain(): Promise<boolean> {
		const nowhere = new Uint8Array(pictureByteLength(this.info.layout));
		let comes = this.#connection !== undefined;
		while (comes && !this.#isWanted) comes = await this.#read(nowhere);
		return comes;
	}

	async #reconnect(signal: AbortSignal): Promise<void> {
		const { link } = this.#receiver;
		if (this.#connection) {
			const { child } = this.#connection;
			await child.stopWithin(STOPPING_MS);
			log.warn({ source: link.name, reason: link.redact(child.reason) }, 'SRT sender lost');
		}
		this.#connection = undefined;
		this.#connection = await this.#receiver.connect(signal, this.info.layout);
		if (this.#connection) log.info({ source: link.name }, 'SRT sender is back');
	}

	/** False where none came, or none in time. */
	async #read(target: Uint8Array): Promise<boolean> {
		const { child, pixels } = this.#connection!;
		const late = setTimeout(() => void child.stop(), STALL_MS);
		try {
			const header = new Uint8Array(Y4M_FRAME_HEADER.length);
			if (!(await pixels.fills(header)) || Buffer.from(header).toString('latin1') !== Y4M_FRAME_HEADER) return false;
			return await pixels.fills(target);
		} finally {
			clearTimeout(late);
		}
	}
}
