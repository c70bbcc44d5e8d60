import { log } from '../telemetry/logger.ts';
import type { Report } from '../telemetry/report.ts';
import type { PreparedChannel } from './relay-channel.ts';

/** Those that were started, by name. */
interface Running {
	prepared: PreparedChannel;
	stop: AbortController;
	ended: Promise<Report | undefined>;
}

/** A channel that could not be made, for its name was taken, say, while others go on. */
const RETRY_MS = 5000;

/** The channels of a relay. What goes wrong in one stays there. */
export class RelayChannels implements AsyncDisposable {
	/** Of those that have ended. */
	readonly reports: Record<string, Report> = {};
	/** Resolves when all have ended by themselves. Errors: whatever the first was lost by, when none is left. */
	readonly over: Promise<void>;
	readonly #run: (channel: PreparedChannel, signal: AbortSignal) => Promise<Report | undefined>;
	readonly #retryMs: number;
	readonly #running = new Map<string, Running>();
	#wanted = new Map<string, PreparedChannel>();
	#failure: { error: unknown } | undefined;
	#isEnding = false;
	#settleOver!: { resolve: () => void; reject: (error: unknown) => void };

	/** `run` paints one channel until it ends or the signal aborts. */
	constructor(
		run: (channel: PreparedChannel, signal: AbortSignal) => Promise<Report | undefined>,
		{ retryMs = RETRY_MS }: { retryMs?: number } = {},
	) {
		this.#run = run;
		this.#retryMs = retryMs;
		this.over = new Promise((resolve, reject) => (this.#settleOver = { resolve, reject }));
		this.over.catch(() => {}); // nobody may be waiting for it yet
	}

	get names(): string[] {
		return [...this.#running.keys()];
	}

	/** Starts, ends and starts anew what differs from before; the others don't notice. */
	async apply(channels: readonly PreparedChannel[]): Promise<void> {
		this.#wanted = new Map(channels.map((channel) => [channel.name, channel]));
		for (const [name, { prepared, stop, ended }] of this.#running) {
			const now = this.#wanted.get(name);
			if (now && fingerprint(now) === fingerprint(prepared)) continue;
			stop.abort();
			await ended.catch(() => {});
		}
		for (const name of this.#wanted.keys()) this.#start(name);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isEnding = true;
		await this.apply([]);
	}

	#start(name: string): void {
		const prepared = this.#wanted.get(name);
		if (!prepared || this.#running.has(name) || this.#isEnding) return;
		const stop = new AbortController();
		const ended = this.#run(prepared, stop.signal);
		this.#running.set(name, { prepared, stop, ended });
		ended.then(
			(report) => {
				if (report) this.reports[name] = report;
				this.#running.delete(name);
				if (this.#running.size === 0 && !stop.signal.aborted) this.#settleOver.resolve();
			},
			(error: unknown) => {
				this.#running.delete(name);
				this.#onLost(name, error, stop.signal.aborted);
			},
		);
	}

	#onLost(name: string, error: unknown, wasStopped: boolean): void {
		if (wasStopped) return log.warn({ channel: name, error }, 'channel ended badly');
		this.#failure ??= { error };
		if (this.#running.size === 0) return this.#settleOver.reject(this.#failure.error);
		log.error({ channel: name, error, retryMs: this.#retryMs }, 'channel lost');
		setTimeout(() => this.#start(name), this.#retryMs).unref();
	}
}

/** What a channel was started with; another one means another channel. */
const fingerprint = ({ name, input, configuration }: PreparedChannel): string =>
	JSON.stringify([name, input, { ...configuration, ndi: { ...configuration.ndi, channels: [] } }]);
