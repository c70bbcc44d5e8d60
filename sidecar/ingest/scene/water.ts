import { blendPixel, type Canvas, type Color, mixColors, rgb } from './canvas.ts';
import type { View } from './view.ts';

const SINE_STEPS = 1024;
const TURN = 2 * Math.PI;
const PER_RADIAN = SINE_STEPS / TURN;
const SINE = Float32Array.from({ length: SINE_STEPS }, (_, step) => Math.sin((step / SINE_STEPS) * TURN));

/** The lake: what stands above the far shore, mirrored, rippled row by row, with the sun's glitter on it. */
export const paintWater = (
	{ width, height, horizon, sun }: View,
	canvas: Canvas,
	timeS: number,
	cameraX: number,
	bottom: number,
): void => {
	const { pixels } = canvas;
	const shore = Math.round(horizon * height);
	const last = Math.min(height, bottom);
	const glitterX = sun.x * height - cameraX * 0.04 * height;
	const glitter = rgb(255, 240, 200);
	for (let y = shore; y < last; y++) {
		const near = (y - shore) / (0.22 * height);
		const wave = 26 / (near + 0.12);
		const reach = (0.0015 + 0.013 * near) * height;
		const bob = Math.sin(wave * 2.1 - timeS * 2.3) + 0.6 * Math.sin(wave * 3.7 + timeS * 1.7 + 1);
		const mirrored = Math.max(0, Math.min(shore - 1, Math.round(shore - 1 - (y - shore) * 1.25 - bob * reach * 0.35)));
		const tint: Color = mixColors(rgb(86, 128, 158), rgb(28, 74, 104), Math.min(1, near));
		const weight = Math.round(256 * (0.68 - 0.3 * Math.min(1, near)) * (1 + 0.12 * bob * Math.min(1, near + 0.2)));
		const from = mirrored * width;
		const row = y * width;
		const sway = reach * Math.sin(wave * 1.3 + timeS * 1.9);
		const stretch = 0.9 / (0.02 * height * (0.4 + near));
		const phase = y * 1.7 + timeS * 2.6;
		const spark = Math.max(0.06, 0.34 * (0.35 + near)) * height;
		// Two sines a pixel, from the table, by adding up.
		let first = (phase % TURN) * PER_RADIAN;
		let second = SINE_STEPS * 4 - ((phase * 0.7) % TURN) * PER_RADIAN;
		const firstStep = stretch * PER_RADIAN;
		const secondStep = firstStep * 0.53;
		for (let x = 0; x < width; x++) {
			const ripple = SINE[first & (SINE_STEPS - 1)]! + SINE[second & (SINE_STEPS - 1)]!;
			first += firstStep;
			second += secondStep;
			let at = (x + sway + ripple * reach * 0.4) | 0;
			at = at < 0 ? 0 : at >= width ? width - 1 : at;
			let color = blendPixel(tint, pixels[from + at]!, weight);
			const aside = x - glitterX;
			if (aside < spark && aside > -spark) {
				const shine = ripple - 0.75 + 0.7 * bob - (aside < 0 ? -aside : aside) / spark;
				if (shine > 0) color = blendPixel(color, glitter, shine > 0.7 ? 225 : (shine * 320) | 0);
			}
			pixels[row + x] = color;
		}
	}
};
