import { mixColors, ramp, rgb } from './canvas.ts';
import { placed, type Points } from './path.ts';
import type { Pen } from './pen.ts';

const SAIL = ramp([0, rgb(255, 252, 240)], [1, rgb(206, 196, 190)]);
const HULL = ramp([0, rgb(172, 66, 48)], [1, rgb(96, 34, 34)]);
const GORES = [rgb(222, 70, 56), rgb(250, 196, 72), rgb(244, 238, 224), rgb(60, 128, 168)];

const ROUNDNESS = ramp(
	[0, rgb(255, 250, 220, 0.4)],
	[0.45, rgb(255, 240, 200, 0)],
	[0.5, rgb(40, 20, 60, 0)],
	[1, rgb(40, 20, 60, 0.6)],
);

/** A sailing boat heeling in the wind; the origin is the middle of its waterline, one unit is its mast. */
export const paintBoat = (pen: Pen, timeS: number): void => {
	const boat = pen.moved(placed(0, 0.012 * Math.sin(timeS * 1.7), 1, 0.05 + 0.035 * Math.sin(timeS * 1.1)));
	boat.limb([0, 0, 0, -1], [0.03, 0.016], rgb(92, 66, 50));
	boat.blob([0.03, -0.97, 0.22, -0.6, 0.46, -0.17, 0.25, -0.14, 0.03, -0.16], {
		ramp: SAIL,
		from: [0.4, -0.3],
		to: [0, -0.4],
	});
	boat.blob([-0.03, -0.9, -0.16, -0.5, -0.3, -0.17, -0.15, -0.15, -0.03, -0.17], {
		ramp: SAIL,
		from: [-0.03, -0.4],
		to: [-0.36, -0.2],
	});
	boat.blob([-0.42, -0.1, 0, -0.08, 0.5, -0.12, 0.34, 0.05, 0, 0.07, -0.3, 0.04], {
		ramp: HULL,
		from: [0.2, -0.12],
		to: [0, 0.06],
	});
	boat.limb([-0.4, -0.09, 0, -0.07, 0.48, -0.11], [0.025], rgb(240, 226, 200));
};

/** A balloon in coloured gores with its basket; one unit is its width. */
export const paintBalloon = (pen: Pen, lightSide: number): void => {
	const outline: Points = [
		0, -0.55, 0.36, -0.42, 0.5, -0.08, 0.38, 0.26, 0.12, 0.58, -0.12, 0.58, -0.38, 0.26, -0.5, -0.08, -0.36, -0.42,
	];
	pen.blob(outline, GORES[0]!);
	for (let gore = 5; gore >= 0; gore--) {
		const share = (gore + 0.5) / 6;
		pen.blob(
			outline.map((value, index) => (index % 2 ? value : value * share)),
			GORES[gore % 4]!,
		);
	}
	pen.blob(outline, {
		ramp: ROUNDNESS,
		x: lightSide * 0.26,
		y: -0.3,
		radius: 0.95,
	});
	for (const x of [-0.1, 0.1]) pen.limb([x, 0.56, x * 0.8, 0.78], [0.012], rgb(70, 54, 48));
	pen.polygon([-0.1, 0.76, 0.1, 0.76, 0.08, 0.92, -0.08, 0.92], mixColors(rgb(150, 102, 60), rgb(90, 56, 36), 0.4));
};

/** A flock crossing the sky; one unit is a wing. */
export const paintBirds = (pen: Pen, timeS: number): void => {
	for (let bird = 0; bird < 5; bird++) {
		const beat = Math.sin(timeS * (6.5 + bird * 0.4) + bird * 1.9) * 0.55;
		const body = pen.moved(
			placed(
				bird * 2.6 + 0.4 * Math.sin(timeS + bird),
				Math.abs(bird - 1.5) * 1.3 + 0.4 * Math.sin(timeS * 0.8 + bird * 2),
			),
		);
		for (const side of [1, -1])
			body.limb([0, 0, side * 0.5, -0.25 - beat * 0.6, side, -beat], [0.2, 0.15, 0.04], rgb(56, 60, 84));
	}
};
