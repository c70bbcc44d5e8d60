import type { Modifier } from '../../config/schema/manifest.ts';
import type { SceneStyle } from '../../config/schema/obs-scenes.ts';
import type { Controller, ControlView } from '../controller.ts';
import type { MidiServed } from '../midi/surface.ts';
import type { OscListening } from '../osc/page.ts';
import type { SceneTable } from '../scene-table.ts';

/** What is served: the channels that are painted, and what each has to say. Where it comes from is for app/ to know. */

/** What the run has to say about itself. */
export interface RunView {
	engine: {
		state: 'starting' | 'painting' | 'stale' | 'restarting';
		model: string;
		provider: string;
		/** With its memory; absent where no driver names it. */
		device?: string;
		restarts: number;
		/** What was given up when memory ran out; absent where it did not. */
		memoryRelief?: string;
	};
	source: string;
	/** How long a frame of the source lasts. */
	framePeriodMs: number;
	painted: { width: number; height: number };
	batchSize: number;
	/** Over the last seconds, as the latency. */
	fps: number;
	latencyMs: { p50: number; p95: number };
	/** Per batch, p50. */
	sideStreamMs: number;
	mainStreamMs: number;
	framesIn: number;
	framesOut: number;
	framesDropped: number;
	framesRepeated: number;
	framesReused: number;
	framesUnpainted: number;
	/** What is given up to keep up: 0 of `levels` where nothing is; absent where it is off. */
	governor?: { level: number; levels: number; relief: string };
	/** Of two successive paintings, on the 0..255 scale; absent before anything was measured. */
	flicker?: { warpingError: number; sobel: number; sourceSobel: number };
}

/** The run so far, as `--report` writes it at the end; what its fields are: telemetry/report.ts. */
export interface RunReport {
	model: string;
	provider: string;
	int8Graphs: readonly string[];
	size: { width: number; height: number };
	batchSize: number;
	steps: number;
	framesIn: number;
	framesOut: number;
	framesDropped: number;
	framesRepeated: number;
	framesReused: number;
	framesUnpainted: number;
	fps: number;
	latencyMs: { p50: number; p95: number; p99: number; max: number };
	glassToGlassMs?: { p50: number; p95: number };
	stagesMs: Record<string, { p50: number; p95: number }>;
	sideStreamMs: number;
	mainStreamMs: number;
	styleSwitches: readonly { epoch: number; style: string; latencyMs: number }[];
	engineRestarts: number;
	firstPaintingMs: number;
	rssPeakMiB: number;
	commit: string;
	machine: string;
	date: string;
}

/** How a channel fares that workers of a fleet paint. */
export interface RemoteView {
	/** Which one paints it; absent while none does. */
	worker?: string;
	/** To the worker and back; absent before that was measured. */
	roundTripMs?: number;
	/** Frames and paintings that were dropped for being late. */
	framesLate: number;
	/** Workers that took it over, the first one too. */
	placements: number;
	/** How pictures cross the network now. */
	encoding: 'nv12' | 'jpeg';
	/** What the link carried of the last pictures, the narrower way; absent before that was measured. */
	linkBitsPerSecond?: number;
}

/** A worker of the fleet, as it says of itself. Capacity and load are painted pixels a second. */
export interface WorkerView {
	worker: string;
	host: string;
	version: string;
	isDraining: boolean;
	/** How long it took to say so. */
	answerMs: number;
	capacity: number;
	load: number;
	streams: readonly { stream: string; size: { width: number; height: number }; isLeased: boolean; fps: number }[];
	streamsMax: number;
	framesPainted: number;
	framesDropped: number;
	leasesLost: number;
	/** How long frames are there, and how long of that they wait; absent before there were any. */
	frameMs?: { p50: number; p95: number };
	queueMs?: { p50: number; p95: number };
}

export interface FleetView {
	/** As the configuration has it: paired, or the NATS server. */
	engine: string;
	/** Of this sidecar; failovers are engines that were started again. */
	channels: readonly (RemoteView & { channel: string; failovers: number })[];
	/** Of all sidecars. */
	workers: readonly WorkerView[];
}

/** Of a choice that a viewer made. */
export interface ChatAnswer {
	message: string;
	style: string;
	nextInS: number;
}

export interface ServerState {
	version: string;
	/** All that are painted, by name. */
	channels: readonly string[];
	channel: string;
	control: ControlView;
	/** What the channel's model knows besides styles. */
	modifiers: readonly Modifier[];
	/** Whether a picture may show the style. */
	takesReferences: boolean;
	/** Of the table of scenes; absent where OBS is not in use. */
	scenesRevision?: number;
	run: RunView;
	/** Absent where the engine runs on this machine. */
	remote?: RemoteView;
}

