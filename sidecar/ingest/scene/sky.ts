import { Canvas, mixColors, ramp, rgb } from './canvas.ts';
import { Layer } from './layer.ts';
import { clouded, mix, smoothstep } from './noise.ts';
import { Path } from './path.ts';
import type { View } from './view.ts';

const ZENITH = rgb(52, 116, 190);
const MIDDLE = rgb(126, 180, 220);
const HAZE = rgb(250, 224, 186);

/** The sky with its sun, which hardly moves. */
export const paintSky = ({ width, height, horizon, margin, sun }: View): Layer => {
	const layer = new Layer(width + 2 * margin, Math.ceil(horizon * height) + 1, 0);
	const { canvas } = layer;
	for (let y = 0; y < canvas.height; y++) {
		const down = y / canvas.height;
		const color = down < 0.55 ? mixColors(ZENITH, MIDDLE, down / 0.55) : mixColors(MIDDLE, HAZE, (down - 0.55) / 0.45);
		canvas.pixels.fill(color, y * canvas.width, (y + 1) * canvas.width);
	}
	const [x, y] = [sun.x * height + margin, sun.y * height];
	const glow = (radius: number, colors: Uint32Array) =>
		canvas.fill(new Path().ellipse(x, y, radius, radius, 0, 90), { kind: 'radial', ramp: colors, x, y, radius });
	glow(0.75 * height, ramp([0, rgb(255, 236, 190, 0.75)], [0.3, rgb(255, 226, 176, 0.36)], [1, rgb(255, 220, 170, 0)]));
	glow(0.07 * height, ramp([0, rgb(255, 255, 244)], [0.72, rgb(255, 251, 226)], [1, rgb(255, 244, 200, 0)]));
	return layer.prepare();
};

/** A band of clouds that drifts round and round; lit from the side of the sun, darker underneath. */
export const paintClouds = (
	view: View,
	{ seed, top, depth, size, cover }: { seed: number; top: number; depth: number; size: number; cover: number },
): Layer => {
	const { width, height, sun } = view;
	const layer = new Layer(2 * width, Math.ceil(depth * height), Math.round(top * height), { wraps: true });
	const { canvas } = layer;
	const density = cloudDensity(canvas, { seed, size: size * height, cover });
	const lightX = (sun.x * height < width / 2 ? -1 : 1) * Math.max(2, Math.round(height * 0.016));
	const lightY = -Math.max(2, Math.round(height * 0.022));
	for (let y = 0; y < canvas.height; y++) {
		for (let x = 0; x < canvas.width; x++) {
			const here = density[y * canvas.width + x]!;
			if (here <= 0) continue;
			const towardsY = Math.max(0, y + lightY);
			const towards = density[towardsY * canvas.width + ((x + lightX + canvas.width) % canvas.width)]!;
			const light = smoothstep(-0.35, 0.45, here - towards + 0.12) * 0.75 + 0.25 * (1 - y / canvas.height);
			const alpha = smoothstep(0, 0.5, here);
			canvas.pixels[y * canvas.width + x] = premultiplied(
				mix(158, 255, light),
				mix(166, 248, light),
				mix(190, 236, light),
				alpha,
			);
		}
	}
	return layer.prepare();
};

/** Thick in the middle of the band, nothing at its edges. Worked out at a quarter of the pixels. */
const cloudDensity = (
	{ width, height }: Canvas,
	{ seed, size, cover }: { seed: number; size: number; cover: number },
): Float32Array => {
	const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)];
	const period = Math.max(2, Math.round(width / size));
	const half = new Float32Array(halfWidth * halfHeight);
	for (let y = 0; y < halfHeight; y++) {
		const [row, down] = [((y * 2) / size) * 1.7, y / halfHeight];
		const band = smoothstep(0, 0.45, down) * smoothstep(1, 0.62, down);
		for (let x = 0; x < halfWidth; x++) {
			const column = (x / halfWidth) * period;
			const swirl = 0.55 * clouded(column, row + 7, seed + 31, 2, period);
			half[y * halfWidth + x] =
				(clouded(column, row + swirl, seed, 5, period) - 1 + cover) * 3.4 * band - (1 - band) * 0.25;
		}
	}
	const full = new Float32Array(width * height);
	for (let y = 0; y < height; y++) {
		const [above, below] = [y >> 1, Math.min(halfHeight - 1, (y + 1) >> 1)];
		for (let x = 0; x < width; x++) {
			const [left, right] = [x >> 1, ((x + 1) >> 1) % halfWidth];
			full[y * width + x] =
				(half[above * halfWidth + left]! +
					half[above * halfWidth + right]! +
					half[below * halfWidth + left]! +
					half[below * halfWidth + right]!) /
				4;
		}
	}
	return full;
};

const premultiplied = (red: number, green: number, blue: number, alpha: number): number =>
	rgb(red * alpha, green * alpha, blue * alpha, alpha);
