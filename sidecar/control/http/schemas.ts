import type { Modifier } from '../../config/schema/manifest.ts';
import type { SceneStyle } from '../../config/schema/obs-scenes.ts';
import type { ControlView, ReferenceView } from '../controller.ts';
import type { MidiView } from '../midi/surface.ts';
import type { ChatAnswer, FleetView, RemoteView, RunReport, RunView, ServerState, WorkerView } from './served.ts';

/**
 * JSON schemas of what the API answers, held to the types by the compiler: a field that is added to a type and not here
 * does not compile.
 */

interface About {
	description?: string;
}

export type SchemaOf<T> = About &
	([T] extends [boolean]
		? { type: 'boolean' }
		: [T] extends [number]
			? { type: 'number' | 'integer'; minimum?: number; maximum?: number }
			: [T] extends [string]
				? { type: 'string'; enum?: readonly T[] }
				: [T] extends [readonly (infer Item)[]]
					? { type: 'array'; items: SchemaOf<Item> }
					: string extends keyof T
						? { type: 'object'; additionalProperties: SchemaOf<T[keyof T]> }
						: ObjectSchema<T>);

interface ObjectSchema<T> extends About {
	type: 'object';
	properties: { [K in keyof T]-?: SchemaOf<Exclude<T[K], undefined>> };
	required: readonly string[];
	additionalProperties: false;
}

/** An object with these fields and no other; those that may be absent are named after them. */
export const object = <T>(
	properties: ObjectSchema<T>['properties'],
	optional: readonly (keyof T)[] = [],
): ObjectSchema<T> => ({
	type: 'object',
	properties,
	required: Object.keys(properties).filter((key) => !optional.includes(key as keyof T)),
	additionalProperties: false,
});

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const share = { type: 'number', minimum: 0, maximum: 1 } as const;
const count = { type: 'integer', minimum: 0 } as const;
const number = (description: string) => ({ type: 'number', description, minimum: 0 }) as const;
const ms = (description = 'ms') => number(description);
const percentiles = () => object<{ p50: number; p95: number }>({ p50: ms(), p95: ms() });

const controlView = object<ControlView>(
	{
		style: { ...text, description: 'Name of the style that is the target' },
		title: text,
		prompt: text,
		strength: share,
		seed: count,
		reference: {
			...object<ReferenceView>({
				id: { ...text, description: 'Of its pixels' },
				name: text,
				width: count,
				height: count,
				isOfPreset: { ...flag, description: 'Whether the preset has it; else it was given since' },
			}),
			description: 'The picture that shows the style, where one does: GET /api/reference',
		},
		fadeS: number('How long a change of style fades, s'),
		panic: flag,
		epoch: { ...count, description: 'Rises with each change of style, prompt, reference or seed' },
		progress: { ...share, description: '0 when a fade begins, 1 when it is over or there is none' },
		presetsRevision: { ...count, description: 'Rises with each change of what GET /api/presets gives' },
		tempo: object<NonNullable<ControlView['tempo']>>({ bpm: number('Beats a minute'), beatsPerBar: count }),
		quantise: { ...text, enum: ['off', 'beat', 'bar'], description: 'What a switch of style waits for' },
		pending: { ...text, description: 'The style that waits for the beat' },
		region: {
			...text,
			description:
				'What is painted: all, changed, subject, background, alpha or the name of a mask; then ,invert and ,feather=PX',
		},
		isRegionOfPreset: { ...flag, description: 'Whether the style says so' },
	},
	['reference', 'tempo', 'pending'],
);

const size = () => object<{ width: number; height: number }>({ width: count, height: count });