/** Gives somebody frames, one for each time they are asked for; `egress/preview-sink.ts` is one. */
export interface PreviewFeed {
	watch(send: (message: Uint8Array) => void): Disposable & { ready(): void };
}

/** A small picture of a style. */
export type Thumbnail =
	| { kind: 'picture'; type: string; bytes: Buffer }
	/** There may be one in a moment. */
	| { kind: 'later'; reason: string }
	| { kind: 'panic'; reason: string }
	/** There is none, as the channel is set up. */
	| { kind: 'none'; reason: string };

/** Paints thumbnails from the live picture; `app/style-sampler.ts` is one. */
export interface ThumbnailFeed {
	thumbnailOf(style: string): Promise<Thumbnail>;
}

/** One channel as the page steers it. */
export interface ServedChannel {
	name: string;
	controller: Controller;
	/** Absent where the model names none. */
	modifiers?: readonly Modifier[] | undefined;
	/** Absent until there is a picture. */
	preview: PreviewFeed | undefined;
	thumbnails?: ThumbnailFeed | undefined;
	run: () => RunView;
	report: () => RunReport;
	/** Absent, or undefined, where the engine runs on this machine. */
	remote?: (() => RemoteNow | undefined) | undefined;
}

/** As `RemoteView`, of now. */
interface RemoteNow {
	worker: string | undefined;
	roundTripMs: number | undefined;
	framesLate: number;
	placements: number;
	encoding: 'nv12' | 'jpeg';
	linkBitsPerSecond: number | undefined;
}

/** The fleet that paints, where one does. */
export interface ServedFleet {
	engine: string;
	/** Asks them; those that do not answer are not in it. */
	workers: () => Promise<readonly WorkerView[]>;
}

/** The table of scenes in force, and where it is kept. */
export interface ServedScenes {
	table: SceneTable;
	store: { keep: (rows: readonly SceneStyle[]) => Promise<string> };
}

/** What is wrong, a line each; empty where nothing is. */
export interface Health {
	/** Only a new start helps. */
	failing: readonly string[];
	/** There is no picture yet, or none any more. */
	unready: readonly string[];
}

/** Everything that the routes answer from. */
export interface Served {
	version: string;
	/** Asked for each time: channels come and go. */
	channels: () => readonly ServedChannel[];
	/** Calls back after each change of a channel's control, until what it gives is called. */
	subscribe: (listener: () => void) => () => void;
	health: () => Health;
	/** In Prometheus' text format. */
	metrics: () => Promise<string>;
	/** Absent where OBS is not in use. */
	scenes?: ServedScenes | undefined;
	/** Absent where the engine runs on this machine. */
	fleet?: ServedFleet | undefined;
	/** Absent where OSC is off. */
	osc?: OscListening;
	/** Absent where MIDI is off. */
	midi?: MidiServed;
}

/** Without a name, the first. */
export const channelNamed = ({ channels }: Served, name: string | undefined): ServedChannel | undefined =>
	name === undefined ? channels()[0] : channels().find((channel) => channel.name === name);

export const stateOf = (
	{ version, channels, scenes }: Served,
	{ name, controller, modifiers = [], run, remote }: ServedChannel,
): ServerState => {
	const elsewhere = remote?.();
	return {
		version,
		channels: channels().map((channel) => channel.name),
		channel: name,
		control: controller.view(),
		modifiers,
		takesReferences: controller.takesReferences,
		...(scenes && { scenesRevision: scenes.table.revision }),
		run: run(),
		...(elsewhere && { remote: remoteViewOf(elsewhere) }),
	};
};

/** Of all channels, and of all workers that answer. */
export const fleetViewOf = async ({ channels }: Served, { engine, workers }: ServedFleet): Promise<FleetView> => ({
	engine,
	workers: await workers(),
	channels: channels().flatMap(({ name, remote, run }) => {
		const elsewhere = remote?.();
		return elsewhere ? [{ channel: name, ...remoteViewOf(elsewhere), failovers: run().engine.restarts }] : [];
	}),
});

const remoteViewOf = ({
	worker,
	roundTripMs,
	framesLate,
	placements,
	encoding,
	linkBitsPerSecond,
}: RemoteNow): RemoteView => ({
	...(worker !== undefined && { worker }),
	...(roundTripMs !== undefined && { roundTripMs }),
	framesLate,
	placements,
	encoding,
	...(linkBitsPerSecond !== undefined && { linkBitsPerSecond }),
});
