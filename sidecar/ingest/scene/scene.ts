import { Canvas, rgb } from './canvas.ts';
import { Figure } from './figure.ts';
import { DEPTH, paintHills, paintMeadow, paintMountains } from './landscape.ts';
import type { Layer } from './layer.ts';
import { hash } from './noise.ts';
import { Path, placed } from './path.ts';
import { paintBalloon, paintBirds, paintBoat } from './passers.ts';
import { Pen } from './pen.ts';
import { paintClouds, paintSky } from './sky.ts';
import { CAMERA_REACH, makeView, type View } from './view.ts';
import { paintWater } from './water.ts';

const HEAD_HEIGHT = 0.235;
const NEAR_DEPTH = 1.35;

/**
 * A painter by a lake on a bright afternoon, in eight depths that the camera moves past. A picture depends on
 * the seed and the time alone.
 */
export class Scene {
	readonly #view: View;
	readonly #canvas: Canvas;
	readonly #sky: Layer;
	readonly #farClouds: Layer;
	readonly #nearClouds: Layer;
	readonly #mountains: Layer;
	readonly #hills: Layer;
	readonly #meadow: Layer;
	readonly #figure: Figure;
	readonly #path = new Path();

	constructor({ width, height }: { width: number; height: number }, seed: number) {
		const view = makeView(width, height, seed);
		this.#view = view;
		this.#canvas = new Canvas(width, height);
		this.#sky = paintSky(view);
		this.#farClouds = paintClouds(view, { seed: seed + 1, top: 0.22, depth: 0.24, size: 0.34, cover: 0.5 });
		this.#nearClouds = paintClouds(view, { seed: seed + 2, top: -0.06, depth: 0.36, size: 0.5, cover: 0.52 });
		this.#mountains = paintMountains(view);
		this.#hills = paintHills(view);
		this.#meadow = paintMeadow(view);
		this.#figure = new Figure(seed);
	}

	/** Paints a moment into pixels of R, G, B, A bytes. */
	paint(pixels: Uint32Array, timeS: number): void {
		const view = this.#view;
		const { height, aspect, horizon, lightSide, seed, figureX, margin } = view;
		const canvas = this.#canvas;
		canvas.pixels = pixels;
		const start = 60 * hash(seed, 5, 9);
		const time = timeS + start;
		const camera = CAMERA_REACH * (0.8 * Math.sin(time * 0.31) + 0.18 * Math.sin(time * 0.83 + 1));
		const lay = (layer: Layer, depth: number, bottom?: number) =>
			layer.lay(canvas, Math.ceil(margin * depth + 2) + camera * depth * height, bottom);
		const pen = (x: number, y: number, scale: number, depth: number, turn = 0) =>
			new Pen(canvas, placed((x - camera * depth) * height, y * height, scale * height, turn), this.#path);

		this.#sky.lay(canvas, margin + camera * DEPTH.sky * height, this.#mountains.hidesFrom);
		this.#farClouds.lay(canvas, time * 0.006 * height + camera * 0.06 * height);
		this.#nearClouds.lay(canvas, time * 0.016 * height + camera * 0.1 * height);
		const across = ((time * 0.014 + hash(seed, 6, 9)) % 1.4) * (aspect + 0.4) - 0.3;
		paintBirds(pen(aspect - across * 1.4, 0.17 + 0.02 * Math.sin(time * 0.5), 0.014, 0.1), time);
		lay(this.#mountains, DEPTH.mountains, this.#hills.hidesFrom);
		const balloonX = (figureX + view.signX) / 2 + 0.06 * Math.sin(time * 0.17);
		paintBalloon(pen(balloonX, 0.2 + 0.025 * Math.sin(time * 0.37), 0.13, 0.2), lightSide);
		lay(this.#hills, DEPTH.hills);
		const sail = ((time * 0.02 + hash(seed, 7, 9)) % 1.3) * aspect - 0.15 * aspect;
		paintBoat(pen(sail, horizon - 0.002, 0.085, 0.4), time);
		paintWater(view, canvas, time, camera, this.#meadow.hidesFrom);
		lay(this.#meadow, DEPTH.meadow);
		this.#figure.paint(pen(figureX, 0.375, HEAD_HEIGHT * (1 + 0.03 * Math.sin(time * 0.23)), 1), {
			timeS: time,
			lightSide,
		});
		this.#paintNearGrass(pen(0, 1, 1, NEAR_DEPTH), time);
	}

	/** Blades and ears that bend in the wind, in front of everything. */
	#paintNearGrass(pen: Pen, timeS: number): void {
		const { aspect, seed } = this.#view;
		const blades = Math.round(34 * aspect);
		for (let blade = 0; blade < blades; blade++) {
			const x = (blade / blades) * (aspect + 0.5) - 0.25 + 0.03 * hash(blade, 1, seed);
			const tall = 0.05 + 0.11 * hash(blade, 2, seed) ** 2;
			const gust = Math.sin(timeS * 1.5 - x * 3) + 0.4 * Math.sin(timeS * 3.3 - x * 7 + blade);
			const bend = (0.3 * (hash(blade, 3, seed) - 0.5) + 0.16 * gust) * tall;
			const shade = 0.25 + 0.5 * hash(blade, 4, seed);
			const line = [x, 0.02, x + bend * 0.3, -tall * 0.55, x + bend, -tall];
			pen.limb(line, [0.01, 0.007, 0.001], rgb(34 + 60 * shade, 66 + 70 * shade, 30 + 16 * shade));
		}
	}
}
