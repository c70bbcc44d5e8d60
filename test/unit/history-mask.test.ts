import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../../sidecar/frame/tensor.ts';
import { historyScores, largest, tokensOf } from '../../sidecar/inference/causal/history-mask.ts';

const latents = (channels: number, height: number, width: number, value = 0): Tensor<Float32Array> => ({
	data: new Float32Array(channels * height * width).fill(value),
	shape: [1, channels, height, width],
});

describe('how far a painting is from its source', () => {
	test('is the mean square of a token over its cells and channels', () => {
		const [painting, source] = [latents(2, 4, 6), latents(2, 4, 6, 1)];
		// Row 3, column 4 of the second channel: in the last token.
		painting.data[1 * 24 + 3 * 6 + 4] = 5;
		expect([...historyScores(painting, source, 2)]).toEqual([1, 1, 1, 1, 1, (7 + 16) / 8]);
	});

	test('is nothing where nothing was painted', () => {
		const same = latents(12, 8, 8, 0.3);
		expect([...historyScores(same, same, 4)]).toEqual([0, 0, 0, 0]);
	});

	test.each([
		['another size', latents(2, 4, 4), latents(2, 4, 6), 2],
		['tokens that do not cover its width', latents(2, 4, 6), latents(2, 4, 6), 4],
		['tokens that do not cover its height', latents(2, 6, 4), latents(2, 6, 4), 4],
	])('%s is refused', (_, painting, source, patch) => {
		expect(() => historyScores(painting, source, patch)).toThrow(expect.objectContaining({ code: 'ERR_MODEL' }));
	});
});

const scores = fc.array(fc.oneof(fc.float(), fc.constantFrom(0, 1, NaN, Infinity)), { minLength: 1, maxLength: 200 });

describe('the tokens that are painted anew', () => {
	test('are exactly as many as asked for, each once, in their order', () => {
		fc.assert(
			fc.property(scores, fc.nat({ max: 200 }), (given, wanted) => {
				const count = Math.min(wanted, given.length);
				const kept = [...largest(Float32Array.from(given), count)];
				expect(kept).toHaveLength(count);
				expect(kept).toEqual([...new Set(kept)].sort((a, b) => a - b));
				expect(kept.every((token) => token < given.length)).toBe(true);
			}),
		);
	});

	test('are those with the largest scores, and what is no number is the largest', () => {
		fc.assert(
			fc.property(scores, fc.nat({ max: 200 }), (given, wanted) => {
				const kept = new Set(largest(Float32Array.from(given), Math.min(wanted, given.length)));
				const score = (token: number) => {
					const value = Math.fround(given[token]!);
					return Number.isNaN(value) ? Infinity : value;
				};
				const tokens = [...given.keys()];
				const least = Math.min(...tokens.filter((token) => kept.has(token)).map(score));
				expect(tokens.filter((token) => !kept.has(token) && score(token) > least)).toEqual([]);
			}),
		);
	});

	test('of a picture that is the same everywhere come from all of it, and not from the top', () => {
		const [rows, columns] = [9, 16];
		const kept = [...largest(new Float32Array(rows * columns), 43)];
		const perRow = Array.from(
			{ length: rows },
			(_, row) => kept.filter((at) => Math.floor(at / columns) === row).length,
		);
		// 43 of 144 are 4.8 of each row of 16.
		expect(Math.min(...perRow)).toBeGreaterThanOrEqual(4);
		expect(Math.max(...perRow)).toBeLessThanOrEqual(6);
	});

	test('are a share, at least one and at most all', () => {
		expect([0, 0.001, 0.3, 1, 7].map((share) => tokensOf(share, 144))).toEqual([1, 1, 43, 144, 144]);
	});
});
