import { Controller } from '../../sidecar/control/controller.ts';
import type { Health, PreviewFeed, RunView, ServedChannel } from '../../sidecar/control/http/served.ts';
import { startHttpServer, type HttpServer } from '../../sidecar/control/http/server.ts';
import { presetOf, tuningOf } from './frames.ts';

export const PRESETS = [
	presetOf('oil-painting', { title: 'Oil painting' }),
	presetOf('pencil-sketch', { title: 'Pencil sketch' }),
	presetOf('passthrough', { title: 'Pass-through' }),
];

export const runView = (): RunView => ({
	engine: { state: 'painting', model: 'lite', provider: 'cpu', restarts: 0 },
	source: 'scene',
	painted: { width: 512, height: 288 },
	fps: 24,
	latencyMs: { p50: 80, p95: 110 },
	sideStreamMs: 12,
	mainStreamMs: 40,
	framesIn: 100,
	framesOut: 99,
	framesDropped: 1,
	framesRepeated: 0,
	framesUnpainted: 0,
});

export const newController = (nowUs = () => 0): Controller =>
	new Controller({ presets: PRESETS, preset: PRESETS[0]!, tuning: tuningOf(), fadeS: 0.5, nowUs });

/** A server on a free port, with a controller of its own and nothing to show unless it is given. */
export const openServer = async ({
	preview = { watch: () => ({ ready: () => {}, [Symbol.dispose]: () => {} }) },
	run = runView,
	nowUs = () => 0,
	port = 0,
	others = () => [],
	health = () => ({ failing: [], unready: [] }),
	metrics = async () => '',
}: {
	preview?: PreviewFeed;
	run?: () => RunView;
	nowUs?: () => number;
	port?: number;
	/** Channels beside the first, which is called main. */
	others?: () => readonly ServedChannel[];
	health?: () => Health;
	metrics?: () => Promise<string>;
} = {}): Promise<{ server: HttpServer; controller: Controller }> => {
	const controller = newController(nowUs);
	const server = await startHttpServer({
		port,
		version: '0.0.0',
		channels: () => [{ name: 'main', controller, preview, run }, ...others()],
		subscribe: (listener) => controller.subscribe(listener),
		health,
		metrics,
	});
	return { server, controller };
};
