import { describe, expect, it } from 'vitest';
import { FrameRing } from '../../sidecar/frame/ring.ts';
import { collect, frameOf } from '../support/frames.ts';

const running = new AbortController().signal;
const ringOf = (slotCount: number, mode: 'wait' | 'newest-wins') => new FrameRing({ slotCount, slotBytes: 16, mode });

/** Fills a slot and offers it, if the ring gives one at once. */
const offer = async (ring: FrameRing, sequence: number): Promise<boolean> => {
	const slot = await Promise.race([ring.acquire(running), Promise.resolve('full' as const).then((full) => full)]);
	if (typeof slot !== 'number') return false;
	ring.bytes(slot).fill(sequence);
	ring.offer(frameOf(sequence, slot));
	return true;
};

describe('frame ring', () => {
	it('drops the oldest frame that nobody has picked up when it is full', async () => {
		const ring = ringOf(3, 'newest-wins');
		for (let sequence = 0; sequence < 5; sequence++) ring.offer(frameOf(sequence, (await ring.acquire(running))!));
		ring.close();
		expect((await collect(ring.frames(running))).map(({ sequence }) => sequence)).toEqual([2, 3, 4]);
		expect(ring.droppedCount).toBe(2);
	});

	it('keeps no more frames waiting than the reader takes at a time, so that the newest is never old', async () => {
		const ring = new FrameRing({ slotCount: 6, slotBytes: 16, mode: 'newest-wins', waitingMax: 2 });
		for (let sequence = 0; sequence < 6; sequence++) ring.offer(frameOf(sequence, (await ring.acquire(running))!));
		ring.close();
		expect((await collect(ring.frames(running))).map(({ sequence }) => sequence)).toEqual([4, 5]);
		expect(ring.droppedCount).toBe(4);
	});

	it('never takes back a frame that is being read', async () => {
		const ring = ringOf(3, 'newest-wins');
		const reader = ring.frames(running);
		for (let sequence = 0; sequence < 3; sequence++) await offer(ring, sequence);
		const first = (await reader.next()).value!;
		for (let sequence = 3; sequence < 9; sequence++) ring.offer(frameOf(sequence, (await ring.acquire(running))!));
		expect(first.sequence).toBe(0);
		const rest: number[] = [];
		ring.close();
		for await (const { sequence, slot } of reader) {
			expect(slot).not.toBe(first.slot);
			rest.push(sequence);
		}
		expect(rest).toEqual([7, 8]);
	});

	it('makes the source wait, and loses nothing, when every frame counts', async () => {
		const ring = ringOf(3, 'wait');
		const write = async () => {
			for (let sequence = 0; sequence < 20; sequence++) {
				const slot = (await ring.acquire(running))!;
				ring.bytes(slot).fill(sequence);
				ring.offer(frameOf(sequence, slot));
			}
			ring.close();
		};
		const written = write();
		const seen: number[] = [];
		for await (const frame of ring.frames(running)) {
			expect(ring.bytes(frame.slot)[0]).toBe(frame.sequence);
			seen.push(frame.sequence);
			ring.release(frame);
		}
		await written;
		expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => i));
		expect(ring.droppedCount).toBe(0);
	});

	it('gives an error to the reader after the frames that came before it', async () => {
		const ring = ringOf(3, 'wait');
		await offer(ring, 0);
		ring.fail(new Error('the camera was unplugged'));
		const reader = ring.frames(running);
		expect((await reader.next()).value).toMatchObject({ sequence: 0 });
		await expect(reader.next()).rejects.toThrow('unplugged');
	});

	it('lets go of a waiting source and a waiting reader when it is aborted', async () => {
		const abort = new AbortController();
		const ring = ringOf(1, 'wait');
		const reading = ring.frames(abort.signal).next();
		await ring.acquire(abort.signal);
		const writing = ring.acquire(abort.signal);
		abort.abort();
		expect(await writing).toBeUndefined();
		expect((await reading).done).toBe(true);
	});

	it('refuses a slot that is given back twice', async () => {
		const ring = ringOf(3, 'wait');
		await offer(ring, 0);
		const { value } = await ring.frames(running).next();
		ring.release(value!);
		expect(() => ring.release(value!)).toThrow('released twice');
	});
});
