import { setTimeout as sleep } from 'node:timers/promises';
import type { Configuration } from '../config/schema/configuration.ts';
import { takesReferences } from '../config/schema/manifest.ts';
import type { NdiChannel } from '../config/schema/ndi.ts';
import type { Tuning } from '../config/schema/tuning.ts';
import { Controller } from '../control/controller.ts';
import type { PresetLibrary } from '../control/preset-library.ts';
import { withReference } from '../control/preset-reference.ts';
import { choosePreset } from '../control/presets.ts';
import { FailureSink, slateOf } from '../egress/failure-policy.ts';
import { FlickerMeter } from '../egress/flicker-meter.ts';
import { relaySinkOf } from '../egress/ndi-sink.ts';
import { PreviewSink } from '../egress/preview-sink.ts';
import type { Engines } from '../engine/engine-process.ts';
import { SidecarError } from '../errors.ts';
import { nowUs } from '../frame/clock.ts';
import { findModelFolder, openModelFolder, type ModelFolder } from '../inference/manifest.ts';
import { ndiInputOf, NdiSource, type NdiIntake } from '../ingest/ndi-source.ts';
import { loadNative } from '../native.ts';
import { NdiRelay, type NdiInput, type NdiRelayState } from '../ndi.ts';
import { PASSTHROUGH, type ReadPreset } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import type { ChannelNumbers } from '../telemetry/metrics.ts';
import type { Report } from '../telemetry/report.ts';
import { runChannel } from './channel.ts';
import { isElsewhere } from './engines.ts';
import { openFallback } from './fallback.ts';
import { engineProblem, type Monitor, type MonitoredChannel } from './monitor.ts';
import { chooseTuning } from './streams.ts';

/** Everything of a channel that can be found wrong before it runs. */
export interface PreparedChannel {
	/** What it is called on the network, on the page and in metrics. */
	name: string;
	input: NdiInput;
	configuration: Configuration;
	folder: ModelFolder;
	fallback: ModelFolder | undefined;
	tuning: Tuning;
	preset: ReadPreset;
}

/** For the page while the relay shows the source itself: it moves, and costs next to nothing. */
const DIRECT_PREVIEW_EVERY_US = 200_000;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 10_000;
/** A run as long as this was no failure to start. */
const GOOD_RUN_MS = 60_000;
const LOOK_MS = 500;
/** Nothing has left for this long, though something always is to leave: the native side stands still. */
const STANDSTILL_MS = 2000;

/** Errors: ERR_CONFIG, ERR_STYLE, ERR_MODEL. */
export const prepareChannel = async (
	base: Configuration,
	{ in: source, out, ...own }: NdiChannel,
): Promise<PreparedChannel> => {
	const configuration: Configuration = Object.freeze({ ...base, ...own, pace: 'source' as const });
	const name = out ?? configuration.ndi.outName.replaceAll('{source}', shortName(source));
	if (name === source || name === shortName(source))
		throw new SidecarError('ERR_CONFIG', `A painted stream cannot be called ${name}, as its source is. Use --out.`);
	const chosen = await choosePreset(configuration);
	const folder = await openModelFolder(await findModelFolder(configuration.model ?? chosen.preset.model));
	const preset = await withReference(chosen, configuration, folder.manifest);
	const tuning = chooseTuning(folder.manifest, configuration.tuning);
	return {
		name,
		input: { ...ndiInputOf(source, configuration.ndi), receiverName: name },
		configuration,
		folder,
		fallback: isElsewhere(configuration) ? undefined : await openFallback(folder),
		tuning,
		preset,
	};
};

/** "RIG (CAM 1)" is CAM 1 to people. */
const shortName = (source: string): string => /\((.+)\)$/.exec(source)?.[1] ?? source;

/**
 * One source, painted into a stream of its own, until the signal aborts. The stream is there from the beginning and
 * stays, whatever becomes of source, engine or line: those are tried again. Errors: ERR_NDI where it cannot be made.
 */
