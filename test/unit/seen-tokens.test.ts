import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Mask } from '../../sidecar/frame/frame.ts';
import { seenTokens } from '../../sidecar/inference/causal/seen-tokens.ts';
import { seenCells } from '../../sidecar/region/seen-cells.ts';

const GRID = { width: 16, height: 9 };
const KEPT = 43;

/** A mask with a few pixels that are seen. */
const masks = fc
	.record({ width: fc.integer({ min: 1, max: 300 }), height: fc.integer({ min: 1, max: 200 }) })
	.chain(({ width, height }) =>
		fc.array(fc.integer({ min: 0, max: width * height - 1 }), { maxLength: 6 }).map((on): Mask & { on: number[] } => {
			const data = new Uint8Array(width * height);
			for (const at of on) data[at] = 1 + (at % 255);
			return { width, height, data, on };
		}),
	);

describe('what is seen of a painting', () => {
	test('is in cells, at most 64 a side, none of which is off where anything of a pixel is on', () => {
		fc.assert(
			fc.property(masks, ({ width, height, data, on }) => {
				const cells = seenCells({ width, height, data });
				expect(Math.max(cells.width, cells.height)).toBeLessThanOrEqual(64);
				let count = 0;
				for (let y = 0; y < cells.height; y++)
					for (let x = 0; x < cells.width; x++) {
						const overlaps = on.some((at) => {
							const [px, py] = [at % width, Math.floor(at / width)];
							return (
								px * cells.width < (x + 1) * width &&
								(px + 1) * cells.width > x * width &&
								py * cells.height < (y + 1) * height &&
								(py + 1) * cells.height > y * height
							);
						});
						expect(cells.data[y * cells.width + x]).toBe(overlaps ? 1 : 0);
						count += Number(overlaps);
					}
				expect(count > 0).toBe(on.length > 0);
			}),
		);
	});

	test('is worked out once for a mask that stays', () => {
		const mask = { width: 100, height: 50, data: new Uint8Array(5000).fill(255, 0, 200) };
		expect(seenCells(mask)).toBe(seenCells(mask));
	});
});

describe('the tokens that are painted of a part', () => {
	/** The tokens of a mask that shows a box, given in tokens. */
	const boxed = (left: number, top: number, right: number, bottom: number) => {
		const [width, height] = [256, 144];
		const inside = (x: number, y: number) =>
			x >= 16 * left && x < 16 * right && y >= 16 * top && y < 16 * bottom ? 255 : 0;
		const data = Uint8Array.from({ length: width * height }, (_, at) => inside(at % width, Math.floor(at / width)));
		return seenTokens(seenCells({ width, height, data }), GRID, KEPT);
	};
	const inBox = (left: number, top: number, right: number, bottom: number) =>
		Array.from({ length: 144 }, (_, token) => token).filter(
			(token) =>
				token % 16 >= left && token % 16 < right && Math.floor(token / 16) >= top && Math.floor(token / 16) < bottom,
		);

	test('are those in which it lies, then those around them, as many as are asked for', () => {
		// 9 tokens, 25 with those next to them, and 18 of the 24 that are next to these.
		const tokens = [...boxed(5, 3, 8, 6)!];
		expect(tokens).toHaveLength(KEPT);
		expect(new Set(tokens).size).toBe(KEPT);
		expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
		expect(tokens).toEqual(expect.arrayContaining(inBox(4, 2, 9, 7)));
		for (const token of tokens) expect(inBox(3, 1, 10, 8)).toContain(token);
	});

	test('are none where it lies in more, and spread where nothing is seen', () => {
		expect(boxed(0, 0, 16, 2)).toHaveLength(KEPT);
		expect(boxed(0, 0, 15, 3)).toBeUndefined();
		expect(boxed(0, 0, 16, 9)).toBeUndefined();
		const rows = new Set([...boxed(0, 0, 0, 0)!].map((token) => Math.floor(token / 16)));
		expect(rows.size).toBe(9);
	});

	test('lack none in which anything is seen, whatever the mask', () => {
		fc.assert(
			fc.property(masks, ({ width, height, data, on }) => {
				const tokens = seenTokens(seenCells({ width, height, data }), GRID, KEPT);
				for (const at of tokens ? on : []) {
					const column = Math.floor((((at % width) + 0.5) * 16) / width);
					const row = Math.floor(((Math.floor(at / width) + 0.5) * 9) / height);
					expect(tokens).toContain(row * 16 + column);
				}
			}),
		);
	});
});
