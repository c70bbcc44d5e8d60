import { runChannel, type Canvas, type ChannelSettings, type ChannelView } from './app/channel.ts';
import { isElsewhere, openEngines, servedFleetOf } from './app/engines.ts';
import { openFallback } from './app/fallback.ts';
import { paintOtherFilters } from './app/filters.ts';
import { stopAfter } from './app/limits.ts';
import { engineProblem, Monitor, VERSION, type MonitoredChannel } from './app/monitor.ts';
import { chooseTuning, obsFilterOf, openSinks, openSource, OPPOSITE_FIT, tapsOf } from './app/streams.ts';
import { httpAccessOf } from './config/http-access.ts';
import { midiSettingsOf } from './config/midi-settings.ts';
import { oscSettingsOf } from './config/osc-settings.ts';
import type { Configuration } from './config/schema/configuration.ts';
import { takesReferences } from './config/schema/manifest.ts';
import type { SceneStyle } from './config/schema/obs-scenes.ts';
import { Controller } from './control/controller.ts';
import { openObsLink, type ObsLink, type ObsStream } from './control/obs-link.ts';
import { ObsWebsocket } from './control/obs-websocket.ts';
import { PresetLibrary } from './control/preset-library.ts';
import { withReference } from './control/preset-reference.ts';
import { choosePreset } from './control/presets.ts';
import { SceneStore } from './control/scene-store.ts';
import { SceneTable } from './control/scene-table.ts';
import { FailureSink, type FailureRule } from './egress/failure-policy.ts';
import { FlickerMeter } from './egress/flicker-meter.ts';
import type { FrameSink } from './egress/frame-sink.ts';
import { openObsSink } from './egress/obs-sink.ts';
import { PreviewSink } from './egress/preview-sink.ts';
import { nowUs } from './frame/clock.ts';
import type { Size } from './frame/frame.ts';
import { ringSocketPath } from './frame/shared-ring.ts';
import { findModelFolder, openModelFolder } from './inference/manifest.ts';
import { openObsSource } from './ingest/obs-source.ts';
import { loadNative } from './native.ts';
import { Recording } from './recording/recording.ts';
import { Replay } from './recording/replay.ts';
import { ReplaySource } from './recording/replay-source.ts';
import type { Progress, Report } from './telemetry/report.ts';

/** How often the dialog in OBS hears how the run goes. */
const ANNOUNCE_MS = 500;

/** The run's own channel, beside those of further filters in OBS. */
const MAIN = 'main';

interface RunOptions {
	/** Ends the run cleanly: what was painted so far is written. */
	signal: AbortSignal;
	onProgress?: (progress: Progress) => void;
	/** What the configuration was read from, where that is a file: edits are kept there. */
	configurationFile?: string | undefined;
	/** Sinks of the caller's own; the run disposes of them. */
	sinks?: readonly FrameSink[];
}

/**
 * Joins source, engine, sinks and control, runs them to the end and gives the report.
 * Errors: whatever SidecarError stopped it; sinks that were not finished leave nothing behind.
 */
