// Qwen3-VL's image processing in the addon, against Pillow and numpy: what transformers' processor does, in its own order.
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { rgbLayout } from '../../sidecar/frame/frame.ts';
import { loadNative, type PatchLayout } from '../../sidecar/native.ts';

const QWEN3_VL = { width: 256, height: 256, patch: 16, merge: 2, frames: 2 } satisfies PatchLayout;

/** Two gradients and a texture, as training/dreamlite/parity.py draws them. */
const gradient = (width: number, height: number) => {
	const data = new Uint8Array(3 * width * height);
	for (let i = 0; i < width * height; i++) {
		const [x, y] = [i % width, Math.floor(i / width)];
		data.set([(x * 255) / Math.max(width - 1, 1), (y * 255) / Math.max(height - 1, 1), (x * 3 + y * 5) % 256], 3 * i);
	}
	return data;
};

const REFERENCE = `import sys
import numpy as np
from PIL import Image
width, height, side_x, side_y, patch, merge, frames = map(int, sys.argv[1:])
rgb = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(height, width, 3)
small = np.asarray(Image.fromarray(rgb).resize((side_x, side_y), Image.BILINEAR))
x = ((small.astype(np.float64) / 255 - 0.5) / 0.5).transpose(2, 0, 1)
x = np.tile(x[None], (frames, 1, 1, 1))
x = x.reshape(1, frames, 3, side_y // patch // merge, merge, patch, side_x // patch // merge, merge, patch)
x = x.transpose(0, 3, 6, 4, 7, 2, 1, 5, 8).reshape(-1, 3 * frames * patch * patch)
sys.stdout.buffer.write(np.ascontiguousarray(x, np.float32).tobytes())`;

const expected = (data: Uint8Array, size: { width: number; height: number }, layout: PatchLayout): Float32Array => {
	const { width, height, patch, merge, frames } = layout;
	const sizes = [size.width, size.height, width, height, patch, merge, frames].map(String);
	const { stdout, stderr, status } = spawnSync('/usr/bin/python3', ['-c', REFERENCE, ...sizes], {
		input: data,
		maxBuffer: 1 << 26,
	});
	expect(status, String(stderr)).toBe(0);
	return new Float32Array(Uint8Array.from(stdout).buffer);
};

const rowsOf = async (data: Uint8Array, size: { width: number; height: number }, layout: PatchLayout) => {
	const { width, height, patch, frames } = layout;
	const rows = new Float32Array(width * height * 3 * frames);
	expect(rows).toHaveLength((width / patch) * (height / patch) * 3 * frames * patch ** 2);
	await loadNative().patchRows({ ...rgbLayout(size), data }, layout, rows);
	return rows;
};

describe('pixel_values are those of the reference', () => {
	it.each([
		[512, 288],
		[512, 512],
		[256, 256],
		[256, 100],
		[1920, 1080],
		[128, 64],
		[255, 257],
		[33, 1],
	])('of a picture of %i x %i, to the last bit', async (width, height) => {
		const data = gradient(width, height);
		const found = await rowsOf(data, { width, height }, QWEN3_VL);
		const right = expected(data, { width, height }, QWEN3_VL);
		expect(found).toHaveLength(right.length);
		expect(found.findIndex((value, i) => value !== right[i])).toBe(-1);
	});

	it('in another layout', async () => {
		const layout = { width: 96, height: 48, patch: 8, merge: 3, frames: 1 };
		const data = gradient(200, 150);
		expect(await rowsOf(data, { width: 200, height: 150 }, layout)).toEqual(
			expected(data, { width: 200, height: 150 }, layout),
		);
	});
});

it('a layout that does not fit is refused by name', async () => {
	const picture = { ...rgbLayout({ width: 4, height: 4 }), data: new Uint8Array(48) };
	const ask = (layout: PatchLayout, rows = new Float32Array(256 * 1536)) =>
		loadNative().patchRows(picture, layout, rows);
	await expect(ask({ ...QWEN3_VL, width: 272 })).rejects.toThrow(
		'sides in multiples of 32 for layout but received 272x256',
	);
	await expect(ask({ ...QWEN3_VL, patch: 0 })).rejects.toThrow('layout.patch');
	await expect(ask({ ...QWEN3_VL, merge: 9 })).rejects.toThrow('layout.merge');
	await expect(ask(QWEN3_VL, new Float32Array(7))).rejects.toThrow(
		'a Float32Array of 393216 elements for rows but received 7',
	);
	await expect(ask(QWEN3_VL)).resolves.toBeUndefined();
});
