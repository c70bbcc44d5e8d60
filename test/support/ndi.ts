import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { NdiRelayOptions, NdiRelayState } from '../../sidecar/ndi.ts';

/**
 * Sources, relays and viewers, each a process, over the real libndi in a network of their own: nobody else is found there,
 * and nobody else finds them.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Fetched by scripts/setup --tests; never a part of the project. */
export const NDI_RUNTIME = join(root, 'test/.ndi/package');

/**
 * Where sources are, in the order in which their processes started. They are not looked for: without mDNS a finder asks
 * port 5960, which the processes of a machine share, and each of them knows its own sources alone.
 */
export const FIRST = '127.0.0.1:5961';
export const SECOND = '127.0.0.1:5962';

export const isRuntimeThere = (): boolean => existsSync(join(NDI_RUNTIME, 'libndi.so.6'));

/** ndi-peer.cpp as a program, compiled once for the tests of a process. */
let peer: Promise<string> | undefined;
const compilePeer = async (): Promise<string> => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-ndi-'));
	process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
	const program = join(folder, 'ndi-peer');
	const sources = ['test/support/ndi-peer.cpp', 'native/src/ndi/runtime.cpp'];
	const flags = ['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', '-Inative/src'];
	await promisify(execFile)('g++', [...flags, ...sources, '-o', program, '-ldl', '-pthread'], { cwd: root });
	return program;
};

/** What a viewer says of a frame. */
export interface SeenFrame {
	/** The number on the even lines, and that on the odd ones. */
	n: number;
	other: number;
	timecode: bigint;
	arrivedUs: number;
	/** 0 interleaved, 1 progressive, 2 and 3 the fields. */
	format: number;
	width: number;
	height: number;
	rate: string;
	/** In the middle: 180 of the source, 102 of the painter, 25 of the slate. */
	luma: number;
	/** The most that its alpha is off, -1 where it has none; and alpha at the right end, where the source has next to none. */
	alphaOff: number;
	alphaLeast: number;
	/** The number in the frame's metadata, which survives what a painting does to the picture. */
	noted: number | undefined;
}

export interface SeenSound {
	timecode: bigint;
	arrivedUs: number;
	samples: number;
}

/** A process that talks in lines. */
class Peer implements AsyncDisposable {
	readonly process: ChildProcess;
	readonly lines: string[] = [];
	#said: (() => void)[] = [];

	constructor(process: ChildProcess) {
		this.process = process;
		createInterface({ input: process.stdout! }).on('line', (line) => {
			this.lines.push(line);
			for (const tell of this.#said.splice(0)) tell();
		});
		process.once('exit', () => {
			for (const tell of this.#said.splice(0)) tell();
		});
	}

	/** Waits until `isThere` of the lines. */
	async until<Found>(find: (lines: string[]) => Found | undefined, what: string, timeoutMs = 20_000): Promise<Found> {
		const end = Date.now() + timeoutMs;
		for (;;) {
			const found = find(this.lines);
			if (found !== undefined) return found;
			if (Date.now() > end)
				throw new Error(`${what} did not come; the last lines: ${this.lines.slice(-5).join(' | ')}`);
			await new Promise<void>((tell) => {
				const timer = setTimeout(tell, 200);
				this.#said.push(() => (clearTimeout(timer), tell()));
			});
		}
	}

	untilLine(start: string, timeoutMs?: number): Promise<string> {
		return this.until((lines) => lines.find((line) => line.startsWith(start)), `"${start}"`, timeoutMs);
	}

	kill(signal: NodeJS.Signals = 'SIGKILL'): void {
		this.process.kill(signal);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.process.exitCode !== null || this.process.signalCode !== null) return;
		const gone = once(this.process, 'exit');
		this.process.stdin?.end();
		const timer = setTimeout(() => this.kill(), 5000);
		await gone;
		clearTimeout(timer);
	}
}

export class Viewer extends Peer {
	get frames(): SeenFrame[] {
		return this.#rows('frame').map(
			([n, other, timecode, arrivedUs, format, width, height, rate, luma, off, least, ...note]) => ({
				n: Number(n),
				other: Number(other),
				timecode: BigInt(timecode!),
				arrivedUs: Number(arrivedUs),
				format: Number(format),
				width: Number(width),
				height: Number(height),
				rate: rate!,
				luma: Number(luma),
				alphaOff: Number(off),
				alphaLeast: Number(least),
				noted: /n="(\d+)"/.test(note.join(' ')) ? Number(/n="(\d+)"/.exec(note.join(' '))![1]) : undefined,
			}),
		);
	}

