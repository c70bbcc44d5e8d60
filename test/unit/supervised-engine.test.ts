import { describe, expect, it } from 'vitest';
import type { LineState } from '../../sidecar/engine/engine.ts';
import type { EngineHandle, EngineListener } from '../../sidecar/engine/engine-process.ts';
import { SupervisedEngine, type SupervisedEngineSettings } from '../../sidecar/engine/supervised-engine.ts';
import { SidecarError } from '../../sidecar/errors.ts';
import { rgbLayout, type Frame, type Mask, type Size, type StyledFrame } from '../../sidecar/frame/frame.ts';
import type { Parameters } from '../../sidecar/parameters.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { frameOf, parametersOf } from '../support/frames.ts';

setLog({ level: 'silent' });

type StartArguments = globalThis.Parameters<SupervisedEngineSettings['start']>;

const DEVICE = { name: 'a GPU', driver: 'a driver', memoryBytes: 2 ** 30, isSoftware: false };

/** An engine that does what the test says. */
class PuppetEngine implements EngineHandle {
	readonly pid = 1;
	readonly sent: { frame: Frame; parameters: Parameters }[] = [];
	readonly listener: EngineListener;
	readonly provider: string | undefined;
	readonly int8Graphs: readonly string[] | undefined;
	readonly parameters: Parameters;
	/** What it was told to go on from, and after how many frames. */
	readonly resumed: { state: LineState; after: number }[] = [];
	takenCount = 0;
	isEnded = false;
	isStopped = false;

	readonly painted: Size | undefined;
	readonly isFallback: boolean;

	constructor(...[listener, { parameters, provider, int8Graphs, painted, isFallback }]: StartArguments) {
		this.listener = listener;
		this.parameters = parameters;
		this.provider = provider;
		this.int8Graphs = int8Graphs;
		this.painted = painted;
		this.isFallback = isFallback;
	}

	send(frame: Frame, _: Uint8Array, parameters: Parameters): void {
		this.sent.push({ frame, parameters });
	}

	resume(state: LineState): void {
		this.resumed.push({ state, after: this.sent.length });
	}

	end(): void {
		this.isEnded = true;
	}

	taken(): void {
		this.takenCount++;
	}

	async stop(): Promise<void> {
		this.isStopped = true;
	}

	async kill(): Promise<void> {
		this.isStopped = true;
	}

	/** Loads, and asks for so many frames. */
	ready(pulls: number): void {
		this.listener.ready({ provider: 'cpu', device: DEVICE, refused: [], int8Graphs: ['unet'] });
		for (let i = 0; i < pulls; i++) this.listener.pull();
	}

	/** Gives a frame back, and asks for one more. */
	answer(sequence: number, { kind = 'painting', epoch = 0, isReused = false }: Partial<StyledFrame> = {}): void {
		const picture = { ...rgbLayout({ width: 32, height: 32 }), data: new Uint8Array(3 * 32 * 32).fill(sequence) };
		const { capturedUs, timestampUs, durationUs } = frameOf(sequence);
		this.listener.answer(
			{ sequence, capturedUs, timestampUs, durationUs, epoch, kind, isReused },
			kind === 'painting' ? { source: picture, picture } : undefined,
			{ stages: [], batches: [] },
		);
		this.listener.pull();
	}

	die(error = new SidecarError('ERR_ENGINE', 'it died')): void {
		this.listener.gone(error);
	}
}

const settle = async () => {
	for (let i = 0; i < 20; i++) await Promise.resolve();
};

