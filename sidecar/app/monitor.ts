import { readFileSync } from 'node:fs';
import type { HttpAccess } from '../config/http-access.ts';
import type { Controller } from '../control/controller.ts';
import type { Health, PreviewFeed, RunReport, RunView, ServedChannel } from '../control/http/served.ts';
import { startHttpServer, type HttpServer } from '../control/http/server.ts';
import { Metrics, type ChannelNumbers } from '../telemetry/metrics.ts';
import { describeCommit } from '../telemetry/provenance.ts';
import type { TimesObserver } from '../telemetry/report.ts';

export const { version: VERSION } = JSON.parse(
	readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };

/** A channel as those see it who look on. What is absent is not there yet. */
export interface MonitoredChannel {
	readonly controller: Controller;
	preview?: PreviewFeed;
	view?: () => RunView;
	report?: () => RunReport;
	queue?: () => ChannelNumbers['queue'];
	flicker?: () => ChannelNumbers['flicker'];
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

	/** The page and the API. Errors: ERR_CONFIG where the port cannot be had. */
	serve(access: HttpAccess): Promise<HttpServer> {
		return startHttpServer({
			...access,
			version: VERSION,
			channels: () => this.#served(),
			subscribe: (listener) => {
				this.#listeners.add(listener);
				return () => void this.#listeners.delete(listener);
			},
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

	#tell(): void {
		for (const listener of this.#listeners) listener();
	}

	#served(): ServedChannel[] {
		return [...this.#channels].flatMap(([name, { controller, preview, view, report }]) =>
			view && report ? [{ name, controller, preview, run: view, report }] : [],
		);
	}

	#numbers(): ChannelNumbers[] {
		return [...this.#channels].flatMap(([channel, { view, queue, flicker, glassToGlassMs, ndi, problem }]) => {
			if (!view) return [];
			const run = view();
			const [reading, glassToGlass, numbers] = [flicker?.(), glassToGlassMs?.(), ndi?.()];
			return [
				{
					channel,
					frames: {
						in: run.framesIn,
						painted: run.framesOut,
						unpainted: run.framesUnpainted,
						repeated: run.framesRepeated,
						dropped: run.framesDropped,
					},
					engineRestarts: run.engine.restarts,
					fps: run.fps,
					sideStreamMs: run.sideStreamMs,
					mainStreamMs: run.mainStreamMs,
					isReady: problem() === undefined,
					queue: queue?.() ?? { waiting: 0, painting: 0 },
					...(glassToGlass && { glassToGlassMs: glassToGlass }),
					...(reading && { flicker: reading }),
					...(numbers && { ndi: numbers }),
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