const runView = object<RunView>(
	{
		engine: object<RunView['engine']>(
			{
				state: { ...text, enum: ['starting', 'painting', 'stale', 'restarting'] },
				model: text,
				provider: text,
				device: { ...text, description: 'What the provider runs on, with its memory; absent where no driver names it' },
				restarts: count,
				memoryRelief: { ...text, description: 'What was given up when memory ran out; absent where it did not' },
			},
			['device', 'memoryRelief'],
		),
		source: text,
		framePeriodMs: ms('How long a frame of the source lasts, ms'),
		painted: size(),
		batchSize: count,
		fps: number('Frames a second over the last seconds'),
		latencyMs: percentiles(),
		sideStreamMs: ms('Time of a batch in the stream of the encoder, p50, ms'),
		mainStreamMs: ms('Time of a batch in the stream of the denoiser, p50, ms'),
		framesIn: count,
		framesOut: count,
		framesDropped: count,
		framesRepeated: count,
		framesReused: count,
		framesUnpainted: count,
		governor: object<NonNullable<RunView['governor']>>({
			level: { ...count, description: 'What is given up to keep up; 0 where nothing is' },
			levels: count,
			relief: text,
		}),
		flicker: object<NonNullable<RunView['flicker']>>({
			warpingError: number('What motion does not explain of the difference of two paintings, of 255'),
			sobel: number('Detail of the painting'),
			sourceSobel: number('Detail of the source'),
		}),
	},
	['governor', 'flicker'],
);

const remoteFields = {
	worker: { ...text, description: 'Which worker paints it; absent while none does' },
	roundTripMs: ms('To the worker and back, ms'),
	framesLate: { ...count, description: 'Frames and paintings that were dropped for being late' },
	placements: { ...count, description: 'Workers that took it over, the first one too' },
	encoding: { ...text, enum: ['nv12', 'jpeg'] as const, description: 'How pictures cross the network now' },
	linkBitsPerSecond: number(
		'What the link carried of the last pictures, the narrower way; absent before that was measured',
	),
};
const remoteOptional = ['worker', 'roundTripMs', 'linkBitsPerSecond'] as const;
const remoteView = object<RemoteView>(remoteFields, remoteOptional);

export const fleetView = object<FleetView>({
	engine: { ...text, description: 'paired, or the NATS server' },
	channels: {
		type: 'array',
		items: object<FleetView['channels'][number]>(
			{ channel: text, ...remoteFields, failovers: { ...count, description: 'Engines that were started again' } },
			remoteOptional,
		),
	},
	workers: {
		type: 'array',
		items: object<WorkerView>(
			{
				worker: text,
				host: text,
				version: text,
				isDraining: flag,
				answerMs: ms('How long it took to say so, ms'),
				capacity: number('Painted pixels a second that it can do'),
				load: number('Painted pixels a second that its streams take'),
				streams: {
					type: 'array',
					items: object<WorkerView['streams'][number]>({
						stream: text,
						size: size(),
						isLeased: { ...flag, description: 'Whether it has the right to paint the stream' },
						fps: number('Painted frames a second, over the last three'),
					}),
				},
				streamsMax: count,
				framesPainted: count,
				framesDropped: { ...count, description: 'Frames that came too late' },
				leasesLost: count,
				frameMs: percentiles(),
				queueMs: percentiles(),
			},
			['frameMs', 'queueMs'],
		),
	},
});

export const serverState = object<ServerState>(
	{
		version: text,
		channels: { type: 'array', items: text },
		channel: text,
		control: controlView,
		modifiers: {
			type: 'array',
			items: object<Modifier>({ name: text, phrase: { ...text, description: 'What a prompt says of it' } }),
		},
		takesReferences: { ...flag, description: 'Whether a picture may show the style' },
		scenesRevision: {
			...count,
			description: 'Rises with each change of what GET /api/scenes gives; absent where OBS is not in use',
		},
		run: runView,
		remote: remoteView,
	},
	['scenesRevision', 'remote'],
);

export interface ScenesAnswer {
	revision: number;
	scenes: readonly SceneStyle[];
	known: readonly string[];
	keptIn?: string;
	problem?: string;
}

export const scenesAnswer = object<ScenesAnswer>(
	{
		revision: count,
		scenes: { type: 'array', items: object<SceneStyle>({ scene: text, style: text }) },
		known: { type: 'array', items: text, description: 'Scenes that OBS told of' },
		keptIn: { ...text, description: 'The file that has it now, where the sidecar runs' },
		problem: { ...text, description: 'Why it is in force for this run alone' },
	},
	['keptIn', 'problem'],
);