/** `stall` holds up whoever takes the frames. */
const open = ({
	keepsAll = false,
	batchSize = 1,
	movesBuffer = false,
	hasFallback = false,
	stall = Promise.resolve(),
}: Partial<SupervisedEngineSettings> & { stall?: Promise<void> } = {}) => {
	const engines: PuppetEngine[] = [];
	const released: number[] = [];
	const shown: StyledFrame[] = [];
	const offered: Frame[] = [];
	const timers: { dueUs: number; work: () => void }[] = [];
	let clockUs = 0;
	let check = () => {};
	let wake = () => {};
	let isEnded = false;
	let parameters = parametersOf({ batchSize });
	const supervised = new SupervisedEngine({
		start: (...settings) => {
			const engine = new PuppetEngine(...settings);
			engines.push(engine);
			return engine;
		},
		ring: {
			bytes: (slot) => new Uint8Array(3 * 32 * 32).fill(slot),
			release: ({ sequence }) => void released.push(sequence),
		},
		parametersNow: () => parameters,
		keepsSource: true,
		batchSize,
		movesBuffer,
		keepsAll,
		hasFallback,
		limits: { staleAfterUs: 1_000_000, stuckAfterUs: 5_000_000 },
		observer: { stage: () => {}, batch: () => {} },
		nowUs: () => clockUs,
		every: (_, work) => ((check = work), () => (check = () => {})),
		after: (us, work) => (timers.push({ dueUs: clockUs + us, work }), () => {}),
	});
	async function* source() {
		for (;;) {
			while (offered.length === 0 && !isEnded) await new Promise<void>((resolve) => (wake = resolve));
			const frame = offered.shift();
			if (!frame) return;
			yield frame;
		}
	}
	const finished = (async () => {
		for await (const frame of supervised.paint(source())) {
			await stall;
			shown.push(frame);
		}
	})();
	finished.catch(() => {});
	return {
		supervised,
		engines,
		released,
		shown,
		finished,
		/** Sequence and kind of what came out. */
		kinds: () => shown.map(({ sequence, kind }) => `${sequence} ${kind}`),
		offer: async (...frames: (number | Frame)[]) => {
			offered.push(...frames.map((frame) => (typeof frame === 'number' ? frameOf(frame) : frame)));
			wake();
			await settle();
		},
		endSource: async () => {
			isEnded = true;
			wake();
			await settle();
		},
		waiting: () => offered.length,
		setParameters: (next: Parameters) => void (parameters = next),
		/** Time passes, with a check every 10 ms. */
		pass: async (ms: number) => {
			for (let i = 0; i < ms / 10; i++) {
				clockUs += 10_000;
				for (const timer of timers.splice(0).sort((a, b) => a.dueUs - b.dueUs))
					if (timer.dueUs <= clockUs) timer.work();
					else timers.push(timer);
				check();
				if (i % 10 === 0) await settle();
			}
			await settle();
		},
	};
};

describe('an engine that works', () => {
	it('gets as many frames as it asks for, and what it gives comes out', async () => {
		const { engines, offer, kinds, released, waiting } = open();
		engines[0]!.ready(2);
		await offer(0, 1, 2, 3);
		expect(engines[0]!.sent.map(({ frame }) => frame.sequence)).toEqual([0, 1]);
		expect(waiting()).toBe(2); // the ring keeps them, and may drop them
		engines[0]!.answer(0);
		await settle();
		expect(kinds()).toEqual(['0 painting']);
		expect(released).toEqual([0]);
		expect(engines[0]!.sent.map(({ frame }) => frame.sequence)).toEqual([0, 1, 2]);
		expect(engines[0]!.takenCount).toBe(1);
	});

	it('gives the source’s own picture where the style wants none', async () => {
		const { engines, offer, shown } = open();
		engines[0]!.ready(1);
		await offer(7);
		engines[0]!.answer(7, { kind: 'source' });
		await settle();
		expect(shown[0]).toMatchObject({ sequence: 7, kind: 'source' });
		expect(shown[0]!.picture.data[0]).toBe(7);
		expect(shown[0]!.source).toBe(shown[0]!.picture);
	});

	it('gives with a painting of a part the source’s own picture of that frame, and the part that the frame came with', async () => {
		const masks = [5, 6].map((level): Mask => ({ width: 1, height: 1, data: Uint8Array.of(level) }));
		const { engines, offer, shown } = open();
		engines[0]!.ready(4);
		await offer({ ...frameOf(5), mask: masks[0]! }, { ...frameOf(6), mask: masks[1]! }, 7, {
			...frameOf(8),
			mask: masks[0]!,
		});
		for (const sequence of [5, 6, 7]) engines[0]!.answer(sequence);
		engines[0]!.answer(8, { kind: 'source' });
		await settle();
		expect(shown.map((frame) => frame.region?.mask)).toEqual([...masks, undefined, undefined]);
		expect(shown.map((frame) => frame.region?.original?.data[0])).toEqual([5, 6, undefined, undefined]);
		expect(shown[0]!.region!.original!.data).not.toBe(shown[0]!.picture.data);
	});

	it('ends when the source has ended and every frame was answered', async () => {
		const { engines, offer, endSource, finished, kinds } = open({ keepsAll: true });
		engines[0]!.ready(3);
		await offer(0, 1);
		await endSource();
		expect(engines[0]!.isEnded).toBe(true);
		engines[0]!.answer(0);
		engines[0]!.answer(1);
		await finished;
		expect(kinds()).toEqual(['0 painting', '1 painting']);
	});
});

