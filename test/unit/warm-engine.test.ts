import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WarmEngine } from '../../sidecar/app/warm-engine.ts';
import type { EngineHandle, EngineListener, Engines, EngineSettings } from '../../sidecar/engine/engine-process.ts';
import { SidecarError } from '../../sidecar/errors.ts';

/** Engines that answer each frame at once; each has a process of its own. */
class Pool implements Engines {
	readonly started: { pid: number; listener: EngineListener; isRunning: boolean }[] = [];

	start(_: EngineSettings, listener: EngineListener): EngineHandle {
		const engine = { pid: this.started.length + 1, listener, isRunning: true };
		this.started.push(engine);
		queueMicrotask(() => {
			listener.ready({ provider: 'cpu', refused: [], int8Graphs: [] });
			listener.pull();
		});
		const stop = () => Promise.resolve(void (engine.isRunning = false));
		return {
			pid: engine.pid,
			send: (frame) =>
				queueMicrotask(() => {
					listener.answer({ ...frame, kind: 'painting' } as never, undefined, { stages: [], batches: [] });
					listener.pull();
				}),
			end: () => {},
			taken: () => {},
			stop,
			kill: stop,
		};
	}

	get running(): number[] {
		return this.started.filter(({ isRunning }) => isRunning).map(({ pid }) => pid);
	}

	crash(pid: number): void {
		const engine = this.started[pid - 1]!;
		engine.isRunning = false;
		engine.listener.gone(new SidecarError('ERR_ENGINE', 'it crashed'));
	}
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const warmed = async () => {
	const pool = new Pool();
	const warm = await WarmEngine.open(pool, { painted: { width: 32, height: 32 } } as EngineSettings);
	const [kept] = pool.running;
	expect(pool.running).toEqual([kept]);
	return { pool, warm, kept: kept! };
};

it('keeps one engine, and another a second after that one crashed', async () => {
	const { pool, kept } = await warmed();
	pool.crash(kept);
	expect(pool.running).toEqual([]);
	await vi.advanceTimersByTimeAsync(1000);
	expect(pool.running).toEqual([kept + 1]);
});

it('that follows where a line opened after a crash keeps no second one', async () => {
	const { pool, warm, kept } = await warmed();
	pool.crash(kept);
	warm.follow([99]); // that line's process is none of ours
	await vi.advanceTimersByTimeAsync(5000);
	expect(pool.running).toEqual([kept + 1]);
	await warm[Symbol.asyncDispose]();
	expect(pool.running).toEqual([]);
});