export const runApp = async (
	given: Configuration,
	{ signal, onProgress, configurationFile, sinks = [] }: RunOptions,
): Promise<Report> => {
	const replay = given.source.startsWith('replay:')
		? await Replay.open(given.source.slice('replay:'.length))
		: undefined;
	const configuration = replay?.configuration(given) ?? given;
	const access = await httpAccessOf(configuration, process.env);
	const osc = oscSettingsOf(configuration);
	const midi = midiSettingsOf(configuration);
	const chosen = replay ? { path: replay.folder, preset: replay.preset } : await choosePreset(configuration);
	const folder = await openModelFolder(await findModelFolder(configuration.model ?? chosen.preset.model));
	replay?.compareModel(folder.manifest);
	const preset = replay?.preset ?? (await withReference(chosen, configuration, folder.manifest));
	const takes = { takesReferences: takesReferences(folder.manifest) };
	// Who waits for a file wants every frame of it painted.
	const keepsAll = configuration.pace === 'max';
	const tuning = chooseTuning(folder.manifest, {
		...(keepsAll && { similarityThreshold: 0 }),
		...configuration.tuning,
	});
	await using engines = await openEngines(configuration);
	// What is painted as fast as it can is to be of one piece.
	using library = await PresetLibrary.open({
		watch: configuration.pace === 'source',
		references: takes.takesReferences,
	});
	const { fadeS } = configuration;
	const region = replay ? replay.header.region : configuration.region;
	const presets = replay?.presets ?? library.presetsFor(takes);
	const newController = (leadMs: () => number | undefined = () => undefined) =>
		new Controller({
			presets,
			preset,
			tuning,
			fadeS,
			...takes,
			region,
			nowUs: replay?.nowUs ?? nowUs,
			leadUs: () => 1000 * (leadMs() ?? 0),
		});
	// Commands come from OBS before there is anything to be late.
	let delayMs: () => number | undefined = () => undefined;
	const controller = newController(() => delayMs());
	await using recording = configuration.record
		? await Recording.open(configuration.record, {
				version: VERSION,
				preset,
				presets: [...presets],
				...(fadeS !== undefined && { fadeS }),
				...(region !== undefined && { region }),
			})
		: undefined;
	using _recorded = recording?.follow(controller);
	using _led = replay ? undefined : library.lead(controller);
	const native = loadNative();

	using limit = stopAfter(signal, configuration.durationS);
	const obsFilter = obsFilterOf(configuration);
	const store = new SceneStore({ configurationFile });
	const scenes = new SceneTable({
		rows: obsFilter || configuration.obs.websocket ? await scenesOf(configuration, store) : [],
		paint: (name) => {
			for (const own of link?.controllers ?? [controller]) own.apply({ type: 'style', name });
		},
	});
	await using link =
		obsFilter &&
		(await openObsLink({
			...obsFilter,
			path: ringSocketPath('sidecar'),
			version: VERSION,
			controller,
			scenes,
		}));
	await using obs =
		configuration.obs.websocket &&
		new ObsWebsocket({
			obs: configuration.obs,
			scenes,
			controller,
			delayMs: () => link?.glassToGlassMs()?.p50,
			hasPlugin: () => link?.stream !== undefined,
			nowUs,
		});
	await using source = replay
		? new ReplaySource(replay, configuration.pace)
		: await openSource(configuration, {
				taps: link && tapsOf(link, () => link.stream),
				shoot: obs && ((name) => obs.shoot(name, limit.signal)),
				native,
				signal: limit.signal,
			});

	const failing = ({ painted }: Canvas, whose: Controller, rule: () => FailureRule = () => configuration) => {
		return (sink: FrameSink) => new FailureSink(sink, { rule, painted, isPanic: () => whose.isPanic, nowUs });
	};
	const openFilterSink = (canvas: Canvas, whose: Controller, path: string, stream: () => ObsStream | undefined) =>
		failing(canvas, whose, () => filterRuleOf(stream()))(
			openObsSink({ path, pixelsMax: Math.max(pixelsOf(canvas.painted), pixelsOf(canvas.source.layout)), native }),
		);
	// A worker that cannot paint with a model is left for another.
	const fallback = isElsewhere(configuration) ? undefined : await openFallback(folder);
	const shared = { configuration, folder, fallback, tuning, engines };
	let paintedRings = 0;

	const monitor = new Monitor();
	const monitored: MonitoredChannel = {
		controller,
		modifiers: folder.manifest.modifiers,
		problem: () => engineProblem(monitored.view),
	};
	delayMs = () => monitored.glassToGlassMs?.()?.p50 ?? monitored.view?.().latencyMs.p50;
	const newPaintedRing = () => ringSocketPath(`painted-${process.pid}-${paintedRings++}`);
	const paintedRing = newPaintedRing();
	const report = runChannel({
		...shared,
		controller,
		source,
		...(recording && { recording }),
		...(replay && { replay }),
		openSinks: async (canvas) => {
			const { painted, fit, source: info } = canvas;
			const preview = new PreviewSink({ size: painted, fit, native });
			const flicker = new FlickerMeter({ native });
			monitored.preview = preview;
			monitored.flicker = () => flicker.reading;
			const opened = await openSinks(configuration, {
				size: configuration.output === 'painted' ? painted : sizeOf(info.layout),
				fit: OPPOSITE_FIT[fit],
				frameRate: info.frameRate,
				...(info.audio && { audio: info.audio }),
			});
			return [
				...opened.map(({ sink, rule }) => failing(canvas, controller, () => rule)(sink)),
				...[...sinks, ...(access ? [preview] : [])].map(failing(canvas, controller)),
				...(access ? [flicker] : []),
				...(link ? [openFilterSink(canvas, controller, paintedRing, () => link.stream)] : []),
			];
		},
		attach: async (channel) => {
			monitored.view = channel.view;
			monitored.report = channel.report;
			monitored.queue = channel.queue;
			monitored.remote = channel.remote;
			monitored.thumbnails = channel.thumbnails;
			if (link) monitored.glassToGlassMs = () => link.glassToGlassMs();
			const unmonitor = monitor.add(MAIN, monitored);
			const serving = await monitor.serve({
				access,
				osc,
				midi,
				scenes: link || obs ? { table: scenes, store } : undefined,
				fleet: servedFleetOf(configuration, engines),
			});
			const announcing = link && announce(link, undefined, { controller, painted: paintedRing }, channel);
			return {
				[Symbol.asyncDispose]: async () => {
					announcing?.[Symbol.dispose]();
					await serving[Symbol.asyncDispose]();
					unmonitor();
				},
			};
		},
		times: monitor.timesOf(MAIN),
		...(link && { glassToGlassMs: () => link.glassToGlassMs() }),
		signal: limit.signal,
		...(onProgress && { onProgress }),
	});
	if (!link) return await report;
	report.catch(() => {}); // heard below

	await using _others = paintOtherFilters(link, async (name, others) => {
		const own = newController();
		using _ownLed = library.lead(own);
		const path = newPaintedRing();
		await using tapped = await openObsSource(
			tapsOf(link, () => link.named(name)),
			{ native, signal: others },
		);
		await runChannel({
			...shared,
			controller: own,
			source: tapped,
			openSinks: async (canvas) => [openFilterSink(canvas, own, path, () => link.named(name))],
			attach: async (channel) => {
				const announcing = announce(link, name, { controller: own, painted: path }, channel);
				return { [Symbol.asyncDispose]: async () => announcing[Symbol.dispose]() };
			},
			signal: others,
		} satisfies ChannelSettings);
	});
	return await report;
};