	get sounds(): SeenSound[] {
		return this.#rows('sound').map(([timecode, arrivedUs, samples]) => ({
			timecode: BigInt(timecode!),
			arrivedUs: Number(arrivedUs),
			samples: Number(samples),
		}));
	}

	/** Waits until so many more frames have come, and gives those. */
	async more(count: number, timeoutMs = 30_000): Promise<SeenFrame[]> {
		const before = this.#rows('frame').length;
		const isThere = (lines: string[]) =>
			lines.filter((line) => line.startsWith('frame ')).length >= before + count || undefined;
		await this.until(isThere, `${count} frames more`, timeoutMs);
		return this.frames.slice(before, before + count);
	}

	/** Waits for a frame that is so, among those to come. */
	async one(isIt: (frame: SeenFrame) => boolean, what: string, timeoutMs = 20_000): Promise<SeenFrame> {
		const before = this.#rows('frame').length;
		return this.until(() => this.frames.slice(before).find(isIt), what, timeoutMs);
	}

	#rows(kind: string): string[][] {
		return this.lines.filter((line) => line.startsWith(`${kind} `)).map((line) => line.split(' ').slice(1));
	}
}

export class Relay extends Peer {
	#answers = 1; // the first line says that it is ready

	/** Calls a method of the relay, or blocks its event loop first. */
	async call(message: { call?: string; args?: unknown[]; blockMs?: number }): Promise<unknown> {
		const index = this.#answers++;
		this.process.stdin!.write(`${JSON.stringify(message)}\n`);
		return JSON.parse(await this.until((lines) => lines[index], 'an answer'));
	}

	state(): Promise<NdiRelayState> {
		return this.call({ call: 'state' }) as Promise<NdiRelayState>;
	}
}

type RelaySettings = Partial<Omit<NdiRelayOptions, 'slate'>> & { paintMs?: number };

/** Without TIME-WAIT: the port of a source that was killed is free for the next at once, and not a minute later. */
const OPEN_NETWORK = `
echo 0 > /proc/sys/net/ipv4/tcp_max_tw_buckets
ip link set lo up && echo up && exec sleep infinity`;

/** A network with nothing in it. */
export const openNdiNetwork = async () => {
	const program = await (peer ??= compilePeer());
	const holder = spawn('unshare', ['-rn', 'sh', '-c', OPEN_NETWORK], { stdio: ['ignore', 'pipe', 'inherit'] });
	await once(holder.stdout, 'data');
	const env = { ...process.env, NDI_RUNTIME_DIR_V6: NDI_RUNTIME };
	const peers: Peer[] = [];
	const start = <Kind extends Peer>(Type: new (process: ChildProcess) => Kind, ...command: string[]): Kind => {
		const inside = ['-t', String(holder.pid), '-U', '-n', '--preserve-credentials', '--', ...command];
		const started = new Type(spawn('nsenter', inside, { stdio: ['pipe', 'pipe', 'inherit'], cwd: root, env }));
		peers.push(started);
		return started;
	};
	const words = (settings: Record<string, string | number>) =>
		Object.entries(settings).map(([key, value]) => `${key}=${value}`);
	return {
		run: (...command: string[]) => start(Peer, ...command),
		/** The first to start here is at FIRST, the second at SECOND. */
		async source(name: string, settings: Record<string, string | number> = {}): Promise<Peer> {
			const source = start(Peer, program, 'source', name, ...words(settings));
			await source.untilLine('up');
			return source;
		},
		async viewer(url: string, settings: Record<string, string | number> = {}): Promise<Viewer> {
			const viewer = start(Viewer, program, 'viewer', url, ...words(settings));
			await viewer.untilLine('up');
			return viewer;
		},
		/** From FIRST, passing through after half a second, unless told. */
		async relay(settings: RelaySettings = {}): Promise<Relay> {
			const options = {
				input: { url: FIRST },
				output: { name: 'OUT', failover: false },
				painted: { width: 320, height: 180 }, // by its painter
				fit: 'stretch',
				failure: 'passthrough',
				holdMs: 'forever',
				afterHold: 'slate',
				staleAfterMs: 500,
				delayMs: 'auto',
				onlyWhenWatched: false,
				alpha: true,
				...settings,
			};
			const relay = start(Relay, process.execPath, 'test/support/ndi-relay.process.mjs', JSON.stringify(options));
			await relay.untilLine('"ready"');
			return relay;
		},
		async [Symbol.asyncDispose]() {
			for (const one of peers.reverse()) await one[Symbol.asyncDispose]();
			holder.kill('SIGKILL');
		},
	};
};
