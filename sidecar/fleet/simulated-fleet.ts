import { place, type TimedBid } from './placement.ts';

/**
 * A fleet in virtual time, for sizes that nobody has in a room: the real placement over workers that take set times. A
 * worker opens one line after the other, a sidecar places one stream after the other, as the real ones do.
 */

export interface SimulatedFleet {
	/** Streams, each 512x288 at `fps`, dealt to sidecars of `streamsPerSidecar`. */
	streams: number;
	streamsPerSidecar: number;
	fps: number;
	/** Of each worker: streams of that size and rate that it paints in time. */
	capacities: readonly number[];
	linesMax: number;
	/** Measured: from asking for bids to having them, and opening a line at a worker that has the model loaded. */
	bidsMs: number;
	openMs: number;
	/** The sidecar takes an engine for dead when NATS says so, which is at the next frame. */
	noticeMs: number;
	random: () => number;
}

export interface FleetOutcome {
	/** From the event until a stream is painted again (a failure) or by another (a drain), over those that had to move. */
	moved: number;
	backMs: { p50: number; p95: number; max: number };
	/** Streams that nobody takes. */
	homeless: number;
	/** Load of the fullest worker over its capacity, and the rate of the slowest stream over its own. */
	fullest: number;
	slowestShare: number;
}

interface Worker {
	capacity: number;
	lines: number;
	/** When it has opened what it was asked to open so far. */
	freeMs: number;
	isThere: boolean;
}

const SIZE = 512 * 288;

export class FleetSimulation {
	readonly #fleet: SimulatedFleet;
	readonly #workers: Worker[];
	/** The worker of each stream; undefined where nobody took it. */
	readonly #streams: (Worker | undefined)[];

	/** With all streams placed. */
	constructor(fleet: SimulatedFleet) {
		this.#fleet = fleet;
		this.#workers = fleet.capacities.map((capacity) => ({ capacity, lines: 0, freeMs: 0, isThere: true }));
		this.#streams = Array.from({ length: fleet.streams }, () => undefined);
		this.#move([...this.#streams.keys()], 0);
		for (const worker of this.#workers) worker.freeMs = 0;
	}

	/** These workers are gone, all in one moment. */
	kill(indices: readonly number[]): FleetOutcome {
		return this.#lose(indices, this.#fleet.noticeMs);
	}

	/** This worker is emptied. */
	drain(index: number): FleetOutcome {
		return this.#lose([index], 0);
	}

	/** How it stands. */
	get outcome(): Pick<FleetOutcome, 'homeless' | 'fullest' | 'slowestShare'> {
		const loads = this.#workers.filter(({ isThere }) => isThere).map(({ lines, capacity }) => lines / capacity);
		const fullest = Math.max(0, ...loads);
		return {
			homeless: this.#streams.filter((worker) => worker === undefined).length,
			fullest,
			slowestShare: Math.min(1, 1 / fullest),
		};
	}

	#lose(indices: readonly number[], noticeMs: number): FleetOutcome {
		const lost = indices.map((index) => this.#workers[index]!);
		for (const worker of lost) {
			worker.isThere = false;
			worker.lines = 0;
		}
		const moving = [...this.#streams.keys()].filter((stream) => {
			const worker = this.#streams[stream];
			return worker !== undefined && lost.includes(worker);
		});
		for (const stream of moving) this.#streams[stream] = undefined;
		const backMs = this.#move(moving, noticeMs).sort((a, b) => a - b);
		const at = (share: number) => backMs[Math.min(backMs.length - 1, Math.floor(share * backMs.length))] ?? 0;
		return {
			moved: moving.length,
			backMs: { p50: at(0.5), p95: at(0.95), max: at(1) },
			...this.outcome,
		};
	}

	/** When each of these streams is painted. Sidecars go on beside each other, each with one stream at a time. */
	#move(streams: readonly number[], startMs: number): number[] {
		const { streamsPerSidecar, bidsMs, openMs } = this.#fleet;
		const queues = new Map<number, number[]>();
		for (const stream of streams) {
			const sidecar = Math.floor(stream / streamsPerSidecar);
			queues.set(sidecar, [...(queues.get(sidecar) ?? []), stream]);
		}
		const sidecars = [...queues.values()].map((queue) => ({ queue, nowMs: startMs }));
		const paintedMs: number[] = [];
		for (;;) {
			const next = sidecars
				.filter(({ queue }) => queue.length > 0)
				.reduce<(typeof sidecars)[number] | undefined>((a, b) => (a && a.nowMs <= b.nowMs ? a : b), undefined);
			if (!next) return paintedMs;
			const stream = next.queue.shift()!;
			next.nowMs += bidsMs;
			const worker = this.#chosen();
			if (!worker) continue;
			worker.lines++;
			worker.freeMs = Math.max(worker.freeMs, next.nowMs) + openMs;
			this.#streams[stream] = worker;
			paintedMs.push(worker.freeMs);
		}
	}

	#chosen(): Worker | undefined {
		const { fps, linesMax, random, bidsMs } = this.#fleet;
		const bids = this.#workers.flatMap(({ capacity, lines, isThere }, index): TimedBid[] =>
			isThere
				? [
						{
							protocol: 3,
							worker: `${index}`,
							host: '',
							capacity: capacity * fps * SIZE,
							load: lines * fps * SIZE,
							lines,
							linesMax,
							answerMs: bidsMs,
						},
					]
				: [],
		);
		const [first] = place(bids, SIZE, random);
		return first && this.#workers[Number(first.worker)];
	}
}

/** Bits a second into the NATS server, and as many out of it: each frame and each painting, NV12. */
export const serverBitsPerSecond = ({ streams, fps }: Pick<SimulatedFleet, 'streams' | 'fps'>): number =>
	streams * fps * SIZE * 1.5 * 8 * 2;
