import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { FleetStatus } from '../../sidecar/config/schema.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import { pictureByteLength, rgbLayout, type StyledFrame } from '../../sidecar/frame/frame.ts';
import type { Parameters } from '../../sidecar/parameters.ts';
import { until } from './engines.ts';
import { parametersOf } from './frames.ts';

/** The built fleet, with workers that are processes of their own, and the sidecar's end of it in the test. */

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const { FleetEngines } = (await import(
	dist('fleet/fleet-engines.js')
)) as typeof import('../../sidecar/fleet/fleet-engines.ts');
const { NatsBus } = (await import(dist('fleet/nats.js'))) as typeof import('../../sidecar/fleet/nats.ts');
const { SupervisedEngine } = (await import(
	dist('engine/supervised-engine.js')
)) as typeof import('../../sidecar/engine/supervised-engine.ts');
const { FrameRing } = (await import(dist('frame/ring.js'))) as typeof import('../../sidecar/frame/ring.ts');
const { nowUs } = (await import(dist('frame/clock.js'))) as typeof import('../../sidecar/frame/clock.ts');
const { loadNative } = (await import(dist('native.js'))) as typeof import('../../sidecar/native.ts');
const { setLog } = (await import(dist('telemetry/logger.js'))) as typeof import('../../sidecar/telemetry/logger.ts');
setLog({ level: (process.env['FLEET_LOG'] as 'info' | undefined) ?? 'silent' });

export { NatsBus };

export const PAINTED = { width: 64, height: 64 };
/** Of a fleet that has no model to look into. */
const FOLDER = {
	path: '',
	manifest: { name: 'lite', graphs: {}, textEncoder: { tokenizerSha256: 'a'.repeat(64) } },
} as ModelFolder;

const script = fileURLToPath(new URL('./echo-worker.process.mjs', import.meta.url));

interface Resumed {
	epoch: number;
	source: number;
	painting: number;
	embedded: [prompt: string | null, data: number[]][];
}

/** A worker whose paintings are negatives, with its mark below. */
export class EchoWorker implements AsyncDisposable {
	readonly process: ChildProcess;
	readonly name: string;
	readonly mark: number;
	readonly resumed: Resumed[] = [];
	isDrained = false;
	/** Engines that were ended for being stuck. */
	killed = 0;
	#status: ((status: FleetStatus) => void) | undefined;

	static async start(url: string, name: string, mark: number, more: object = {}): Promise<EchoWorker> {
		const worker = new EchoWorker(url, name, mark, more);
		await worker.#opened;
		return worker;
	}

	#opened: Promise<unknown>;