export interface PresetView {
	name: string;
	title: string;
	prompt: string;
	strength: number;
	seed: number;
}

export const presetView = object<PresetView>({ name: text, title: text, prompt: text, strength: share, seed: count });

export interface SavedPreset extends PresetView {
	path: string;
	hasThumbnail: boolean;
}

export const savedPreset = object<SavedPreset>({
	...presetView.properties,
	path: { ...text, description: 'Its file, where the sidecar runs' },
	hasThumbnail: { ...flag, description: 'Whether there was a picture to keep with it' },
});

export const runReport = object<RunReport>(
	{
		model: text,
		provider: text,
		int8Graphs: { type: 'array', items: text },
		size: size(),
		batchSize: count,
		steps: count,
		framesIn: count,
		framesOut: count,
		framesDropped: count,
		framesRepeated: count,
		framesReused: count,
		framesUnpainted: count,
		fps: number('Painted frames a second since the end of the first batch'),
		latencyMs: object<RunReport['latencyMs']>({ p50: ms(), p95: ms(), p99: ms(), max: ms() }),
		glassToGlassMs: percentiles(),
		stagesMs: { type: 'object', additionalProperties: percentiles() },
		sideStreamMs: ms('ms, p50'),
		mainStreamMs: ms('ms, p50'),
		styleSwitches: {
			type: 'array',
			items: object<RunReport['styleSwitches'][number]>({
				epoch: count,
				style: text,
				latencyMs: ms('From the change to the first frame of it, ms'),
			}),
		},
		engineRestarts: count,
		firstPaintingMs: ms('From the start of the process to the first painting, ms'),
		rssPeakMiB: number('Memory of all processes, MiB'),
		commit: text,
		machine: text,
		date: { ...text, description: 'ISO 8601, when the run began' },
	},
	['glassToGlassMs'],
);

export const midiView = object<MidiView>(
	{
		ports: {
			type: 'array',
			items: object<MidiView['ports'][number]>({
				name: text,
				direction: { ...text, enum: ['in', 'out'] },
				isOpen: { ...flag, description: 'Whether it is listened to, or told' },
			}),
		},
		counts: object<MidiView['counts']>({ obeyed: count, refused: count, unmapped: count }),
		learning: object<NonNullable<MidiView['learning']>>({
			command: { ...text, description: 'The command whose control is waited for' },
			expiresInS: number('How long, s'),
		}),
		learned: object<NonNullable<MidiView['learned']>>({ control: text, command: text }),
		mapping: {
			type: 'array',
			items: object<MidiView['mapping'][number]>({
				control: { ...text, description: 'note, cc or program and its number, perhaps after a channel' },
				command: text,
				from: { ...text, enum: ['learned', 'configuration', 'default'] },
			}),
		},
	},
	['learning', 'learned'],
);

export const ticketAnswer = object<{ ticket: string; expiresInS: number }>({
	ticket: text,
	expiresInS: number('How long it is good, s'),
});

export const logAnswer = object<{ lines: readonly string[] }>({ lines: { type: 'array', items: text } });

export const chatAnswer = object<ChatAnswer>({
	message: { ...text, description: 'For the bot to post' },
	style: { ...text, description: 'What is painted now' },
	nextInS: number('When the next style may be chosen, s'),
});

export interface ErrorAnswer {
	error: { code: string; message: string };
	message?: string;
}

export const errorAnswer = object<ErrorAnswer>(
	{
		error: object<ErrorAnswer['error']>({
			code: { ...text, description: 'ERR_COMMAND, ERR_STYLE, ERR_CHANNEL, ERR_TOKEN, ...' },
			message: { ...text, description: 'What was expected, what came, what to do' },
		}),
		message: { ...text, description: 'Of /api/chat: for the bot to post' },
	},
	['message'],
);
