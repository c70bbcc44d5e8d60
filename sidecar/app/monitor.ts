import { readFileSync } from 'node:fs';
import type { HttpAccess } from '../config/http-access.ts';
import type { MidiSettings } from '../config/midi-settings.ts';
import type { OscSettings } from '../config/osc-settings.ts';
import type { Modifier } from '../config/schema/manifest.ts';
import type { Controller } from '../control/controller.ts';
import type {
	Health,
	PreviewFeed,
	RunReport,
	RunView,
	ServedChannel,
	ServedFleet,
	ServedScenes,
	ThumbnailFeed,
} from '../control/http/served.ts';
import { startHttpServer, type HttpServer } from '../control/http/server.ts';
import { startMidi, type MidiSurface } from '../control/midi/surface.ts';
import { startOscServer, type OscServer } from '../control/osc/server.ts';
import type { RemoteNumbers } from '../engine/engine-process.ts';
import { nowUs } from '../frame/clock.ts';
import { Metrics, type ChannelNumbers } from '../telemetry/metrics.ts';
import { describeCommit } from '../telemetry/provenance.ts';
import type { TimesObserver } from '../telemetry/report.ts';
import { stopping } from './limits.ts';

export const { version: VERSION } = JSON.parse(
	readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };

/** A channel as those see it who look on. What is absent is not there yet. */
export interface MonitoredChannel {
	readonly controller: Controller;
	readonly modifiers?: readonly Modifier[] | undefined;
	preview?: PreviewFeed;
	thumbnails?: ThumbnailFeed;
	view?: () => RunView;
	report?: () => RunReport;
	queue?: () => ChannelNumbers['queue'];
	flicker?: () => ChannelNumbers['flicker'];
	/** Where the engine runs elsewhere. */
	remote?: () => RemoteNumbers | undefined;
	/** Where OBS shows the painting. */
	glassToGlassMs?: () => ChannelNumbers['glassToGlassMs'];
	/** Of the native side, where the channel is one of NDI. */
	ndi?: () => ChannelNumbers['ndi'];
	/** What stands between the channel and its picture; undefined where nothing does. */
	problem: () => string | undefined;
	/** What only a new start of the process helps. */
	standstill?: () => string | undefined;
}

/** Everything that is painted, for the page, the API and Prometheus. */
export class Monitor {
	readonly #channels = new Map<string, MonitoredChannel>();
	readonly #listeners = new Set<() => void>();
	readonly #metrics = new Metrics({ version: VERSION, commit: describeCommit() }, () => this.#numbers());

