import { type Color, mixColors, ramp, rgb } from './canvas.ts';
import { Layer } from './layer.ts';
import { clouded, noise, randomFrom, smoothstep } from './noise.ts';
import { placed } from './path.ts';
import { Pen } from './pen.ts';
import { paintBigTree, paintFarTree, scatterFlowers } from './plants.ts';
import { paintSign } from './sign.ts';
import type { View } from './view.ts';

/** How much of the camera's way a layer follows; 0 is infinitely far. */
export const DEPTH = { sky: 0.04, mountains: 0.14, hills: 0.34, meadow: 0.75 } as const;

const layerFor = ({ width, height, margin }: View, depth: number, top: number, bottom: number): Layer =>
	new Layer(width + 2 * Math.ceil(margin * depth + 2), Math.ceil((bottom - top) * height), Math.round(top * height));

/** Far mountains with snow, sunlit on one flank and blue on the other. */
export const paintMountains = (view: View): Layer => {
	const { height, horizon, seed, lightSide } = view;
	const layer = layerFor(view, DEPTH.mountains, 0.2, horizon + 0.01);
	const { canvas } = layer;
	const ridgeAt = (x: number) =>
		0.27 -
		0.2 * (1 - Math.abs(2 * clouded(x * 1.5 + 3, 0.5, seed + 11, 3) - 1)) ** 2 -
		0.05 * noise(x * 9, 2, seed + 12) -
		0.012 * noise(x * 40, 4, seed + 13);
	const creaseAt = (x: number, y: number) =>
		1 - Math.abs(2 * clouded(x * 9 + 3 * y, y * 6, seed + 21, 5) - 1) + 0.16 * noise(x * 70, y * 50, seed + 24);
	for (let x = 0; x < canvas.width; x++) {
		const u = x / height;
		const ridge = ridgeAt(u);
		for (let y = Math.max(0, Math.floor(ridge * height)); y < canvas.height; y++) {
			const v = y / height;
			const below = v - ridge;
			// The flank a point is on: creases run down from the ridge, bent and broken by noise.
			const bend = 0.1 * clouded(u * 9, v * 9, seed + 22, 3);
			const light = smoothstep(-0.12, 0.12, creaseAt(u + bend, v) - creaseAt(u + bend + 0.014 * lightSide, v - 0.012));
			const snow = smoothstep(
				0.1,
				0.02,
				below + 0.09 * (noise(u * 26, v * 26, seed + 23) - 0.5) + 0.3 * Math.max(0, ridge - 0.12),
			);
			const rock = mixColors(rgb(92, 108, 148), rgb(176, 152, 146), light);
			const color = mixColors(rock, mixColors(rgb(158, 178, 218), rgb(255, 246, 232), light), snow);
			const hazy = mixColors(color, rgb(212, 208, 208), 0.25 + 0.5 * smoothstep(0.05, 0.3, below));
			const cover = Math.min(1, y + 1 - ridge * height);
			canvas.pixels[y * canvas.width + x] = faded(hazy, cover);
		}
	}
	return layer.prepare();
};

