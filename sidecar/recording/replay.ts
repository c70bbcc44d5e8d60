import { createReadStream } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Configuration } from '../config/schema/configuration.ts';
import { denoiserHashOf, type GraphRole, type ModelManifest } from '../config/schema/manifest.ts';
import { parse } from '../config/schema/parse.ts';
import type { Preset } from '../config/schema/preset.ts';
import { RecordingEvent, RecordingHeader } from '../config/schema/recording.ts';
import type { Controller, ControlInput } from '../control/controller.ts';
import { readReference } from '../control/reference-image.ts';
import { isSidecarError, SidecarError } from '../errors.ts';
import type { Frame } from '../frame/frame.ts';
import type { ReadPreset, ReferencePicture } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import { VIDEO_FILE } from './lossless-video.ts';
import { EVENTS_FILE, HEADER_FILE } from './recording.ts';

/** Of the header: two thousand presets. */
const HEADER_BYTES_MAX = 64 * 1024 * 1024;
const LINE_BYTES_MAX = HEADER_BYTES_MAX;

export type RecordedFrame = Extract<RecordingEvent, { type: 'frame' }>;

/** What came between two frames, and when the parameters of the second were looked at. */
interface Cue {
	sequence: number;
	atUs: number;
	inputs: readonly ControlInput[];
}

/** A recording that is painted again: who asked what, by the clock of then. */
export class Replay {
	readonly folder: string;
	readonly header: RecordingHeader;
	/** What the controller began with. */
	readonly preset: ReadPreset;
	readonly presets: readonly ReadPreset[];
	readonly #pictures: RecordedPictures;
	/** Those of the engine of then; undefined where it never began. */
	readonly int8Graphs: readonly GraphRole[] | undefined;
	readonly #cues: Cue[] = [];
	#inputs: ControlInput[] = [];
	#nowUs = 0;

	private constructor(
		folder: string,
		header: RecordingHeader,
		{ preset, presets }: Pick<Replay, 'preset' | 'presets'>,
		pictures: RecordedPictures,
		int8Graphs: readonly GraphRole[] | undefined,
	) {
		this.folder = folder;
		this.header = header;
		this.preset = preset;
		this.presets = presets;
		this.#pictures = pictures;
		this.int8Graphs = int8Graphs;
	}

	/** Errors: ERR_SOURCE. */
	static async open(path: string): Promise<Replay> {
		const folder = resolve(path);
		for (const file of [HEADER_FILE, EVENTS_FILE, VIDEO_FILE]) await expectFile(join(folder, file));
		const header = parse(RecordingHeader, await readHeader(folder), join(folder, HEADER_FILE), 'ERR_SOURCE');
		let int8Graphs: readonly GraphRole[] | undefined;
		for await (const event of readEvents(folder)) {
			if (event.type === 'engine') int8Graphs = event.int8Graphs;
			if (event.type === 'frame') break;
		}
		const pictures = new RecordedPictures(folder);
		const [preset, ...presets] = await pictures.of([header.preset, ...header.presets]);
		return new Replay(folder, header, { preset: preset!, presets }, pictures, int8Graphs);
	}

	/** The configuration of then, where this one says nothing else. */
	configuration(given: Configuration): Configuration {
		const { model, painted, fit, tuning, fadeS } = this.header;
		const { fadeS: _, ...own } = given;
		return {
			...own,
			...(given.size === 'auto' && { size: painted, fit }),
			model: given.model ?? model.name,
			tuning: { ...tuning, ...given.tuning },
			...(fadeS !== undefined && { fadeS }),
		};
	}

	/** Says so where it is another model than that of then. */
	compareModel(manifest: ModelManifest): void {
		const { model } = this.header;
		if (manifest.name !== model.name || denoiserHashOf(manifest) !== model.sha256)
			log.warn(
				{ model: manifest.name, recorded: model.name },
				'another model than was recorded: it paints differently',
			);
	}

	/** The clock of then, as far as the replay has come. */
	readonly nowUs = (): number => this.#nowUs;

	/** The frames in order. What was asked meanwhile is done when the frame after it is painted. Errors: ERR_SOURCE_READ. */
	async *frames(): AsyncGenerator<RecordedFrame, void, undefined> {
		let [isStarted, lastSequence] = [false, -1];
		for await (const event of readEvents(this.folder)) {
			switch (event.type) {
				case 'frame':
					if (event.sequence <= lastSequence)
						throw new SidecarError(
							'ERR_SOURCE_READ',
							`${join(this.folder, EVENTS_FILE)}: frame ${event.sequence} comes after ${lastSequence}, expected a higher number.`,
						);
					lastSequence = event.sequence;
					this.#cues.push({ sequence: event.sequence, atUs: event.atUs, inputs: this.#inputs });
					this.#inputs = [];
					yield event;
					break;
				case 'engine':
					if (isStarted) log.warn('the engine was started anew here: paintings after it may differ from those of then');
					isStarted = true;
					break;
				case 'lost':
					log.warn(
						{ frames: event.frames },
						'frames are missing here: paintings after them may differ from those of then',
					);
					break;
				case 'armed':
					this.#inputs.push({ type: 'armed', name: event.name });
					break;
				case 'presets':
					this.#inputs.push({ ...event, presets: await this.#pictures.of(event.presets) });
					break;
				case 'reference': {
					const { file, name = '', ...rest } = event;
					const reference = file === undefined ? undefined : await this.#pictures.read(file);
					this.#inputs.push({ ...rest, picture: reference && { name, reference } });
					break;
				}
				default:
					this.#inputs.push(event);
			}
		}
	}

