import { type Color, mixColors, type Ramp, ramp, rgb } from './canvas.ts';

export const withAlpha = (color: Color, alpha: number): Color =>
	((color & 0xffffff) | (Math.round(alpha * 255) << 24)) >>> 0;

/** From a colour to nothing, for soft shadows and lights. */
export const fading = (color: Color, alpha: number): Ramp =>
	ramp([0, withAlpha(color, alpha)], [0.5, withAlpha(color, alpha * 0.45)], [1, withAlpha(color, 0)]);

/** From lit to shaded: warm light, cool shadow. */
export const shaded = (color: Color): Ramp =>
	ramp(
		[0, mixColors(color, rgb(255, 240, 206), 0.4)],
		[0.4, color],
		[0.8, mixColors(color, rgb(40, 30, 70), 0.38)],
		[1, mixColors(color, rgb(30, 26, 66), 0.56)],
	);