describe('live', () => {
	it('lets frames pass unpainted while the engine loads', async () => {
		const { engines, offer, kinds, released } = open();
		await offer(0, 1);
		expect(kinds()).toEqual(['0 unpainted', '1 unpainted']);
		expect(released).toEqual([0, 1]);
		engines[0]!.ready(1);
		await offer(2);
		engines[0]!.answer(2);
		await settle();
		expect(kinds().at(-1)).toBe('2 painting');
	});

	it('keeps no more than a few frames for a consumer who stalls: the newest', async () => {
		let goOn = () => {};
		const { offer, kinds, released } = open({ stall: new Promise((resolve) => (goOn = resolve)) });
		const all = Array.from({ length: 31 }, (_, i) => i);
		for (const sequence of all) await offer(sequence);
		expect(released).toEqual(all);
		goOn();
		for (const _ of all) await settle();
		// The first is in the consumer's hands.
		expect(kinds()).toEqual([0, 23, 24, 25, 26, 27, 28, 29, 30].map((sequence) => `${sequence} unpainted`));
	});

	it('lets what a dead engine had pass unpainted at once, starts another with the style in force, and goes on', async () => {
		const { engines, offer, kinds, released, setParameters, supervised, pass } = open();
		engines[0]!.ready(2);
		await offer(0, 1);
		engines[0]!.die();
		await settle();
		expect(kinds()).toEqual(['0 unpainted', '1 unpainted']);
		expect(released).toEqual([0, 1]);
		expect(supervised.state).toBe('restarting');
		await offer(2);
		expect(kinds().at(-1)).toBe('2 unpainted');

		await pass(10);
		expect(engines).toHaveLength(2);
		expect(supervised.device).toBe(DEVICE);
		expect(engines[1]).toMatchObject({ provider: 'cpu', int8Graphs: ['unet'] }); // need not be looked for again
		setParameters(parametersOf({}, 3, 'pencil-sketch'));
		engines[1]!.ready(1);
		await offer(3);
		expect(engines[1]!.sent[0]!.parameters).toMatchObject({ style: 'pencil-sketch', epoch: 3 });
		engines[1]!.answer(3, { epoch: 3 });
		await settle();
		expect(kinds().at(-1)).toBe('3 painting');
		expect(supervised).toMatchObject({ state: 'painting', restarts: 1 });
	});

	describe('the next engine', () => {
		/** What the engine after one that gave these goes on from: the level of its picture, and the epoch. */
		const resumedAfter = async (...answers: Partial<StyledFrame>[]) => {
			const { engines, offer, pass } = open();
			engines[0]!.ready(answers.length);
			await offer(...answers.keys());
			for (const [sequence, answer] of answers.entries()) engines[0]!.answer(sequence, answer);
			await settle();
			engines[0]!.die();
			await pass(10);
			engines[1]!.ready(1);
			await offer(9);
			return engines[1]!.resumed.map(({ state: { source, painting, epoch, prompts }, after }) => {
				expect(source.data).toEqual(painting.data);
				expect({ after, prompts }).toEqual({ after: 0, prompts: [] });
				return [painting.data[0], epoch];
			});
		};

		it('goes on from the last painting, before its first frame', async () => {
			expect(await resumedAfter({ epoch: 1 }, { epoch: 2 }, { epoch: 2, isReused: true })).toEqual([[1, 2]]);
		});

		it('begins anew where nothing was painted last, and where the one before it died of what it went on from', async () => {
			expect(await resumedAfter()).toEqual([]);
			expect(await resumedAfter({}, { kind: 'source' })).toEqual([]);
			expect(await resumedAfter({}, { kind: 'source' }, {})).toEqual([[2, 0]]);
			const { engines, offer, pass } = open();
			engines[0]!.ready(1);
			await offer(0);
			engines[0]!.answer(0);
			for (const count of [1, 2]) {
				await settle();
				engines.at(-1)!.die();
				await pass(1000);
				expect(engines).toHaveLength(count + 1);
				engines.at(-1)!.ready(1);
			}
			expect(engines.map(({ resumed }) => resumed.length)).toEqual([0, 1, 0]);
		});

		it('begins anew at another size', async () => {
			const { engines, offer, pass, supervised } = open();
			engines[0]!.ready(1);
			await offer(0);
			engines[0]!.answer(0);
			await settle();
			engines[0]!.die();
			supervised.resize({ width: 8, height: 8 });
			await pass(10);
			engines[1]!.ready(1);
			expect(engines[1]).toMatchObject({ painted: { width: 8, height: 8 }, resumed: [] });
		});

		it('begins anew with another model', async () => {
			const { engines, offer, pass } = open({ hasFallback: true });
			engines[0]!.ready(1);
			await offer(0);
			engines[0]!.answer(0);
			await settle();
			for (let deaths = 0; deaths < 3; deaths++) {
				engines.at(-1)!.die();
				await pass(2000);
			}
			expect(engines.at(-1)!.isFallback).toBe(true);
			engines.at(-1)!.ready(1);
			expect(engines.at(-1)!.resumed).toEqual([]);
		});
	});

	it('does not listen to a dead engine', async () => {
		const { engines, offer, kinds, pass } = open();
		engines[0]!.ready(2);
		await offer(0);
		engines[0]!.die();
		await pass(10);
		engines[1]!.ready(1);
		engines[0]!.answer(0);
		engines[0]!.die();
		await settle();
		expect(kinds()).toEqual(['0 unpainted']);
		expect(engines).toHaveLength(2);

		await offer(1);
		engines[0]!.answer(1);
		await settle();
		expect(kinds()).toEqual(['0 unpainted']);
		engines[1]!.answer(1);
		await settle();
		expect(kinds()).toEqual(['0 unpainted', '1 painting']);
		expect(engines[1]!.takenCount).toBe(1);
	});

	it('lets frames pass while the engine is late, and never shows a late painting after a newer frame', async () => {
		const { engines, offer, kinds, pass, supervised, released } = open();
		engines[0]!.ready(2);
		await offer(0, 1);
		engines[0]!.answer(0);
		await pass(900);
		expect(kinds()).toEqual(['0 painting']);
		await pass(150);
		expect(supervised.state).toBe('stale');
		await offer(2);
		expect(kinds()).toEqual(['0 painting', '1 unpainted', '2 unpainted']);

		engines[0]!.answer(1); // late
		await settle();
		expect(supervised.state).toBe('painting');
		expect(kinds()).toHaveLength(3);
		await offer(3);
		engines[0]!.answer(3);
		await settle();
		expect(kinds().at(-1)).toBe('3 painting');
		expect(released).toEqual([0, 1, 2, 3]);
		expect(engines[0]!.takenCount).toBe(3);
	});

	it('ends an engine that owes for too long, and starts another', async () => {
		const { engines, offer, pass } = open();
		engines[0]!.ready(1);
		await offer(0);
		engines[0]!.answer(0);
		await offer(1);
		await pass(4900);
		expect(engines[0]!.isStopped).toBe(false);
		await pass(200);
		expect(engines[0]!.isStopped).toBe(true);
		expect(engines).toHaveLength(2);
	});

	it('goes on trying an engine that dies again and again, ever more slowly', async () => {
		const { engines, pass, offer, kinds } = open();
		engines[0]!.ready(1);
		const starts: number[] = [];
		for (let i = 0; i < 3000 && starts.length < 6; i++) {
			if (engines.length > starts.length) starts.push(i * 10);
			engines.at(-1)!.die();
			await pass(10);
		}
		expect(starts.map((ms, i) => ms - (starts[i - 1] ?? 0))).toEqual([0, 10, 500, 1000, 2000, 4000]);
		await offer(9);
		expect(kinds()).toEqual(['9 unpainted']);
	});

	it('keeps the epoch from falling', async () => {
		const { engines, offer, shown } = open();
		engines[0]!.ready(1);
		await offer(0);
		engines[0]!.answer(0, { epoch: 4 });
		await offer(1);
		engines[0]!.die();
		await settle();
		expect(shown.map(({ epoch }) => epoch)).toEqual([4, 4]);
	});

	it('ends with a source that ends while there is no engine', async () => {
		const { engines, offer, endSource, finished, kinds } = open();
		engines[0]!.ready(1);
		engines[0]!.die();
		await offer(0);
		await endSource();
		await finished;
		expect(kinds()).toEqual(['0 unpainted']);
	});
});