export const runRelayChannel = async (
	{ name, input, configuration, folder, fallback, tuning, preset }: PreparedChannel,
	{
		library,
		monitor,
		engines,
		signal,
	}: { library: PresetLibrary; monitor: Monitor; engines: Engines; signal: AbortSignal },
): Promise<Report | undefined> => {
	const { failure, holdS, afterHold, fadeS, region, ndi, staleAfterMs } = configuration;
	const leadUs = () => 1000 * relay.state().delayMs;
	const takes = { takesReferences: takesReferences(folder.manifest) };
	const controller = new Controller({
		presets: library.presetsFor(takes),
		preset,
		tuning,
		fadeS,
		region,
		nowUs,
		leadUs,
		...takes,
	});
	using _led = library.lead(controller);
	const isDirect = () => controller.change.style === PASSTHROUGH;
	const { manifest } = folder;
	const [width, height] = 'fixed' in manifest.size ? manifest.size.fixed : manifest.size.default;
	using relay = new NdiRelay({
		input,
		output: { name, ...(ndi.groups !== undefined && { groups: ndi.groups }), failover: ndi.failover },
		fit: configuration.size === 'auto' ? 'stretch' : configuration.fit,
		slate: slateOf({ width, height }),
		failure,
		holdMs: holdS === 'forever' ? holdS : 1000 * holdS,
		afterHold,
		staleAfterMs,
		delayMs: ndi.delayMs,
		onlyWhenWatched: ndi.onlyWhenWatched,
		alpha: true,
	});
	const follow = () => {
		relay.setPanic(controller.isPanic);
		relay.setDirect(isDirect());
	};
	follow();
	const monitored: MonitoredChannel = {
		controller,
		modifiers: manifest.modifiers,
		problem: () => problemOf(relay.state(), { input, onlyWhenWatched: ndi.onlyWhenWatched }, monitored),
		standstill: () => {
			const { sentAgeMs } = relay.state();
			return sentAgeMs !== undefined && sentAgeMs > STANDSTILL_MS ? 'nothing leaves' : undefined;
		},
		ndi: () => numbersOf(relay.state()),
	};
	using _following = disposing(controller.subscribe(follow));
	using _monitored = disposing(monitor.add(name, monitored));
	using _log = logChanges(name, relay);
	await using source = await NdiSource.open(sparing(relay, isDirect), { name: input.name ?? input.url ?? '', signal });
	let report: Report | undefined;
	for (let retryMs = RETRY_FIRST_MS; !signal.aborted;) {
		const startedMs = performance.now();
		try {
			report = await runChannel({
				configuration,
				folder,
				fallback,
				tuning,
				controller,
				engines,
				source,
				sinksPace: true,
				openSinks: async ({ painted, fit }) => {
					const preview = new PreviewSink({ size: painted, fit, native: loadNative() });
					const flicker = new FlickerMeter({ native: loadNative() });
					monitored.preview = preview;
					monitored.flicker = () => flicker.reading;
					const failing = { rule: () => configuration, painted, isPanic: () => controller.isPanic, nowUs };
					return [relaySinkOf(relay, failure), new FailureSink(preview, failing), flicker];
				},
				attach: async ({ view, report: soFar, queue, remote, thumbnails }) => {
					monitored.view = view;
					monitored.report = soFar;
					monitored.queue = queue;
					monitored.remote = remote;
					monitored.thumbnails = thumbnails;
					return { [Symbol.asyncDispose]: () => Promise.resolve() };
				},
				times: monitor.timesOf(name),
				signal,
			});
			break;
		} catch (error) {
			// The stream goes on by its policy; what was wrong may be over.
			if (performance.now() - startedMs > GOOD_RUN_MS) retryMs = RETRY_FIRST_MS;
			log.error({ channel: name, error, retryMs }, 'painting failed');
			await sleep(retryMs, undefined, { signal }).catch(() => {});
			retryMs = Math.min(2 * retryMs, RETRY_LAST_MS);
		}
	}
	return report;
};

const disposing = (end: () => void): Disposable => ({ [Symbol.dispose]: end });

/** Frames for the painter: where the relay shows the source itself, only what the page needs. */
const sparing = (relay: NdiRelay, isDirect: () => boolean): NdiIntake => {
	let lastUs = -Infinity;
	return {
		open: (timeoutMs) => relay.open(timeoutMs),
		next: async (target) => {
			for (;;) {
				const frame = await relay.next(target);
				if (frame && isDirect() && frame.capturedUs - lastUs < DIRECT_PREVIEW_EVERY_US) continue;
				lastUs = frame?.capturedUs ?? lastUs;
				return frame;
			}
		},
	};
};

const problemOf = (
	{ inputState, connections, shown }: NdiRelayState,
	{ input, onlyWhenWatched }: { input: NdiInput; onlyWhenWatched: boolean },
	{ view }: MonitoredChannel,
): string | undefined => {
	if (inputState !== 'receiving') return `no frames from ${input.name ?? input.url}`;
	if (shown === 'painting' || shown === 'direct') return undefined;
	return onlyWhenWatched && connections === 0 ? undefined : engineProblem(view);
};

const numbersOf = (state: NdiRelayState): ChannelNumbers['ndi'] => ({
	sent: {
		painting: state.framesPainted,
		source: state.framesPassed,
		hold: state.framesHeld,
		slate: state.framesSlate,
		filled: state.framesFilled,
	},
	dropped: state.framesDropped,
	late: state.framesLate,
	...(state.frameAgeMs !== undefined && { frameAgeMs: state.frameAgeMs }),
	delayMs: state.delayMs,
	connections: state.connections,
	reconnects: state.reconnects,
});

/** What operators look for in a log: the source comes and goes, and what is shown changes. */
const logChanges = (channel: string, relay: NdiRelay): Disposable => {
	let last = '';
	const timer = setInterval(() => {
		const { inputState, shown, connections, url } = relay.state();
		const facts = { channel, input: inputState, shown, connections, url };
		if (JSON.stringify(facts) !== last) log.info(facts, 'relay');
		last = JSON.stringify(facts);
	}, LOOK_MS);
	return { [Symbol.dispose]: () => clearInterval(timer) };
};
