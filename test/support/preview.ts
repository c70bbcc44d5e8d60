import { Controller } from '../../sidecar/control/controller.ts';
import type { HttpAccess } from '../../sidecar/config/http-access.ts';
import type {
	Health,
	PreviewFeed,
	RunReport,
	RunView,
	ServedChannel,
	ServedFleet,
	ThumbnailFeed,
	ServedScenes,
	WorkerView,
} from '../../sidecar/control/http/served.ts';
import type { MidiServed } from '../../sidecar/control/midi/surface.ts';
import { startHttpServer, type HttpServer } from '../../sidecar/control/http/server.ts';
import type { ReadPreset } from '../../sidecar/parameters.ts';
import { presetOf, tuningOf } from './frames.ts';

export const PRESETS = [
	presetOf('oil-painting', { title: 'Oil painting' }),
	presetOf('pencil-sketch', { title: 'Pencil sketch' }),
	presetOf('passthrough', { title: 'Pass-through' }),
];

export const runView = (): RunView => ({
	engine: { state: 'painting', model: 'lite', provider: 'cpu', restarts: 0 },
	source: 'scene',
	framePeriodMs: 1000 / 24,
	painted: { width: 512, height: 288 },
	batchSize: 1,
	fps: 24,
	latencyMs: { p50: 80, p95: 110 },
	sideStreamMs: 12,
	mainStreamMs: 40,
	framesIn: 100,
	framesOut: 99,
	framesDropped: 1,
	framesRepeated: 0,
	framesReused: 0,
	framesUnpainted: 0,
});

export const runReport = (): RunReport => ({
	model: 'lite',
	provider: 'cpu',
	int8Graphs: ['unet'],
	size: { width: 512, height: 288 },
	batchSize: 1,
	steps: 1,
	framesIn: 100,
	framesOut: 99,
	framesDropped: 1,
	framesRepeated: 0,
	framesReused: 0,
	framesUnpainted: 0,
	fps: 24,
	latencyMs: { p50: 80, p95: 110, p99: 120, max: 130 },
	stagesMs: { denoise: { p50: 20, p95: 25 } },
	sideStreamMs: 12,
	mainStreamMs: 40,
	styleSwitches: [{ epoch: 1, style: 'anime', latencyMs: 90 }],
	engineRestarts: 0,
	firstPaintingMs: 900,
	rssPeakMiB: 600,
	commit: 'abc',
	machine: 'two cores',
	date: '2026-01-01T00:00:00.000Z',
});

export const workerView = (over: Partial<WorkerView> = {}): WorkerView => ({
	worker: 'painter',
	host: 'gaming-pc',
	version: '0.1.0',
	isDraining: false,
	answerMs: 2.5,
	capacity: 4e6,
	load: 1e6,
	streams: [{ stream: 'one', size: { width: 512, height: 288 }, isLeased: true, fps: 24 }],
	streamsMax: 16,
	framesPainted: 100,
	framesDropped: 1,
	leasesLost: 0,
	frameMs: { p50: 40, p95: 60 },
	queueMs: { p50: 2, p95: 20 },
	...over,
});

export const newController = (
	nowUs = () => 0,
	presets: readonly ReadPreset[] = PRESETS,
	takesReferences = false,
): Controller =>
	new Controller({ presets, preset: presets[0]!, tuning: tuningOf(), fadeS: 0.5, nowUs, takesReferences });

/** A server on a free port, with a controller of its own and nothing to show unless it is given. */
export const openServer = async ({
	preview = { watch: () => ({ ready: () => {}, [Symbol.dispose]: () => {} }) },
	thumbnails,
	run = runView,
	nowUs = () => 0,
	access = {},
	presets = PRESETS,
	takesReferences = false,
	requestMs,
	nowMs,
	name = 'main',
	others = () => [],
	health = () => ({ failing: [], unready: [] }),
	metrics = async () => '',
	midi,
	scenes,
	fleet,
	remote,
}: {
	preview?: PreviewFeed;
	thumbnails?: ThumbnailFeed;
	run?: () => RunView;
	nowUs?: () => number;
	/** What is not as by default: a free port of this machine, for everybody on it. */
	access?: Partial<HttpAccess>;
	presets?: readonly ReadPreset[];
	takesReferences?: boolean;
	requestMs?: number;
	/** Of the first channel. */
	name?: string;
	nowMs?: () => number;
	/** Channels beside the first. */
	others?: () => readonly ServedChannel[];
	health?: () => Health;
	metrics?: () => Promise<string>;
	midi?: MidiServed;
	scenes?: ServedScenes;
	fleet?: ServedFleet;
	/** Of the first channel. */
	remote?: ServedChannel['remote'];
} = {}): Promise<{ server: HttpServer; controller: Controller }> => {
	const controller = newController(nowUs, presets, takesReferences);
	const server = await startHttpServer({
		host: '127.0.0.1',
		port: 0,
		hosts: [],
		...access,
		...(requestMs !== undefined && { requestMs }),
		...(nowMs && { nowMs }),
		version: '0.0.0',
		channels: () => [
			{
				name,
				controller,
				modifiers: [{ name: 'muted', phrase: 'muted colors' }],
				preview,
				thumbnails,
				run,
				report: runReport,
				remote,
			},
			...others(),
		],
		subscribe: (listener) => controller.subscribe(listener),
		health,
		metrics,
		...(midi && { midi }),
		scenes,
		fleet,
	});
	return { server, controller };
};
