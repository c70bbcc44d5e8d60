import { describe, expect, it } from 'vitest';
import { PacedEgress } from '../../sidecar/egress/paced-egress.ts';
import { rgbLayout, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { VirtualClock } from '../../sidecar/engine/virtual-clock.ts';

const picture = { ...rgbLayout({ width: 1, height: 1 }), data: new Uint8Array(3) };
const styled = (sequence: number): StyledFrame => ({
	sequence,
	capturedUs: sequence * 40_000,
	timestampUs: sequence * 40_000,
	durationUs: 40_000,
	epoch: 0,
	kind: 'painting',
	source: picture,
	picture,
});

const setUp = (present: (frame: StyledFrame) => Promise<void> = async () => {}) => {
	const clock = new VirtualClock();
	const shows: { sequence: number; how: string; atMs: number }[] = [];
	let disposed = false;
	let finished = false;
	const egress = new PacedEgress(
		{
			present,
			finish: async () => void (finished = true),
			[Symbol.asyncDispose]: async () => void (disposed = true),
		},
		{
			repeatEveryUs: 40_000,
			nowUs: () => Math.round(clock.nowMs * 1000),
			sleep: (us, signal) =>
				new Promise((resolve) => {
					signal.addEventListener('abort', () => resolve());
					if (Number.isFinite(us)) void clock.sleep(us / 1000).then(resolve);
				}),
			onShown: ({ sequence }, how) => shows.push({ sequence, how, atMs: clock.nowMs }),
		},
	);
	return { clock, egress, shows, state: () => ({ disposed, finished }) };
};

describe('paced egress', () => {
	it('shows frames evenly that were painted unevenly, and repeats the last while none comes', async () => {
		const { clock, egress, shows, state } = setUp();
		const paint = async () => {
			for (let sequence = 0; sequence < 10; sequence++) {
				await clock.sleep(sequence % 2 ? 30 : 50);
				await egress.present(styled(sequence));
			}
			await clock.sleep(200);
			await egress.finish();
		};
		await clock.run(paint());
		const fresh = shows.filter(({ how }) => how === 'new');
		expect(fresh.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
		expect(shows.filter(({ how }) => how === 'again').length).toBeGreaterThan(2);
		expect(state()).toEqual({ finished: true, disposed: false });
	});

	it('shows the last frame again at once where it is outdated, and when the next are due does not change', async () => {
		const { clock, egress, shows } = setUp();
		const paint = async () => {
			egress.refresh(); // nothing was shown yet
			for (let sequence = 0; sequence < 3; sequence++) {
				await egress.present(styled(sequence));
				await clock.sleep(10);
				if (sequence === 1) egress.refresh();
				await clock.sleep(30);
			}
			await egress.finish();
		};
		await clock.run(paint());
		expect(shows).toEqual([
			{ sequence: 0, how: 'new', atMs: 0 },
			{ sequence: 1, how: 'new', atMs: 40 },
			{ sequence: 1, how: 'again', atMs: 50 },
			{ sequence: 2, how: 'new', atMs: 80 },
		]);
	});

	it('never makes the engine wait for a sink that stalls, and keeps no more than a few frames', async () => {
		const { clock, egress } = setUp(() => new Promise(() => {}));
		const paint = async () => {
			for (let sequence = 0; sequence < 50; sequence++) {
				await clock.sleep(40);
				await egress.present(styled(sequence));
			}
		};
		await clock.run(paint());
		expect(egress.droppedCount).toBeGreaterThan(40);
	});

	it('gives the error of a sink to whoever presents next', async () => {
		const { clock, egress } = setUp(() => Promise.reject(new Error('the disk is full')));
		const paint = async () => {
			await egress.present(styled(0));
			await clock.sleep(100);
			await egress.present(styled(1));
		};
		await expect(clock.run(paint())).rejects.toThrow('the disk is full');
	});
});