	private constructor(url: string, name: string, mark: number, more: object) {
		this.name = name;
		this.mark = mark;
		this.process = fork(script, [JSON.stringify({ url, name, mark, ...more })], {
			stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
			serialization: 'advanced',
		});
		this.#opened = new Promise((resolve, reject) => {
			this.process.once('exit', () => reject(new Error('the worker ended before it was open')));
			this.process.on('message', (message: { type: string; status: FleetStatus } & Resumed) => {
				if (message.type === 'open') resolve(undefined);
				else if (message.type === 'drained') this.isDrained = true;
				else if (message.type === 'killed') this.killed++;
				else if (message.type === 'resumed') this.resumed.push(message);
				else this.#status?.(message.status);
			});
		});
	}

	async status(): Promise<FleetStatus> {
		const answer = new Promise<FleetStatus>((resolve) => (this.#status = resolve));
		this.process.send({ type: 'status' });
		return await answer;
	}

	tell(message: object): void {
		this.process.send(message);
	}

	/** As a crash or a power cut does it. */
	async kill(): Promise<void> {
		if (this.process.exitCode !== null || this.process.signalCode !== null) return;
		const exited = once(this.process, 'exit');
		this.process.kill('SIGKILL');
		await exited;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
	}
}

export const openFleet = async (url: string, { deadlineMs = 300, access = {} } = {}) => {
	const bus = await NatsBus.connect({ url, server: url.replace('nats://', ''), ...access });
	const leases = await bus.leases();
	const engines = new FleetEngines({ bus, leases, native: loadNative(), url, deadlineMs, nowUs, random: Math.random });
	return { bus, leases, engines, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
};

/** What left a stream. */
export interface Shown {
	sequence: number;
	kind: StyledFrame['kind'];
	epoch: number;
	/** Of the first pixel of the frame and of its painting. */
	source: number;
	level: number;
	/** Which worker painted it. */
	mark: number;
	atUs: number;
	ageUs: number;
}

/** The grey level of a frame; a painting has 255 less that. */
export const levelOf = (sequence: number): number => 20 + (sequence % 200);

/** NV12 at full range keeps a grey but for rounding. */
export const near = (level: number, expected: number) => Math.abs(level - expected) <= 2;

/** Each painting is of its own frame, no frame comes twice or after a later one. */
export const expectWhole = (shown: readonly Shown[]) => {
	for (const { kind, sequence, source, level } of shown) {
		expect(source).toBe(levelOf(sequence));
		expect(near(level, kind === 'painting' ? 255 - levelOf(sequence) : levelOf(sequence))).toBe(true);
	}
	const sequences = shown.map(({ sequence }) => sequence);
	expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
};

/** The marks of the workers in the order in which they painted; one that comes back is there twice. */
export const painters = (shown: readonly Shown[], workers: readonly EchoWorker[]): (string | undefined)[] => {
	const marks = shown
		.filter(({ kind }) => kind === 'painting')
		.map((frame) => workers.find(({ mark }) => near(frame.mark, mark))?.name);
	return marks.filter((mark, i) => mark !== marks[i - 1]);
};

/** The one that paints now. */
export const painterOf = (shown: readonly Shown[], workers: readonly EchoWorker[]): EchoWorker => {
	const name = painters(shown, workers).at(-1);
	return workers.find((worker) => worker.name === name)!;
};

/** Frames of one grey each at a steady rate, painted by a supervised engine of the fleet. */
export const openStream = (
	fleet: Awaited<ReturnType<typeof openFleet>>,
	{ fps = 40, painted = PAINTED, keepsAll = false, frames = Infinity, folder = FOLDER, stuckAfterUs = 5_000_000 } = {},
) => {
	const layout = rgbLayout(painted);
	const ring = new FrameRing({
		slotCount: 8,
		slotBytes: pictureByteLength(layout),
		mode: keepsAll ? 'wait' : 'newest-wins',
		waitingMax: 1,
	});
	let parameters: Parameters = parametersOf();
	const timers = new Set<NodeJS.Timeout>();
	const timer = (made: NodeJS.Timeout) => (timers.add(made), () => (clearTimeout(made), void timers.delete(made)));
	const engine = new SupervisedEngine({
		start: (listener, how) =>
			fleet.engines.start(
				{
					folder,
					provider: 'cpu',
					precision: 'fp32',
					painted,
					fit: 'stretch',
					batchDeadlineMs: keepsAll ? Infinity : 100,
					parameters: how.parameters,
					logLevel: 'silent',
					frameBytes: pictureByteLength(layout),
					inFlightMax: 4,
					stream: ring,
				},
				listener,
			),
		hasFallback: false,
		ring,
		parametersNow: () => parameters,
		batchSize: 1,
		keepsAll,
		limits: { staleAfterUs: 1_000_000, stuckAfterUs },
		observer: { stage: () => {}, batch: () => {} },
		nowUs,
		every: (us, work) => timer(setInterval(work, us / 1000)),
		after: (us, work) => timer(setTimeout(work, us / 1000)),
	});
	const stop = new AbortController();
	const shown: Shown[] = [];
	const offering = (async () => {
		for (let sequence = 0; sequence < frames && !stop.signal.aborted; sequence++) {
			const slot = await ring.acquire(stop.signal);
			if (slot === undefined) return;
			ring.bytes(slot).fill(levelOf(sequence));
			const timestampUs = Math.round((1e6 * sequence) / fps);
			ring.offer({ sequence, slot, capturedUs: nowUs(), timestampUs, durationUs: 0, layout });
			if (!keepsAll) await new Promise((resolve) => setTimeout(resolve, 1000 / fps));
		}
		ring.close();
	})();
	let error: unknown;
	const painting = (async () => {
		try {
			for await (const { sequence, kind, epoch, source, picture, capturedUs } of engine.paint(
				ring.frames(stop.signal),
			)) {
				const atUs = nowUs();
				const [level, mark] = [picture.data[0]!, picture.data.at(-1)!];
				shown.push({ sequence, kind, epoch, source: source.data[0]!, level, mark, atUs, ageUs: atUs - capturedUs });
			}
		} catch (reason) {
			error = reason;
		}
	})();
	const paintings = () => shown.filter(({ kind }) => kind === 'painting');
	return {
		engine,
		shown,
		remote: () => fleet.engines.remote(ring)!,
		paintings,
		error: () => error as { code: string; message: string } | undefined,
		change: (to: Parameters) => (parameters = to),
		/** So many more paintings from now on. */
		paints: async (more = 5) => {
			const before = paintings().length;
			await until(() => error !== undefined || paintings().length >= before + more);
			if (error !== undefined) throw error;
		},
		over: () => painting,
		[Symbol.asyncDispose]: async () => {
			stop.abort();
			ring.close();
			await engine[Symbol.asyncDispose]();
			for (const made of timers) clearTimeout(made);
			await offering; // frames that were in the engine are never answered
		},
	};
};