describe('a model that cannot be kept alive', () => {
	const dieBeforePainting = async ({ engines, pass }: ReturnType<typeof open>, times: number) => {
		for (let death = 0; death < times; death++) {
			engines.at(-1)!.ready(1);
			engines.at(-1)!.die();
			await pass(2000);
		}
	};

	it('makes way for the other one at its third death without a painting, at once', async () => {
		const run = open({ hasFallback: true });
		await dieBeforePainting(run, 2);
		expect(run.supervised.isFallback).toBe(false);
		run.engines.at(-1)!.ready(1);
		run.engines.at(-1)!.die();
		await run.pass(10);
		const other = run.engines.at(-1)!;
		expect(other).toMatchObject({ isFallback: true, provider: undefined, int8Graphs: undefined, painted: undefined });
		other.ready(1);
		await run.offer(0);
		other.answer(0);
		await settle();
		expect(run.kinds().at(-1)).toBe('0 painting');
		await dieBeforePainting(run, 5); // there is no third one
		expect(run.engines.at(-1)!.isFallback).toBe(true);
	});

	it('is given every chance where there is no other, or while it paints between its deaths', async () => {
		const alone = open();
		await dieBeforePainting(alone, 5);
		expect(alone.engines.every(({ isFallback }) => !isFallback)).toBe(true);
		const run = open({ hasFallback: true });
		for (let sequence = 0; sequence < 6; sequence++) {
			run.engines.at(-1)!.ready(1);
			await run.offer(sequence);
			run.engines.at(-1)!.answer(sequence);
			run.engines.at(-1)!.die();
			await run.pass(2000);
		}
		expect(run.supervised.isFallback).toBe(false);
	});

	it('is no end of a run that painted, where the other one cannot be had now', async () => {
		const run = open({ hasFallback: true });
		await dieBeforePainting(run, 3);
		for (const code of ['ERR_PROVIDER', 'ERR_ENGINE', 'ERR_ENGINE', 'ERR_ENGINE', 'ERR_ENGINE'] as const) {
			expect(run.engines.at(-1)!.isFallback).toBe(true);
			run.engines.at(-1)!.die(new SidecarError(code, 'the device is lost'));
			await run.pass(20_000);
		}
		await run.offer(0);
		expect(run.kinds().at(-1)).toBe('0 unpainted');
		run.engines.at(-1)!.ready(1);
		await run.offer(1);
		run.engines.at(-1)!.answer(1);
		await settle();
		expect(run.kinds().at(-1)).toBe('1 painting');
	});

	it('is the run’s end where neither can be had', async () => {
		const run = open({ hasFallback: true });
		for (let death = 0; death < 6; death++) {
			run.engines.at(-1)!.die();
			await run.pass(20_000);
		}
		await expect(run.finished).rejects.toMatchObject({ code: 'ERR_ENGINE' });
	});

	it('is the run’s end where it cannot be had at all', async () => {
		const run = open({ hasFallback: true });
		run.engines[0]!.die(new SidecarError('ERR_MODEL', 'no such graph'));
		await expect(run.finished).rejects.toMatchObject({ code: 'ERR_MODEL' });
	});
});

