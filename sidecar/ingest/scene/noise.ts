/** A number in 0..1 from two whole numbers and a seed, always the same. */
export const hash = (x: number, y: number, seed: number): number => {
	let bits = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ Math.imul(seed, 0x9e3779b1);
	bits = Math.imul(bits ^ (bits >>> 15), 0x85ebca6b);
	bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
	return ((bits ^ (bits >>> 16)) >>> 0) / 0x1_0000_0000;
};

/** Random values of a lattice that repeats after 256 cells, out of sight. */
const LATTICE = Float32Array.from({ length: 65536 }, (_, at) => hash(at & 255, at >> 8, 1));

/** Smooth noise in 0..1; `periodX` (a whole number) makes it repeat sooner. */
export const noise = (x: number, y: number, seed: number, periodX = 0): number => {
	const cellX = Math.floor(x);
	const cellY = Math.floor(y);
	const shareX = fade(x - cellX);
	const shareY = fade(y - cellY);
	let left = cellX;
	let right = cellX + 1;
	if (periodX) {
		left = ((cellX % periodX) + periodX) % periodX;
		right = left + 1 === periodX ? 0 : left + 1;
	}
	const column = seed * 37;
	const above = ((cellY + seed * 101) & 255) << 8;
	const below = ((cellY + 1 + seed * 101) & 255) << 8;
	const topLeft = LATTICE[above | ((left + column) & 255)]!;
	const topRight = LATTICE[above | ((right + column) & 255)]!;
	const bottomLeft = LATTICE[below | ((left + column) & 255)]!;
	const bottomRight = LATTICE[below | ((right + column) & 255)]!;
	const top = topLeft + (topRight - topLeft) * shareX;
	const bottom = bottomLeft + (bottomRight - bottomLeft) * shareX;
	return top + (bottom - top) * shareY;
};

/** Noise of several octaves, 0..1, around one half. */
export const clouded = (x: number, y: number, seed: number, octaves: number, periodX = 0): number => {
	let [sum, weight, total] = [0, 1, 0];
	for (let octave = 0; octave < octaves; octave++) {
		const scale = 1 << octave;
		sum += weight * noise(x * scale, y * scale, seed + octave, periodX * scale);
		total += weight;
		weight *= 0.5;
	}
	return sum / total;
};

export const mix = (a: number, b: number, share: number): number => a + (b - a) * share;
export const smoothstep = (from: number, to: number, value: number): number =>
	fade(Math.max(0, Math.min(1, (value - from) / (to - from))));
const fade = (t: number): number => t * t * (3 - 2 * t);

/** The same random numbers, 0..1, for the same seed. */
export const randomFrom = (seed: number): (() => number) => {
	let count = 0;
	return () => hash(count++, 77, seed);
};