	/** Does what was asked until this frame, and gives the time of then at which its parameters were looked at. */
	advance(controller: Controller, frame?: Frame): number {
		while (frame && this.#cues[0] && this.#cues[0].sequence <= frame.sequence) {
			const { inputs, atUs } = this.#cues.shift()!;
			for (const input of inputs) this.#take(controller, input);
			this.#nowUs = atUs;
		}
		return this.#nowUs;
	}

	/** A command that was refused then is refused again. */
	#take(controller: Controller, input: ControlInput): void {
		if ('atUs' in input) this.#nowUs = input.atUs;
		try {
			controller.take(input);
		} catch (error) {
			if (!isSidecarError(error)) throw error;
			log.warn({ error }, 'a recorded command was refused');
		}
	}
}

/** A recording may have as many as it likes; as many are held. */
const PICTURES_MAX = 64;

/** The pictures that show styles, each read once. */
class RecordedPictures {
	readonly #folder: string;
	readonly #read = new Map<string, ReferencePicture>();

	constructor(folder: string) {
		this.#folder = folder;
	}

	async of(presets: readonly Preset[]): Promise<ReadPreset[]> {
		const read: ReadPreset[] = [];
		for (const preset of presets) {
			const { reference } = preset;
			read.push(reference === undefined ? preset : { ...preset, shown: await this.read(reference) });
		}
		return read;
	}

	/** Errors: ERR_SOURCE_READ. */
	async read(file: string): Promise<ReferencePicture> {
		const known = this.#read.get(file);
		if (known) return known;
		const path = join(this.#folder, file);
		await expectFile(path);
		const { picture } = await readReference(path).catch((cause: Error) => {
			throw new SidecarError('ERR_SOURCE_READ', cause.message, { cause });
		});
		const [oldest] = this.#read.keys();
		if (this.#read.size >= PICTURES_MAX && oldest !== undefined) this.#read.delete(oldest);
		this.#read.set(file, picture);
		return picture;
	}
}

/** A recording may be somebody else's: neither links nor devices are read. What is missing is said where it is opened. */
const expectFile = async (path: string): Promise<void> => {
	const stats = await lstat(path).catch(() => undefined);
	if (stats && !stats.isFile())
		throw new SidecarError(
			'ERR_SOURCE',
			`${path} is no plain file. Name a folder that --record has written, with the files themselves in it.`,
		);
};

const readHeader = async (folder: string): Promise<unknown> => {
	const path = join(folder, HEADER_FILE);
	let text: string;
	try {
		await using file = await open(path);
		const { size } = await file.stat();
		if (size > HEADER_BYTES_MAX) throw new Error(`it has ${size} bytes, expected ${HEADER_BYTES_MAX} at most`);
		text = await file.readFile('utf8');
	} catch (cause) {
		const { code, message } = cause as NodeJS.ErrnoException;
		const seen = code === 'ENOENT' || code === 'ENOTDIR' ? 'is not there' : `cannot be read (${code ?? message})`;
		throw new SidecarError('ERR_SOURCE', `${path} ${seen}. Name a folder that --record has written.`, { cause });
	}
	try {
		return JSON.parse(text);
	} catch (cause) {
		throw new SidecarError('ERR_SOURCE', `${path} is not JSON: ${(cause as Error).message}.`, { cause });
	}
};

/** A last line without an end was being written when the run died. */
async function* readEvents(folder: string): AsyncGenerator<RecordingEvent, void, undefined> {
	const path = join(folder, EVENTS_FILE);
	let number = 0;
	for await (const line of readLines(path)) {
		number++;
		const where = `${path}:${number}`;
		let value: unknown;
		try {
			value = JSON.parse(line);
		} catch (cause) {
			throw new SidecarError('ERR_SOURCE_READ', `${where} is not JSON: ${(cause as Error).message}.`, { cause });
		}
		yield parse(RecordingEvent, value, where, 'ERR_SOURCE_READ');
	}
}

async function* readLines(path: string): AsyncGenerator<string, void, undefined> {
	/** Of the line that has not ended yet: joined once, for a line may be long. */
	let pieces: string[] = [];
	let length = 0;
	const stream = createReadStream(path, { encoding: 'utf8' });
	try {
		for await (const chunk of stream as AsyncIterable<string>) {
			const [first = '', ...more] = chunk.split('\n');
			pieces.push(first);
			length += first.length;
			const last = more.pop();
			if (last !== undefined) {
				yield pieces.join('');
				yield* more;
				pieces = [last];
				length = last.length;
			}
			if (length > LINE_BYTES_MAX)
				throw new SidecarError('ERR_SOURCE_READ', `${path} has a line of more than ${LINE_BYTES_MAX} bytes.`);
		}
	} catch (cause) {
		if (isSidecarError(cause)) throw cause;
		const { code } = cause as NodeJS.ErrnoException;
		throw new SidecarError('ERR_SOURCE_READ', `${path} cannot be read (${code ?? (cause as Error).message}).`, {
			cause,
		});
	}
}