describe('an engine that runs out of memory', () => {
	const noRoom = () => new SidecarError('ERR_MEMORY', 'The model big, graph unet failed: out of memory');
	const batchSizes = ({ sent }: PuppetEngine) => sent.map(({ parameters }) => parameters.tuning.batchSize);

	it('is started anew at once with half the batch, as often as that helps, and none of it is a death', async () => {
		const run = open({ hasFallback: true, batchSize: 4 });
		for (const size of [4, 2, 1]) {
			const engine = run.engines.at(-1)!;
			expect(engine.parameters.tuning.batchSize).toBe(size);
			engine.ready(1);
			await run.offer(size);
			expect(batchSizes(engine)).toEqual([size]);
			if (size === 1) break;
			engine.die(noRoom());
			await run.pass(10);
		}
		expect(run.engines).toHaveLength(3);
		expect(run.engines.every(({ isFallback }) => !isFallback)).toBe(true);
		expect(run.supervised).toMatchObject({ batchMax: 1, memoryRelief: 'memory for batches of 1', restarts: 2 });
		run.engines.at(-1)!.answer(1);
		await settle();
		expect(run.kinds()).toEqual(['4 unpainted', '2 unpainted', '1 painting']);
	});

	it('makes way for the other model where one frame is too much, with the batch that was asked for', async () => {
		const run = open({ hasFallback: true, batchSize: 2 });
		for (const size of [2, 1]) {
			run.engines.at(-1)!.ready(1);
			await run.offer(size);
			run.engines.at(-1)!.die(noRoom());
			await run.pass(10);
		}
		expect(run.engines.at(-1)!).toMatchObject({ isFallback: true, provider: undefined });
		expect(run.engines.at(-1)!.parameters.tuning.batchSize).toBe(2);
		expect(run.supervised).toMatchObject({ batchMax: Infinity, memoryRelief: undefined });
	});

	it('while it is opened makes way at once: no batch is as small as that', async () => {
		const run = open({ hasFallback: true, batchSize: 4 });
		run.engines[0]!.die(noRoom());
		await run.pass(10);
		expect(run.engines).toHaveLength(2);
		expect(run.engines[1]!).toMatchObject({ isFallback: true });
	});

	it('while it is opened ends a run that has no other model, with the reason', async () => {
		const { engines, finished } = open({ keepsAll: true });
		engines[0]!.die(noRoom());
		await expect(finished).rejects.toMatchObject({
			code: 'ERR_MEMORY',
			message: expect.stringContaining('graph unet'),
		});
	});

	it('after it painted, while it is opened again, is tried again: what took the room may go', async () => {
		const run = open({ hasFallback: true });
		run.engines[0]!.ready(1);
		await run.offer(0);
		run.engines[0]!.answer(0);
		run.engines[0]!.die();
		await run.pass(10);
		run.engines[1]!.die(noRoom());
		await run.pass(1000);
		expect(run.engines[2]!.isFallback).toBe(false);
	});

	it('loses no frame where none may be lost, and waits for no more frames than its batch has', async () => {
		const { engines, offer, kinds, pass, endSource, finished } = open({ keepsAll: true, batchSize: 4 });
		engines[0]!.ready(4);
		await offer(0, 1, 2, 3);
		engines[0]!.die(noRoom());
		await pass(10);
		engines[1]!.ready(2);
		expect(engines[1]!.sent.map(({ frame }) => frame.sequence)).toEqual([0, 1]);
		engines[1]!.answer(0);
		engines[1]!.answer(1);
		await endSource();
		engines[1]!.answer(2);
		engines[1]!.answer(3);
		await finished;
		expect(kinds()).toEqual(['0 painting', '1 painting', '2 painting', '3 painting']);
	});

	it('hangs where it owes a batch of those that it has room for', async () => {
		const { engines, offer, pass } = open({ keepsAll: true, batchSize: 4 });
		engines[0]!.ready(4);
		await offer(0, 1, 2, 3);
		engines[0]!.die(noRoom());
		await pass(10);
		engines[1]!.ready(2);
		await pass(61_000);
		expect(engines[1]!.isStopped).toBe(true);
	});
});

