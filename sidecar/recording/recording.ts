import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Preset } from '../config/schema/preset.ts';
import type { RecordingEvent, RecordingHeader } from '../config/schema/recording.ts';
import type { Controller, ControlInput } from '../control/controller.ts';
import type { EngineListener } from '../engine/engine-process.ts';
import { SidecarError } from '../errors.ts';
import type { FfmpegChild } from '../ffmpeg.ts';
import { pictureByteLength, type Frame } from '../frame/frame.ts';
import { encodePng } from '../control/png.ts';
import type { ReadPreset, ReferencePicture } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import { startVideoWriter } from './lossless-video.ts';

export const HEADER_FILE = 'recording.json';
export const EVENTS_FILE = 'events.jsonl';

/** What the controller begins with. */
type Beginning = Pick<RecordingHeader, 'version' | 'fadeS' | 'region'> & {
	preset: ReadPreset;
	presets: readonly ReadPreset[];
};
type RecordedCanvas = Pick<RecordingHeader, 'source' | 'model' | 'painted' | 'fit' | 'tuning'>;

/** Frames that may wait for the encoder: half a second of video. */
const WAITING_MAX = 15;

/**
 * Keeps the frames that are painted, without loss, and everything that was asked meanwhile, in a folder that `replay:` paints
 * again. Painting does not wait for it: live, frames that the encoder is not ready for are left out, and counted.
 */
export class Recording implements AsyncDisposable {
	readonly #folder: string;
	readonly #beginning: Beginning;
	readonly #events: WriteStream;
	#encoder: FfmpegChild | undefined;
	#waiting = 0;
	#lastSequence = -1;
	#frames = 0;
	#lost = 0;
	#failure: SidecarError | undefined;
	/** What is asked while the last frames are written belongs to none of them. */
	#isEnding = false;
	/** Pictures that show styles, by their names in the folder. */
	readonly #pictures = new Map<string, Promise<void>>();
	#wake = () => {};