/** Lets a filter's dialog know where its paintings are, and now and then how they come along. */
const announce = (
	link: ObsLink,
	name: string | undefined,
	channel: { controller: Controller; painted: string },
	{ view }: ChannelView,
): Disposable => {
	const serving = link.serve(name, {
		...channel,
		runState: () => {
			const { engine, fps, latencyMs } = view();
			return { engine: engine.state, fps, latencyMs: latencyMs.p50 };
		},
	});
	const timer = setInterval(() => link.announce(name), ANNOUNCE_MS);
	return {
		[Symbol.dispose]: () => {
			clearInterval(timer);
			serving[Symbol.dispose]();
		},
	};
};

/** What leaves in OBS is the filter's to say, and without a filter nothing of the source does. */
const filterRuleOf = (stream: ObsStream | undefined): FailureRule => ({
	failure: stream?.failure ?? 'slate',
	holdS: stream?.holdS ?? 'forever',
	afterHold: stream?.afterHold ?? 'slate',
});

/** Of the configuration, else those that were edited on the page. */
const scenesOf = async ({ obs: { scenes } }: Configuration, store: SceneStore): Promise<SceneStyle[]> =>
	scenes ? Object.entries(scenes).map(([scene, style]) => ({ scene, style })) : await store.load();

const pixelsOf = ({ width, height }: Size): number => width * height;

const sizeOf = ({ width, height }: Size): Size => ({ width, height });
