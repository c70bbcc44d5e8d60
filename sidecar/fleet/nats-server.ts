import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pair } from '../config/schema/pairing.ts';
import { SidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';
import { reach } from './reach.ts';
import type { ServerIdentity } from './server-identity.ts';

/** The NATS server of a pair, as a child of whoever needs it first. */

/** Where distributions put what only administrators are thought to run, which is not on everybody's PATH. */
const FURTHER_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin'];
const READY_MS = 10_000;
const LOOK_MS = 500;
const RETRY_MS = 5000;
const STOP_MS = 3000;
const KEPT_LINES = 20;

/** nats-server on PATH, or ALLAPRIMA_NATS_SERVER. Errors: ERR_RUNTIME, with how to install it. */
export const findNatsServer = async (environment: Record<string, string | undefined>): Promise<string> => {
	const own = environment['ALLAPRIMA_NATS_SERVER'];
	const folders = [...(environment['PATH'] ?? '').split(delimiter), ...FURTHER_FOLDERS].filter(Boolean);
	const file = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';
	for (const path of own ? [own] : folders.map((folder) => join(folder, file))) if (await isProgram(path)) return path;
	throw new SidecarError(
		'ERR_RUNTIME',
		own
			? `ALLAPRIMA_NATS_SERVER names ${own}, which is no program that can be started.`
			: 'nats-server was not found, through which paired machines talk. Install it, on Debian with: apt-get install nats-server. Or name it in ALLAPRIMA_NATS_SERVER. It is needed on this machine alone, not on the other.',
	);
};

const isProgram = (path: string): Promise<boolean> =>
	access(path, constants.X_OK).then(
		() => true,
		() => false,
	);

/** Writes the files by which the server is known. Errors: ERR_CONFIG. */
export const writeServerIdentity = async (folder: string, { certificate, key }: ServerIdentity): Promise<void> => {
	try {
		await mkdir(folder, { recursive: true, mode: 0o700 });
		await chmod(folder, 0o700);
		await writePrivate(join(folder, 'key.pem'), key);
		await writePrivate(join(folder, 'cert.pem'), certificate);
	} catch (cause) {
		throw cannotWrite(folder, cause);
	}
};

/** Errors: ERR_CONFIG, where it is not there any more. */
export const readServerIdentity = async (folder: string): Promise<ServerIdentity> => {
	const read = (file: string) =>
		readFile(join(folder, file), 'utf8').catch((cause: NodeJS.ErrnoException) => {
			throw new SidecarError(
				'ERR_CONFIG',
				`${join(folder, file)} cannot be read (${cause.code ?? 'unknown error'}), by which the other machine knows this one. Forget the pair (allaprima pair list, allaprima pair forget NAME) and pair again.`,
				{ cause },
			);
		});
	return { certificate: await read('cert.pem'), key: await read('key.pem') };
};

/** A file that was there for others to read stays so unless it is closed. */
const writePrivate = async (path: string, content: string): Promise<void> => {
	await writeFile(path, content, { mode: 0o600 });
	await chmod(path, 0o600);
};

const cannotWrite = (path: string, cause: unknown): SidecarError => {
	const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
	return new SidecarError('ERR_CONFIG', `${path} cannot be written (${code}).`, { cause });
};

/** As nats-server reads it: strings are as in JSON. */
export const natsConfiguration = (folder: string, { port, token }: Pick<Pair, 'port' | 'token'>): string => {
	const path = (file: string) => JSON.stringify(join(folder, file));
	return [
		`listen: "0.0.0.0:${port}"`, // IPv6 as well
		'max_payload: 8MB',
		'max_connections: 64',
		`jetstream { store_dir: ${path('jetstream')}, max_memory_store: 16MB, max_file_store: 256MB }`,
		`tls { cert_file: ${path('cert.pem')}, key_file: ${path('key.pem')}, timeout: 5 }`,
		`authorization { token: ${JSON.stringify(token)}, timeout: 10 }`,
		'',
	].join('\n');
};

/** What to put before a command for it to end when we are killed (util-linux; prctl(2), PR_SET_PDEATHSIG). */
const dyingWithUs = async (): Promise<string[]> => {
	const setpriv = '/usr/bin/setpriv';
	return process.platform === 'linux' && (await isProgram(setpriv)) ? [setpriv, '--pdeathsig', 'TERM'] : [];
};

const running = new Set<ChildProcess>();
process.once('exit', () => {
	for (const child of running) child.kill('SIGTERM');
});

export interface FleetServerSettings {
	/** Of nats-server. */
	program: string;
	/** With cert.pem and key.pem; its configuration and its table of leases go there, too. */
	folder: string;
	pair: Pick<Pair, 'port' | 'token'>;
}

/**
 * Sees to it that a server is at the port for as long as this lives. Where one is there, of another process of this machine, that
 * one serves, and when it ends there is one of ours: whoever of them comes first has it, and nobody has to know.
 */
export class FleetServer implements AsyncDisposable {
	readonly #settings: FleetServerSettings;
	readonly #closing = new AbortController();
	readonly #looking: Promise<void>;
	#child: ChildProcess | undefined;

	/** Resolves once it answers. Errors: ERR_FLEET, with what nats-server said; ERR_CONFIG. */
	static async keep(settings: FleetServerSettings): Promise<FleetServer> {
		const { folder, pair } = settings;
		await writePrivate(join(folder, 'nats.conf'), natsConfiguration(folder, pair)).catch((cause: unknown) => {
			throw cannotWrite(join(folder, 'nats.conf'), cause);
		});
		const server = new FleetServer(settings);
		try {
			if (!(await server.#answers())) await server.#start();
		} catch (error) {
			await server[Symbol.asyncDispose]();
			throw error;
		}
		return server;
	}

	private constructor(settings: FleetServerSettings) {
		this.#settings = settings;
		this.#looking = this.#look();
	}

	/** Of the child; undefined where another process has the server. */
	get pid(): number | undefined {
		return this.#child?.pid;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort();
		await this.#looking;
		const child = this.#child;
		if (!child || hasEnded(child)) return;
		const exited = once(child, 'exit');
		child.kill('SIGTERM');
		const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
		await exited;
		clearTimeout(late);
	}

	async #look(): Promise<void> {
		const { signal } = this.#closing;
		for (;;) {
			await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
			if (signal.aborted) return;
			if (this.#child || (await this.#answers())) continue;
			await this.#start().catch(async (error: unknown) => {
				if (signal.aborted) return;
				log.warn({ error }, 'NATS server not started');
				await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
			});
		}
	}

	async #answers(): Promise<boolean> {
		const { reached } = await reach([{ host: '127.0.0.1', port: this.#settings.pair.port }], LOOK_MS);
		return reached.length > 0;
	}

	/** Errors: ERR_FLEET. */
	async #start(): Promise<void> {
		if (this.#child) return;
		const { program, folder, pair } = this.#settings;
		const [command, ...flags] = [...(await dyingWithUs()), program, '-c', join(folder, 'nats.conf')];
		if (this.#child || this.#closing.signal.aborted) return;
		// In a group of its own: Ctrl-C is for us, who end it after those who need it.
		const child = spawn(command!, flags, {
			stdio: ['ignore', 'ignore', 'pipe'],
			detached: process.platform !== 'win32',
			windowsHide: true,
		});
		this.#child = child;
		running.add(child);
		const lines: string[] = [];
		const ended = new AbortController();
		const end = () => {
			running.delete(child);
			if (this.#child === child) this.#child = undefined;
			ended.abort();
		};
		child.once('exit', end);
		child.once('error', (error) => {
			lines.push(error.message);
			end();
		});
		const isReady = new Promise<boolean>((resolve) => {
			for (const { signal } of [ended, this.#closing]) signal.addEventListener('abort', () => resolve(false));
			const late = setTimeout(() => resolve(false), READY_MS);
			late.unref();
			createInterface({ input: child.stderr! }).on('line', (line) => {
				lines.push(line);
				if (lines.length > KEPT_LINES) lines.shift();
				if (!line.includes('Server is ready')) return;
				clearTimeout(late);
				resolve(true);
			});
		});
		if (await isReady) {
			log.debug({ port: pair.port, pid: child.pid }, 'NATS server started');
			child.once('exit', () => this.#closing.signal.aborted || log.warn({ reason: lines.at(-1) }, 'NATS server ended'));
			return;
		}
		child.kill('SIGKILL');
		throw new SidecarError(
			'ERR_FLEET',
			`nats-server did not start: ${lines.slice(-2).join('; ') || 'it said nothing'}. Is port ${pair.port} free?`,
		);
	}
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;
