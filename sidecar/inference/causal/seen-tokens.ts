import type { Mask, Size } from '../../frame/frame.ts';
import { largest } from './history-mask.ts';

/**
 * The tokens of a grid in which anything of the painting is seen, and of the others those next to them: exactly `count`, in the
 * order of their numbers. Undefined where more are seen.
 */
export const seenTokens = (seen: Mask, grid: Size, count: number): Uint32Array | undefined => {
	const distances = distancesFrom(touched(seen, grid), grid);
	if (distances.filter((distance) => distance === 0).length > count) return undefined;
	return largest(
		distances.map((distance) => -distance),
		count,
	);
};

/** A cell that lies in two tokens touches both. */
const touched = ({ width, height, data }: Mask, grid: Size): Uint8Array => {
	const tokens = new Uint8Array(grid.width * grid.height);
	for (let y = 0, at = 0; y < height; y++)
		for (let x = 0; x < width; x++, at++) {
			if (data[at] === 0) continue;
			const [bottom, right] = [((y + 1) * grid.height) / height, ((x + 1) * grid.width) / width];
			for (let row = Math.floor((y * grid.height) / height); row < bottom; row++)
				for (let column = Math.floor((x * grid.width) / width); column < right; column++)
					tokens[row * grid.width + column] = 1;
		}
	return tokens;
};

/** By sides and corners; farther than any where nothing is touched. */
const distancesFrom = (tokens: Uint8Array, { width, height }: Size): Float32Array => {
	const distances = new Float32Array(tokens.length).fill(width + height);
	let ring = [...tokens.keys()].filter((token) => tokens[token] !== 0);
	for (const token of ring) distances[token] = 0;
	for (let distance = 1; ring.length > 0; distance++) {
		const next: number[] = [];
		for (const token of ring)
			for (const dy of [-1, 0, 1])
				for (const dx of [-1, 0, 1]) {
					const [x, y] = [(token % width) + dx, Math.floor(token / width) + dy];
					if (x < 0 || y < 0 || x >= width || y >= height || distances[y * width + x]! <= distance) continue;
					distances[y * width + x] = distance;
					next.push(y * width + x);
				}
		ring = next;
	}
	return distances;
};