describe('another size', () => {
	const SMALL = { width: 16, height: 16 };
	const sequencesOf = ({ sent }: PuppetEngine) => sent.map(({ frame }) => frame.sequence);

	it('is painted by an engine that takes over when it is ready, and when the other has given all that it had', async () => {
		const { supervised, engines, offer, kinds } = open();
		engines[0]!.ready(2);
		await offer(0, 1);
		supervised.resize(SMALL);
		expect(engines[1]).toMatchObject({ painted: SMALL, provider: 'cpu', int8Graphs: ['unet'] });
		engines[0]!.answer(0);
		await offer(2);
		expect(sequencesOf(engines[0]!)).toEqual([0, 1, 2]); // it paints as before while the other loads
		expect(supervised.painted).toBeUndefined();
		engines[1]!.ready(2);
		engines[0]!.answer(1);
		await offer(3);
		expect(sequencesOf(engines[1]!)).toEqual([]);
		expect(engines[0]!.isStopped).toBe(false);
		engines[0]!.answer(2);
		await settle();
		expect(engines[0]!.isStopped).toBe(true);
		expect(supervised.painted).toEqual(SMALL);
		expect(sequencesOf(engines[1]!)).toEqual([3]);
		engines[1]!.answer(3);
		await settle();
		expect(kinds()).toEqual(['0 painting', '1 painting', '2 painting', '3 painting']);
		expect(supervised.restarts).toBe(0);
	});

	it('that no engine can be had for changes nothing', async () => {
		const { supervised, engines, offer, kinds } = open();
		engines[0]!.ready(2);
		supervised.resize(SMALL);
		engines[1]!.die();
		await offer(0);
		engines[0]!.answer(0);
		await settle();
		expect(kinds()).toEqual(['0 painting']);
		expect([supervised.state, engines.length, engines[0]!.isStopped]).toEqual(['painting', 2, false]);
	});

	it('asked for twice is the last one, and the engine between is let go', async () => {
		const { supervised, engines, offer } = open();
		engines[0]!.ready(2);
		supervised.resize({ width: 8, height: 8 });
		supervised.resize(SMALL);
		expect(engines[1]!.isStopped).toBe(true);
		engines[1]!.ready(2); // its last words
		engines[2]!.ready(2);
		await offer(0);
		expect(engines.map(({ sent }) => sent.length)).toEqual([0, 0, 1]);
	});

	it('is that of the next engine where this one dies before, or is being started', async () => {
		const { supervised, engines, pass } = open();
		engines[0]!.ready(1);
		supervised.resize(SMALL);
		engines[0]!.die();
		expect(engines[1]!.isStopped).toBe(true);
		await pass(10);
		expect(engines[2]!.painted).toEqual(SMALL);
		supervised.resize({ width: 8, height: 8 });
		engines[2]!.die();
		await pass(1000);
		expect(engines[3]!.painted).toEqual({ width: 8, height: 8 });
	});

	it('is that of the next engine where both die with the process that they shared', async () => {
		const { supervised, engines, pass } = open();
		engines[0]!.ready(1);
		supervised.resize(SMALL);
		engines[1]!.die();
		engines[0]!.die();
		await pass(10);
		expect(engines[2]!.painted).toEqual(SMALL);
	});

	it('keeps its last frames: a source that ends meanwhile ends well', async () => {
		const { supervised, engines, offer, endSource, finished, kinds } = open({ keepsAll: true });
		engines[0]!.ready(2);
		await offer(0);
		supervised.resize(SMALL);
		engines[1]!.ready(2);
		await offer(1);
		await endSource();
		engines[0]!.answer(0);
		await settle();
		engines[1]!.answer(1);
		await finished;
		expect(kinds()).toEqual(['0 painting', '1 painting']);
		expect(engines[1]!.isEnded).toBe(true);
	});
});

