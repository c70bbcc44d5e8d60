import { describe, expect, it } from 'vitest';
import { simulateLive, simulateSharedDevice, type LiveFrame } from '../../sidecar/engine/simulated-live.ts';
import { VirtualClock } from '../../sidecar/engine/virtual-clock.ts';

const latenciesMs = (frames: readonly LiveFrame[]) => frames.map(({ capturedMs, paintedMs }) => paintedMs - capturedMs);

const simulate = async (
	{ sideMs, mainMs, most = 1 }: { sideMs: number; mainMs: number; most?: number },
	live: { batchSize?: number; fps: number | 'max'; frames: number; streams?: number },
) => {
	const clock = new VirtualClock();
	const together: number[] = [];
	const times = {
		sideMs: () => sideMs,
		mainMs: (requests: readonly unknown[]) => {
			together.push(requests.length);
			return mainMs;
		},
	};
	const { device, busy } = simulateSharedDevice(times, { most, clock });
	const { batchSize = 1, ...rest } = live;
	const streams = await simulateLive({ clock, device, tuning: { batchSize, condRefreshEvery: 0 }, ...rest });
	return { streams, busy, together, clock };
};

describe('a device and a camera of set times', () => {
	it('takes side + main for a frame that meets nobody', async () => {
		const { streams, busy } = await simulate({ sideMs: 30, mainMs: 20 }, { fps: 10, frames: 20 });
		const [frames] = streams;
		expect(frames).toHaveLength(20);
		for (const ms of latenciesMs(frames!)) expect(ms).toBeCloseTo(50, 2);
		expect(busy).toEqual({ sideMs: 20 * 30, mainMs: 20 * 20 });
	});

	it('lets the first frame of a batch wait for the last', async () => {
		const { streams } = await simulate({ sideMs: 30, mainMs: 20 }, { fps: 10, frames: 8, batchSize: 4 });
		const expected = [350, 250, 150, 50, 350, 250, 150, 50];
		latenciesMs(streams[0]!).forEach((ms, i) => expect(ms).toBeCloseTo(expected[i]!, 2));
	});

	it('drops what it is too late for, and nothing with `max`', async () => {
		const slow = await simulate({ sideMs: 300, mainMs: 10 }, { fps: 10, frames: 40 });
		const [live] = slow.streams;
		expect(live!.length).toBeLessThan(16);
		// A frame waits for the one before it, and is the newest by then.
		expect(Math.max(...latenciesMs(live!))).toBeLessThan(100 + 300 + 300 + 10);
		const { streams, clock } = await simulate({ sideMs: 300, mainMs: 10 }, { fps: 'max', frames: 40 });
		expect(streams[0]!.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 40 }, (_, i) => i));
		expect(clock.nowMs).toBeCloseTo(40 * 300 + 10, 6);
	});

	it('runs what waits of several sources together, as many as it may', async () => {
		const alone = await simulate({ sideMs: 1, mainMs: 100 }, { fps: 'max', frames: 20, streams: 4 });
		expect(Math.max(...alone.together)).toBe(1);
		const shared = await simulate({ sideMs: 1, mainMs: 100, most: 3 }, { fps: 'max', frames: 20, streams: 4 });
		expect(Math.max(...shared.together)).toBe(3);
		expect(shared.clock.nowMs).toBeLessThan(0.6 * alone.clock.nowMs);
		for (const frames of shared.streams) expect(frames).toHaveLength(20);
	});
});