	private constructor(folder: string, beginning: Beginning, events: WriteStream) {
		this.#folder = folder;
		this.#beginning = beginning;
		this.#events = events;
		events.on('error', (cause) => this.#fail(cause));
	}

	/** Errors: ERR_SINK where the folder has something in it, or cannot be made. */
	static async open(path: string, beginning: Beginning): Promise<Recording> {
		const folder = resolve(path);
		try {
			await mkdir(folder, { recursive: true });
			if ((await readdir(folder)).length > 0)
				throw new SidecarError('ERR_SINK', `${folder} has something in it. Name a new folder to record into.`);
			const events = createWriteStream(join(folder, EVENTS_FILE), { flags: 'wx' });
			await once(events, 'open');
			return new Recording(folder, beginning, events);
		} catch (cause) {
			if (cause instanceof SidecarError) throw cause;
			const { code } = cause as NodeJS.ErrnoException;
			throw new SidecarError('ERR_SINK', `${folder}: nothing can be recorded there (${code}). Choose another folder.`, {
				cause,
			});
		}
	}

	/** At once after the controller was made, of what is given to `open`. */
	follow(controller: Controller): Disposable {
		const stop = controller.witness((input) => this.#write(this.#eventOf(input)));
		return { [Symbol.dispose]: stop };
	}

	/** Before the first frame. Errors: ERR_RUNTIME, ERR_SINK_WRITE. */
	async begin(canvas: RecordedCanvas): Promise<void> {
		const header: RecordingHeader = {
			format: 'allaprima-recording',
			formatVersion: 1,
			startedAt: new Date().toISOString(),
			...canvas,
			...this.#beginning,
			preset: this.#plain(this.#beginning.preset),
			presets: this.#beginning.presets.map((preset) => this.#plain(preset)),
		};
		try {
			await writeFile(join(this.#folder, HEADER_FILE), `${JSON.stringify(header, null, '\t')}\n`);
		} catch (cause) {
			throw this.#fail(cause);
		}
		const { layout, frameRate } = header.source;
		const encoder = await startVideoWriter(this.#folder, layout, frameRate);
		this.#encoder = encoder;
		// What is written to it afterwards gets lost without an error.
		void encoder.exited.then(() => this.#isEnding || this.#fail(new Error(encoder.reason)));
	}

	/** The listener, and what the engine chose is kept. */
	hearing(listener: EngineListener): EngineListener {
		const ready: EngineListener['ready'] = (facts) => {
			this.#write({ type: 'engine', provider: facts.provider, int8Graphs: [...facts.int8Graphs] });
			listener.ready(facts);
		};
		return { ...listener, ready };
	}

	/** A frame that is painted with the parameters of the time `atUs`. `data` may be changed when this returns. */
	keep({ sequence, timestampUs, durationUs, layout }: Frame, data: Uint8Array, atUs: number): void {
		const encoder = this.#encoder;
		if (!encoder || this.#failure || this.#isEnding || sequence <= this.#lastSequence) return; // an engine that died gets its frames again
		this.#lastSequence = sequence;
		if (this.#waiting >= WAITING_MAX) {
			this.#lost++;
			return this.#write({ type: 'lost', frames: 1 });
		}
		this.#write({ type: 'frame', sequence, timestampUs, durationUs, atUs });
		this.#frames++;
		this.#waiting++;
		encoder.stdin.write(data.slice(0, pictureByteLength(layout)), () => {
			this.#waiting--;
			this.#wake();
		});
	}

	/** The frames, as fast as they can be kept: for a run that loses none. */
	async *paced(frames: AsyncIterable<Frame>): AsyncGenerator<Frame, void, undefined> {
		for await (const frame of frames) {
			yield frame;
			while (this.#waiting >= WAITING_MAX - 1 && !this.#failure)
				await new Promise<void>((resolve) => (this.#wake = resolve));
		}
	}

	/** Makes the recording whole. Errors: ERR_SINK_WRITE; what was kept until then can be replayed. */
	async finish(): Promise<void> {
		const encoder = this.#encoder;
		this.#isEnding = true;
		this.#events.end();
		encoder?.stdin.end();
		const code = encoder && (await encoder.exited);
		await finished(this.#events).catch((cause: unknown) => this.#fail(cause));
		await Promise.all(this.#pictures.values());
		if (encoder && code !== 0) this.#fail(new Error(encoder.reason));
		if (this.#failure) throw this.#failure;
		if (this.#lost > 0) log.warn({ frames: this.#frames, lost: this.#lost }, 'the recording lacks frames');
		log.info({ folder: this.#folder, frames: this.#frames }, 'recorded');
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isEnding = true;
		this.#events.destroy();
		await this.#encoder?.stop();
	}

	#eventOf(input: ControlInput): RecordingEvent {
		switch (input.type) {
			case 'armed':
				return { type: 'armed', ...(input.name !== undefined && { name: input.name }) };
			case 'presets':
				return { ...input, presets: input.presets.map((preset) => this.#plain(preset)) };
			case 'reference': {
				const { picture, ...rest } = input;
				return { ...rest, ...(picture && { name: picture.name, file: this.#keepPicture(picture.reference) }) };
			}
			default:
				return input;
		}
	}

	/** With its picture as a file of the recording. */
	#plain({ shown, ...own }: ReadPreset): Preset {
		const preset: Preset = own;
		delete preset.reference; // a file beside the preset's
		return { ...preset, ...(shown && { reference: this.#keepPicture(shown) }) };
	}

	#keepPicture({ id, picture }: ReferencePicture): string {
		const file = `${id}.png`;
		const keep = async () => writeFile(join(this.#folder, file), await encodePng(picture));
		if (!this.#pictures.has(file) && !this.#isEnding)
			this.#pictures.set(
				file,
				keep().catch((cause: unknown) => void this.#fail(cause)),
			);
		return file;
	}

	#write(event: RecordingEvent): void {
		if (!this.#failure && !this.#isEnding) this.#events.write(`${JSON.stringify(event)}\n`);
	}

	/** Once. The painting goes on. */
	#fail(cause: unknown): SidecarError {
		if (this.#failure) return this.#failure;
		const reason = this.#encoder?.knownReason ?? (cause as Error).message;
		const advice = /ENOSPC|No space left|quota/i.test(reason) ? ' Free some space or choose another place.' : '';
		this.#failure = new SidecarError(
			'ERR_SINK_WRITE',
			`${this.#folder}: recording stopped after ${this.#frames} frames (${reason}).${advice}`,
			{ cause },
		);
		log.error({ error: this.#failure }, 'recording stopped');
		this.#wake();
		return this.#failure;
	}
}