describe('where no frame may be lost', () => {
	it('waits for the engine', async () => {
		const { engines, offer, kinds, waiting } = open({ keepsAll: true });
		await offer(0, 1);
		expect([kinds(), waiting()]).toEqual([[], 2]);
		engines[0]!.ready(1);
		await settle();
		expect(engines[0]!.sent).toHaveLength(1);
	});

	it('gives the next engine what the dead one had not answered, in order', async () => {
		const { engines, offer, kinds, released, pass, endSource, finished } = open({ keepsAll: true });
		engines[0]!.ready(3);
		await offer(0, 1, 2);
		engines[0]!.answer(0);
		await endSource();
		engines[0]!.die();
		await pass(10);
		engines[1]!.ready(1);
		expect(engines[1]!.sent.map(({ frame }) => frame.sequence)).toEqual([1]);
		expect(engines[1]!.isEnded).toBe(false);
		engines[1]!.answer(1);
		expect(engines[1]!.sent.map(({ frame }) => frame.sequence)).toEqual([1, 2]);
		expect(engines[1]!.isEnded).toBe(true);
		engines[1]!.answer(2);
		await finished;
		expect(kinds()).toEqual(['0 painting', '1 painting', '2 painting']);
		expect(released).toEqual([0, 1, 2]);
	});

	it('gives up when three engines in a row die without a painting, and says why', async () => {
		const { engines, offer, pass, finished } = open({ keepsAll: true });
		engines[0]!.ready(1);
		await offer(0);
		for (let i = 0; i < 3; i++) {
			engines[i]!.die(new SidecarError('ERR_ENGINE', 'unet: out of memory'));
			await pass(1000);
		}
		await expect(finished).rejects.toMatchObject({ code: 'ERR_ENGINE', message: 'unet: out of memory' });
		expect(engines).toHaveLength(3);
	});

	it('does not take an engine that waits for a whole batch for a stuck one', async () => {
		const { engines, offer, pass, endSource } = open({ keepsAll: true, batchSize: 4 });
		engines[0]!.ready(4);
		await offer(0, 1, 2);
		await pass(70_000);
		expect(engines[0]!.isStopped).toBe(false);
		await endSource();
		await pass(61_000);
		expect(engines[0]!.isStopped).toBe(true);
	});

	it('nor one whose last batch waits in a moving buffer for the next', async () => {
		const { engines, offer, pass } = open({ keepsAll: true, batchSize: 2, movesBuffer: true });
		engines[0]!.ready(4);
		await offer(0, 1, 2);
		await pass(70_000);
		expect(engines[0]!.isStopped).toBe(false);
		await offer(3);
		await pass(70_000);
		expect(engines[0]!.isStopped).toBe(true);
	});
});

