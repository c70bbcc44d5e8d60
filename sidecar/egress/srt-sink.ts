import { setTimeout as sleep } from 'node:timers/promises';
import { FfmpegChild, usualMatrix } from '../ffmpeg.ts';
import { nowUs } from '../frame/clock.ts';
import { pictureByteLength, type Picture, type Size, type StyledFrame } from '../frame/frame.ts';
import { loadNative } from '../native.ts';
import { openSrtLink, type SrtLink } from '../srt.ts';
import { log, repeated } from '../telemetry/logger.ts';
import type { FrameSink, SinkSetup } from './frame-sink.ts';

const RETRY_MS = 1000;
const STOPPING_MS = 2000;
const KEYFRAME_S = 1;

/**
 * Sends what is painted by SRT: H.264 without sound in MPEG-TS, by ffmpeg. A receiver that goes away is waited for, and what is
 * painted meanwhile is not kept. Errors: ERR_CONFIG, ERR_RUNTIME.
 */
export const openSrtSink = async (address: string, setup: SinkSetup): Promise<FrameSink> =>
	new SrtSink(await openSrtLink(address), setup);

type Layout = Omit<Picture, 'data'>;

/** Sides are even, as 4:2:0 in H.264 wants it. */
const layoutOf = ({ width, height }: Size): Layout => {
	const size = { width: Math.max(2, width - (width % 2)), height: Math.max(2, height - (height % 2)) };
	return { format: 'I420', ...size, matrix: usualMatrix(size), range: 'limited' };
};

const sendArguments = (
	{ options, url }: SrtLink,
	{ width, height, matrix }: Layout,
	{ num, den }: SinkSetup['frameRate'],
): string[] => {
	const colour = matrix === 'bt709' ? 'bt709' : 'smpte170m';
	const keyframes = Math.max(1, Math.round((KEYFRAME_S * num) / den));
	return [
		['-hide_banner', '-nostats', '-loglevel', 'error', '-y'],
		['-probesize', '32', '-analyzeduration', '0', '-fpsprobesize', '0', '-use_wallclock_as_timestamps', '1'],
		['-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-video_size', `${width}x${height}`, '-framerate', `${num}/${den}`],
		['-i', 'pipe:0', '-fps_mode', 'passthrough', '-enc_time_base', '1:90000'],
		['-c:v', 'libx264', '-preset', 'veryfast', '-tune', 'zerolatency', '-threads', '1', '-g', String(keyframes)],
		['-crf', '21', '-maxrate', '8M', '-bufsize', '4M', '-pix_fmt', 'yuv420p'],
		['-color_range', 'tv', '-colorspace', colour, '-color_primaries', colour, '-color_trc', colour],
		['-f', 'mpegts', '-flush_packets', '1', '-pkt_size', '1316', ...options, url],
	].flat();
};

class SrtSink implements FrameSink {
	readonly name: string;
	readonly #link: SrtLink;
	readonly #setup: SinkSetup;
	readonly #layout: Layout;
	readonly #pixels: Uint8Array;
	/** While a frame is written, the newest that came since. */
	#next: StyledFrame | undefined;
	#writing: Promise<void> | undefined;
	#child: FfmpegChild | undefined;
	#isEnding = false;
	readonly #ending = new AbortController();
	readonly #saysLost = repeated((facts, message) => log.warn(facts, message), 'no SRT receiver', {
		nowUs,
		everyUs: 10_000_000,
	});

	constructor(link: SrtLink, setup: SinkSetup) {
		this.name = link.name;
		this.#link = link;
		this.#setup = setup;
		this.#layout = layoutOf(setup.size);
		this.#pixels = new Uint8Array(pictureByteLength(this.#layout));
	}

	present(frame: StyledFrame): Promise<void> {
		this.#next = frame;
		this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
		return Promise.resolve();
	}

	/** Does not wait for a receiver that is not there. */
	async finish(): Promise<void> {
		this.#isEnding = true;
		await Promise.race([this.#writing, sleep(STOPPING_MS, undefined, { ref: false })]);
		this.#child?.stdin.end();
		await this.#child?.endsWithin(STOPPING_MS);
		await this[Symbol.asyncDispose]();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isEnding = true;
		this.#ending.abort();
		await this.#stop();
	}

	/** Never rejects. */
	async #write(): Promise<void> {
		while (this.#next && !this.#ending.signal.aborted) {
			try {
				this.#child ??= await FfmpegChild.start(
					'ffmpeg',
					sendArguments(this.#link, this.#layout, this.#setup.frameRate),
					{ stdin: true },
				);
				const { picture } = this.#next;
				this.#next = undefined;
				await this.#send(this.#child, picture);
			} catch {
				if (!this.#isEnding) await this.#lost();
			}
		}
	}

	async #send({ stdin }: FfmpegChild, picture: Picture): Promise<void> {
		await loadNative().convert(picture, { ...this.#layout, data: this.#pixels }, this.#setup.fit);
		await new Promise<void>((resolve, reject) => {
			stdin.write(this.#pixels, (error) => (error ? reject(error) : resolve()));
		});
	}

	async #lost(): Promise<void> {
		const child = this.#child;
		// A broken pipe says only that ffmpeg ended; ffmpeg says why.
		await child?.endsWithin(STOPPING_MS);
		this.#saysLost({ sink: this.name, reason: this.#link.redact(child?.reason ?? 'ffmpeg could not be started') });
		await this.#stop();
		await sleep(RETRY_MS, undefined, { signal: this.#ending.signal }).catch(() => {});
	}

	async #stop(): Promise<void> {
		const child = this.#child;
		this.#child = undefined;
		if (!child) return;
		void child.stop();
		await child.endsWithin(STOPPING_MS);
	}
}