/** Wooded hills down to the far shore. */
export const paintHills = (view: View): Layer => {
	const { height, horizon, seed, aspect, lightSide } = view;
	const top = 0.36;
	const layer = layerFor(view, DEPTH.hills, top, horizon + 0.012);
	const { canvas } = layer;
	const random = randomFrom(seed + 40);
	const across = canvas.width / height;
	const pen = new Pen(canvas, placed(0, 0, height));
	const side = Math.ceil(canvas.width / height / aspect) + 1;
	for (const [row, { base, reach, near }] of [
		{ base: 0.1, reach: 0.1, near: 0 },
		{ base: 0.15, reach: 0.07, near: 0.6 },
		{ base: 0.182, reach: 0.03, near: 1 },
	].entries()) {
		const dark = mixColors(rgb(96, 126, 128), rgb(44, 84, 62), near);
		const bright = mixColors(rgb(160, 176, 136), rgb(134, 158, 74), near);
		const ridgeAt = (u: number) => base - reach * (clouded(u * 1.3, row * 9, seed + 50 + row, 3) - 0.35);
		const outline: number[] = [];
		for (let step = 0; step < 80; step++) {
			const u = (step / 79) * across;
			outline.push(u, ridgeAt(u));
		}
		pen.polygon([...outline, across, 1, 0, 1], {
			ramp: ramp([0, bright], [1, dark]),
			from: [0, base - reach / 2],
			to: [0, base + 0.08],
		});
		const trees = Math.round((150 + 90 * near) * aspect * side * 0.5);
		for (let tree = 0; tree < trees; tree++) {
			const u = random() * across;
			const v = ridgeAt(u) + random() ** 2 * 0.08 * (0.4 + near);
			const size = (0.012 + 0.012 * near) * (0.6 + 0.8 * random());
			const tone = random();
			paintFarTree(pen.moved(placed(u, v, size)), {
				pointed: random() < 0.4,
				dark: mixColors(dark, rgb(30, 66, 60), 0.5 * tone),
				bright: mixColors(bright, rgb(214, 170, 76), 0.55 * tone * near),
				lightSide,
			});
		}
	}
	return layer.prepare();
};

/** The near bank: grass, flowers, a path to the water, a big tree, and the sign with its shadow. */
export const paintMeadow = (view: View): Layer => {
	const { height, seed, lightSide, margin, signX } = view;
	const top = 0;
	const layer = layerFor(view, DEPTH.meadow, top, 1);
	const { canvas } = layer;
	const left = Math.ceil(margin * DEPTH.meadow + 2);
	const shoreAt = (u: number) => 0.715 + 0.035 * Math.sin(u * 2.2 + seed) + 0.018 * noise(u * 7, 0, seed + 60);
	for (let x = 0; x < canvas.width; x++) {
		const u = (x - left) / height;
		const shore = shoreAt(u);
		for (let y = Math.floor(shore * height); y < canvas.height; y++) {
			const v = y / height;
			const depth = 0.09 / (v - shore + 0.09);
			// Grass: strokes that grow towards us.
			const blades = noise(u * 160 * depth, v * 60 * depth, seed + 61);
			const patches = clouded(u * 6 * Math.sqrt(depth), v * 14 * depth, seed + 62, 3);
			const track =
				Math.abs(u - signX - 0.19 * lightSide * -1 - 0.12 * Math.sin((v - shore) * 7)) - 0.03 - 0.25 * (v - shore);
			const grass = mixColors(
				mixColors(rgb(58, 96, 44), rgb(150, 168, 66), patches),
				rgb(206, 204, 108),
				0.45 * blades * blades,
			);
			const sand = mixColors(rgb(186, 152, 106), rgb(226, 198, 148), noise(u * 60 * depth, v * 40, seed + 63));
			const ground = mixColors(sand, grass, smoothstep(-0.03, 0.03, track + 0.03 * (patches - 0.5)));
			const wet = mixColors(rgb(124, 108, 84), ground, smoothstep(0, 0.012, v - shore));
			canvas.pixels[y * canvas.width + x] = faded(
				mixColors(wet, rgb(24, 46, 36), 0.42 * smoothstep(0.8, 1.05, v)),
				Math.min(1, y + 1 - shore * height),
			);
		}
	}
	const pen = new Pen(canvas, placed(left, 0, height));
	scatterFlowers(pen, { ...view, shoreAt });
	paintSign(view, pen.moved(placed(signX, 0.86)));
	const treeX = lightSide > 0 ? view.aspect + 0.02 : -0.02;
	paintBigTree(pen.moved([-lightSide, 0, 0, 1, treeX, 0]), seed);
	return layer.prepare();
};

const faded = (color: Color, alpha: number): Color =>
	alpha >= 1 ? color : rgb((color & 255) * alpha, ((color >>> 8) & 255) * alpha, ((color >>> 16) & 255) * alpha, alpha);
