import { describe, expect, it } from 'vitest';
import { STILL_WORLD } from '../../sidecar/engine/simulated-line.ts';
import type { Tensor } from '../../sidecar/frame/tensor.ts';
import { LastLatents } from '../../sidecar/inference/last-latents.ts';
import type { Flow } from '../../sidecar/native.ts';

/** Moving adds the first numbers of the flows, the last of which is told as the rest. */
const native: typeof STILL_WORLD = {
	...STILL_WORLD,
	moveLatents: async (latents, _shape, flows, target, offsets) => {
		const by = flows.map(({ data }) => data[0]!);
		for (const [i, value] of latents.entries()) target[i] = value + by.reduce((sum, x) => sum + x, 0);
		offsets.fill(by.at(-1)!);
	},
};
const flowBy = (x: number): Flow => ({ width: 2, height: 1, data: Float32Array.of(x, 0, x, 0) });
const tensor = (...frames: number[]): Tensor<Float32Array> => ({
	data: Float32Array.from(frames.flatMap((value) => [value, value])),
	shape: [frames.length, 1, 1, 2],
});
const requestOf = (line: number, noise: Tensor<Float32Array>, flows?: Flow[]) => ({
	line,
	noise,
	temporal: { multiplier: 1, ...(flows && { flows }) },
});

describe('the last latents', () => {
	it('are those of the last frame, moved from frame to frame of the next batch', async () => {
		const last = new LastLatents(native);
		last.keep(1, tensor(5, 7));
		const moved = await last.movedOnto(requestOf(1, tensor(0, 0, 0), [flowBy(10), flowBy(100), flowBy(0)]));
		expect(moved?.last_latents).toEqual(tensor(17, 117, 117));
		expect(moved?.last_offsets).toEqual({
			data: Float32Array.of(10, 10, 10, 10, 100, 100, 100, 100, 0, 0, 0, 0),
			shape: [3, 2, 1, 2],
		});
	});

	it('are copied: the latents themselves go to the decoder', async () => {
		const last = new LastLatents(native);
		const latents = tensor(5);
		last.keep(1, latents);
		latents.data.fill(0);
		expect((await last.movedOnto(requestOf(1, tensor(0), [flowBy(0)])))?.last_latents).toEqual(tensor(5));
	});

	it("are no other line's, and of no other size", async () => {
		const last = new LastLatents(native);
		last.keep(1, tensor(5));
		expect(await last.movedOnto(requestOf(2, tensor(0), [flowBy(0)]))).toBeUndefined();
		const larger = { data: new Float32Array(4), shape: [1, 1, 2, 2] };
		expect(await last.movedOnto(requestOf(1, larger, [flowBy(0)]))).toBeUndefined();
	});

	it('are none where nothing says how they move, or the line is over', async () => {
		const last = new LastLatents(native);
		last.keep(1, tensor(5));
		expect(await last.movedOnto(requestOf(1, tensor(0)))).toBeUndefined();
		last.forget(1);
		expect(await last.movedOnto(requestOf(1, tensor(0), [flowBy(0)]))).toBeUndefined();
	});
});