	/** The channel is looked at until what this gives is called. */
	add(name: string, channel: MonitoredChannel): () => void {
		this.#channels.set(name, channel);
		const unsubscribe = channel.controller.subscribe(() => this.#tell());
		this.#tell();
		return () => {
			unsubscribe();
			this.#channels.delete(name);
			this.#metrics.forget(name);
			this.#tell();
		};
	}

	/** Where the times of a channel go. */
	timesOf(name: string): TimesObserver {
		return this.#metrics.timesOf(name);
	}

	/**
	 * The page and the API, OSC and MIDI, where they are wanted. Errors: ERR_CONFIG where a port cannot be had, ERR_MIDI where
	 * this machine has no MIDI.
	 */
	async serve({
		access,
		osc,
		midi,
		scenes,
		fleet,
	}: {
		access: HttpAccess | undefined;
		osc: OscSettings | undefined;
		midi: MidiSettings | undefined;
		scenes?: ServedScenes | undefined;
		fleet?: ServedFleet | undefined;
	}): Promise<AsyncDisposable> {
		const opened: AsyncDisposable[] = [];
		const close = async () => {
			for (const one of opened.reverse()) await one[Symbol.asyncDispose]();
		};
		const keep = <T extends AsyncDisposable>(one: T): T => {
			opened.push(one);
			return one;
		};
		try {
			const oscServer = osc && keep(await this.#serveOsc(osc));
			const surface = midi && keep(await this.#serveMidi(midi));
			if (access) keep(await this.#serveHttp(access, { osc: oscServer, midi: surface, scenes, fleet }));
		} catch (error) {
			await close();
			throw error;
		}
		return { [Symbol.asyncDispose]: close };
	}

	#serveOsc(settings: OscSettings): Promise<OscServer> {
		return startOscServer({
			...settings,
			channels: () => [...this.#channels].map(([name, { controller }]) => ({ name, controller })),
			subscribe: (listener) => this.#subscribe(listener),
			nowUs,
			after: (us, work) => stopping(setTimeout(work, us / 1000)),
		});
	}

	#serveMidi(settings: MidiSettings): Promise<MidiSurface> {
		return startMidi({
			...settings,
			channels: () => [...this.#channels.values()],
			subscribe: (listener) => this.#subscribe(listener),
			nowUs,
			after: (us, work) => stopping(setTimeout(work, us / 1000)),
		});
	}

	#serveHttp(
		access: HttpAccess,
		{
			osc,
			midi,
			scenes,
			fleet,
		}: {
			osc: OscServer | undefined;
			midi: MidiSurface | undefined;
			scenes: ServedScenes | undefined;
			fleet: ServedFleet | undefined;
		},
	): Promise<HttpServer> {
		return startHttpServer({
			...access,
			...(osc && { osc }),
			...(midi && { midi }),
			scenes,
			fleet,
			version: VERSION,
			channels: () => this.#served(),
			subscribe: (listener) => this.#subscribe(listener),
			health: (): Health => ({
				failing: this.standstills(),
				unready: [...this.#channels].flatMap(([name, { problem }]) => {
					const what = problem();
					return what === undefined ? [] : [`${name}: ${what}`];
				}),
			}),
			metrics: () => this.#metrics.text(),
		});
	}

	/** What only a new start helps, a line each. */
	standstills(): string[] {
		return [...this.#channels].flatMap(([name, { standstill }]) => {
			const what = standstill?.();
			return what === undefined ? [] : [`${name}: ${what}`];
		});
	}

	/** Calls back after each change, until what this gives is called. */
	#subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	#tell(): void {
		for (const listener of this.#listeners) listener();
	}

	#served(): ServedChannel[] {
		return [...this.#channels].flatMap(
			([name, { controller, modifiers, preview, thumbnails, view, flicker, report, remote }]) => {
				if (!view || !report) return [];
				const run = () => {
					const reading = flicker?.();
					return { ...view(), ...(reading && { flicker: reading }) };
				};
				return [{ name, controller, modifiers, preview, thumbnails, run, report, remote }];
			},
		);
	}

	#numbers(): ChannelNumbers[] {
		return [...this.#channels].flatMap(([channel, { view, queue, flicker, glassToGlassMs, ndi, remote, problem }]) => {
			if (!view) return [];
			const run = view();
			const [reading, glassToGlass, numbers, elsewhere] = [flicker?.(), glassToGlassMs?.(), ndi?.(), remote?.()];
			return [
				{
					channel,
					frames: {
						in: run.framesIn,
						painted: run.framesOut,
						unpainted: run.framesUnpainted,
						repeated: run.framesRepeated,
						reused: run.framesReused,
						dropped: run.framesDropped,
					},
					engineRestarts: run.engine.restarts,
					...(run.governor && { governorLevel: run.governor.level }),
					fps: run.fps,
					sideStreamMs: run.sideStreamMs,
					mainStreamMs: run.mainStreamMs,
					isReady: problem() === undefined,
					queue: queue?.() ?? { waiting: 0, painting: 0 },
					...(glassToGlass && { glassToGlassMs: glassToGlass }),
					...(reading && { flicker: reading }),
					...(numbers && { ndi: numbers }),
					...(elsewhere && { remote: elsewhere }),
				},
			];
		});
	}
}

/** Of the engine alone: what a channel without an input of its own can say. */
export const engineProblem = (view: (() => RunView) | undefined): string | undefined => {
	const state = view?.().engine.state ?? 'starting';
	return state === 'painting' ? undefined : `engine ${state}`;
};
