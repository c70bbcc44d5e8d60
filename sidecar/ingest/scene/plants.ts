import { type Color, mixColors, ramp, rgb } from './canvas.ts';
import { mix, randomFrom } from './noise.ts';
import { placed } from './path.ts';
import type { Fill, Pen } from './pen.ts';

/** A tree far away, broad or pointed; one unit is half its width, the origin is its foot. */
export const paintFarTree = (
	pen: Pen,
	{ pointed, dark, bright, lightSide }: { pointed: boolean; dark: Color; bright: Color; lightSide: number },
): void => {
	const fill: Fill = { ramp: ramp([0, bright], [1, dark]), x: 0.5 * lightSide, y: -1.3, radius: 1.7 };
	if (pointed) pen.polygon([0, -2.1, 0.55, 0.3, -0.55, 0.3], fill);
	else pen.ellipse(0, -0.7, 0.8, 0.95, fill);
};

const FLOWERS = [rgb(255, 250, 240), rgb(250, 208, 70), rgb(226, 86, 84), rgb(168, 130, 214)];

/** Flowers on the bank, small far off and large near by; the pen measures in picture heights. */
export const scatterFlowers = (
	pen: Pen,
	{ aspect, seed, shoreAt }: { aspect: number; seed: number; shoreAt: (x: number) => number },
): void => {
	const random = randomFrom(seed + 70);
	const flowers = Array.from({ length: Math.round(150 * aspect) }, () => ({
		x: (random() * 1.3 - 0.15) * aspect,
		far: random() ** 1.6,
		color: FLOWERS[Math.floor(random() * FLOWERS.length)]!,
	}));
	for (const { x, far, color } of flowers.sort((a, b) => b.far - a.far)) {
		const shore = shoreAt(x);
		const y = mix(1.02, shore + 0.02, far);
		const flower = pen.moved(placed(x, y, 0.0016 + 0.03 * (y - shore) ** 1.2));
		flower.limb([0, 1.9, 0.15, 0.3], [0.2], rgb(54, 92, 40));
		flower.ellipse(0, 0, 0.62, 0.5, color);
		flower.ellipse(0, 0.05, 0.22, 0.18, rgb(214, 150, 40));
	}
};

/** A tree that frames the picture: trunk, boughs, leaves in clusters. It grows to the right of the pen's origin. */
export const paintBigTree = (pen: Pen, seed: number): void => {
	const random = randomFrom(seed + 80);
	const bark: Fill = {
		ramp: ramp([0, rgb(52, 38, 32)], [0.5, rgb(96, 70, 50)], [1, rgb(150, 112, 74)]),
		from: [-0.06, 0],
		to: [0.09, 0],
	};
	pen.limb([-0.02, 0.98, 0, 0.7, 0.02, 0.4, -0.01, 0], [0.15, 0.1, 0.085, 0.07], bark);
	pen.limb([0.01, 0.42, 0.1, 0.28, 0.26, 0.2], [0.05, 0.035, 0.012], bark);
	pen.limb([0.01, 0.3, 0.07, 0.14, 0.18, 0.05], [0.045, 0.03, 0.012], bark);
	for (let groove = 0; groove < 14; groove++) {
		const x = (random() - 0.5) * 0.07;
		const y = 0.35 + random() * 0.5;
		pen.limb([x, y, x + 0.004, y + 0.05, x - 0.003, y + 0.12], [0.001, 0.005, 0.001], rgb(44, 30, 26, 0.5));
	}
	const clusters = Array.from({ length: 64 }, () => ({
		x: random() ** 1.4 * 0.46 - 0.08,
		y: random() * 0.3 - 0.06,
		tone: random(),
	}));
	for (const { x, y, tone } of clusters.sort((a, b) => a.tone - b.tone)) {
		const sag = y + 0.25 * Math.max(0, 0.2 - x) * random();
		for (let leaf = 0; leaf < 36; leaf++) {
			const [angle, away] = [random() * 6.283, Math.sqrt(random())];
			const [dx, dy] = [Math.cos(angle) * away * 0.06, Math.sin(angle) * away * 0.04];
			const light = Math.max(0, Math.min(1, 0.25 + 0.4 * tone - dy * 10 + dx * 2 + (random() - 0.5) * 0.4));
			const color = mixColors(rgb(24, 52, 34), light > 0.85 ? rgb(220, 204, 96) : rgb(126, 160, 56), light);
			pen.ellipse(x + dx, sag + dy, 0.0125, 0.0062, color, random() * 3);
		}
	}
};
