/**
 * Standard normal numbers from a seed, the same on every machine: xoshiro128** (Blackman and Vigna, 2018)
 * seeded by splitmix32, through Box and Muller's transform.
 */
export const gaussianNoise = (seed: number, length: number): Float32Array => {
	const uniform = xoshiro128(seed);
	const noise = new Float32Array(length);
	for (let i = 0; i < length; i += 2) {
		const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
		const angle = 2 * Math.PI * uniform();
		noise[i] = radius * Math.cos(angle);
		if (i + 1 < length) noise[i + 1] = radius * Math.sin(angle);
	}
	return noise;
};

/** Uniform numbers in [0, 1). */
const xoshiro128 = (seed: number): (() => number) => {
	let mixed = seed >>> 0;
	const splitmix = () => {
		mixed = (mixed + 0x9e3779b9) >>> 0;
		let z = mixed;
		z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
		z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
		return (z ^ (z >>> 15)) >>> 0;
	};
	let [a, b, c, d] = [splitmix(), splitmix(), splitmix(), splitmix()];
	const rotate = (x: number, k: number) => (x << k) | (x >>> (32 - k));
	return () => {
		const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
		const t = b << 9;
		c ^= a;
		d ^= b;
		b ^= c;
		a ^= d;
		c ^= t;
		d = rotate(d, 11);
		return result / 2 ** 32;
	};
};
