import { describe, expect, it } from 'vitest';
import type { EngineHandle, EngineListener, EngineSettings } from '../../sidecar/engine/engine-process.ts';
import { RecentTimes, timedEngines, type FrameTimes } from '../../sidecar/fleet/timed-engines.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('times of the last frames', () => {
	it('are of the last few hundred, and nothing before there was one', () => {
		const times = new RecentTimes();
		expect(times.percentiles).toBeUndefined();
		times.add(5);
		expect(times.percentiles).toEqual({ p50: 5, p95: 5 });
		for (let ms = 1; ms <= 1000; ms++) times.add(ms);
		const { p50, p95 } = times.percentiles!;
		expect([p50 > 850 && p50 < 890, p95 > 980]).toEqual([true, true]);
	});
});

describe('timed engines', () => {
	const open = () => {
		const clock = new ManualClock();
		const took: FrameTimes[] = [];
		const said: string[] = [];
		let inside: EngineListener;
		const handle = new Proxy({ pid: 7 } as EngineHandle, {
			get: (own, name) => (name === 'pid' ? own.pid : () => void said.push(String(name))),
		});
		const engines = timedEngines(
			{
				start: (_, listener) => {
					inside = listener;
					return handle;
				},
			},
			clock.nowUs,
			(times) => void took.push(times),
		);
		const listener = new Proxy({} as EngineListener, {
			get: (_, name) => () => void said.push(`heard ${String(name)}`),
		});
		const outside = engines.start({} as EngineSettings, listener);
		const send = (sequence: number) =>
			outside.send({ sequence } as Parameters<EngineHandle['send']>[0], new Uint8Array(), {} as never);
		const answer = (sequence: number, batches = [{ sideMs: 3, mainMs: 7 }]) =>
			inside.answer({ sequence } as Parameters<EngineListener['answer']>[0], undefined, { stages: [], batches });
		return { clock, took, said, send, answer, outside, inside: () => inside };
	};

	it('say how long a frame is there, and how long of that in no stream', () => {
		const { clock, took, send, answer } = open();
		send(1);
		clock.advance(5000);
		send(2);
		clock.advance(10_000);
		answer(1);
		answer(2);
		expect(took).toEqual([
			{ frameMs: 15, queueMs: 5 },
			{ frameMs: 10, queueMs: 0 },
		]);
	});

	it('say nothing of frames that were not sent, or of which no batch was', () => {
		const { took, send, answer } = open();
		answer(1);
		send(2);
		answer(2, []);
		send(3);
		answer(4);
		answer(3);
		expect(took).toEqual([]);
	});

	it('pass on all that is said, both ways', async () => {
		const { said, outside, inside, answer } = open();
		expect(outside.pid).toBe(7);
		outside.end();
		outside.taken();
		outside.resume!({} as never);
		await outside.stop();
		await outside.kill();
		const own = inside();
		own.ready({} as never);
		own.pull();
		own.dropped!(1);
		own.leaving!();
		own.prompts!([]);
		own.gone({} as never);
		answer(1);
		const heard = ['ready', 'pull', 'dropped', 'leaving', 'prompts', 'gone', 'answer'].map((what) => `heard ${what}`);
		expect(said).toEqual(['end', 'taken', 'resume', 'stop', 'kill', ...heard]);
	});
});