describe('an engine that never worked', () => {
	it('fails at once where the model is wrong, with the reason', async () => {
		const { engines, finished, supervised } = open();
		engines[0]!.die(new SidecarError('ERR_MODEL', 'unet.onnx has another shape'));
		await expect(supervised.ready).rejects.toMatchObject({ code: 'ERR_MODEL' });
		await expect(finished).rejects.toMatchObject({ code: 'ERR_MODEL' });
	});

	it('is tried three times where its process dies, live too', async () => {
		const { engines, pass, finished } = open();
		for (let i = 0; i < 3; i++) {
			engines[i]!.die();
			await pass(1000);
		}
		await expect(finished).rejects.toMatchObject({ code: 'ERR_ENGINE' });
		expect(engines).toHaveLength(3);
	});

	it('is ended with the sidecar', async () => {
		const { engines, supervised } = open();
		await supervised[Symbol.asyncDispose]();
		expect(engines[0]!.isStopped).toBe(true);
	});
});

describe('an engine elsewhere', () => {
	it('may drop a frame: nothing is shown for it, its slot is free, and what comes after is painted', async () => {
		const { engines, offer, kinds, released, pass } = open();
		engines[0]!.ready(3);
		await offer(0, 1, 2);
		engines[0]!.listener.dropped!(1);
		engines[0]!.answer(0);
		engines[0]!.answer(2);
		await settle();
		expect(kinds()).toEqual(['0 painting', '2 painting']);
		expect(released.sort((a, b) => a - b)).toEqual([0, 1, 2]);
		// Nothing is owed any more.
		await pass(6000);
		expect(engines[0]!.isStopped).toBe(false);
	});

	it('that is leaving paints until another is ready, which gets no frame before it has given all of its own', async () => {
		const { engines, offer, kinds, supervised } = open();
		engines[0]!.ready(2);
		await offer(0);
		engines[0]!.listener.leaving!();
		engines[0]!.listener.leaving!(); // it says so again and again
		expect(engines).toHaveLength(2);
		engines[0]!.answer(0);
		await offer(1);
		expect(engines[0]!.sent.map(({ frame }) => frame.sequence)).toEqual([0, 1]);
		engines[1]!.ready(2);
		await offer(2);
		expect(engines[1]!.sent).toEqual([]);
		engines[0]!.answer(1);
		await settle();
		expect(engines[0]!.isStopped).toBe(true);
		expect(engines[1]!.sent.map(({ frame }) => frame.sequence)).toEqual([2]);
		engines[1]!.answer(2);
		await settle();
		expect(kinds()).toEqual(['0 painting', '1 painting', '2 painting']);
		expect(supervised.restarts).toBe(0);
	});

	it('that is leaving gives what it has of a batch, where no frame may be lost, and the next one gets the rest', async () => {
		const { engines, offer, kinds, endSource, finished } = open({ keepsAll: true, batchSize: 4 });
		engines[0]!.ready(4);
		await offer(0, 1);
		engines[0]!.listener.leaving!();
		engines[1]!.ready(4);
		await offer(2, 3);
		expect(engines[0]!.isEnded).toBe(true); // or it would wait for two more
		engines[0]!.answer(0);
		engines[0]!.answer(1);
		await settle();
		expect(engines[1]!.sent.map(({ frame }) => frame.sequence)).toEqual([2, 3]);
		await endSource();
		expect(engines[1]!.isEnded).toBe(true);
		engines[1]!.answer(2);
		engines[1]!.answer(3);
		await finished;
		expect(kinds()).toEqual(['0 painting', '1 painting', '2 painting', '3 painting']);
	});

	it('that dropped all that it owed is given frames again, though it was stale', async () => {
		const { engines, offer, kinds, pass, supervised } = open();
		engines[0]!.ready(2);
		await offer(0, 1);
		await pass(1200);
		expect(supervised.state).toBe('stale');
		for (const sequence of [0, 1]) {
			engines[0]!.listener.dropped!(sequence);
			engines[0]!.listener.pull();
		}
		await offer(2);
		engines[0]!.answer(2);
		await settle();
		expect(kinds()).toEqual(['0 unpainted', '1 unpainted', '2 painting']);
	});
});
