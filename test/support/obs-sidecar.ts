import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Obs, OBS_PASSWORD } from './obs.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** The real sidecar, painting the filters of one OBS and joined to its obs-websocket. */
export class ObsSidecar implements AsyncDisposable {
	readonly #obs: Obs;
	readonly #process: ChildProcess;

	private constructor(obs: Obs, process: ChildProcess) {
		this.#obs = obs;
		this.#process = process;
	}

	/** With a configuration beside what every one has; the log goes to `sidecar.log` in the folder of OBS. */
	static start(
		obs: Obs,
		configuration: { obs?: object } & Record<string, unknown> = {},
		environment: Record<string, string> = {},
	): ObsSidecar {
		const path = join(obs.folder, 'allaprima.json');
		writeFileSync(
			path,
			JSON.stringify({
				source: 'obs',
				provider: 'cpu',
				http: 'off',
				...configuration,
				obs: { websocket: { url: obs.websocketUrl }, ...configuration.obs },
			}),
		);
		const log = openSync(join(obs.folder, 'sidecar.log'), 'a');
		return new ObsSidecar(
			obs,
			spawn(process.execPath, [cli, 'run', '--config', path], {
				stdio: ['ignore', log, log],
				env: {
					...process.env,
					HOME: obs.folder,
					XDG_RUNTIME_DIR: obs.runtimeFolder,
					ALLAPRIMA_OBS_PASSWORD: OBS_PASSWORD,
					...environment,
				},
			}),
		);
	}

	get pid(): number {
		return this.#process.pid!;
	}

	get isRunning(): boolean {
		return this.#process.exitCode === null && this.#process.signalCode === null;
	}

	/** Resolves when a filter has shown this many paintings of an engine that says that it paints. */
	async paints(stream: string, count = 30): Promise<void> {
		let before: number | undefined;
		const isThere = async () => {
			if (this.#process.exitCode !== null)
				throw new Error(`the sidecar ended:\n${readFileSync(join(this.#obs.folder, 'sidecar.log'), 'utf8')}`);
			const { engine, shown, framesShown } = await this.#obs.stream(stream);
			// An engine that starts lets the source through, which counts as shown.
			before = engine === 'painting' && shown === 'painting' ? (before ?? framesShown) : undefined;
			return before !== undefined && framesShown >= before + count;
		};
		for (const end = Date.now() + 60_000; !(await isThere()); await sleep(50))
			if (Date.now() > end) throw new Error(`${count} paintings of ${stream} did not come`);
	}

	/** As a user ends it, or as a crash does; gives the exit code. */
	async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
		if (this.isRunning) {
			const exited = once(this.#process, 'exit');
			this.#process.kill(signal);
			await exited;
		}
		return this.#process.exitCode;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
	}
}
