import { ramp, rgb } from './canvas.ts';
import { hash } from './noise.ts';
import { placed } from './path.ts';
import type { Fill, Pen } from './pen.ts';
import { withAlpha } from './shades.ts';
import type { View } from './view.ts';

/** Strokes of the letters, straight from point to point, in a box one high. */
const LETTERS: Record<string, { width: number; strokes: number[][] }> = {
	A: {
		width: 0.74,
		strokes: [
			[0, 1, 0.37, 0, 0.74, 1],
			[0.14, 0.66, 0.6, 0.66],
		],
	},
	I: { width: 0.06, strokes: [[0.03, 0, 0.03, 1]] },
	L: { width: 0.5, strokes: [[0, 0, 0, 1, 0.5, 1]] },
	M: { width: 0.86, strokes: [[0, 1, 0.1, 0, 0.43, 0.72, 0.76, 0, 0.86, 1]] },
	P: { width: 0.52, strokes: [[0, 1, 0, 0, 0.3, 0, 0.47, 0.08, 0.52, 0.26, 0.47, 0.45, 0.3, 0.53, 0, 0.53]] },
	R: {
		width: 0.56,
		strokes: [
			[0, 1, 0, 0, 0.3, 0, 0.47, 0.07, 0.52, 0.25, 0.47, 0.43, 0.3, 0.5, 0, 0.5],
			[0.26, 0.5, 0.56, 1],
		],
	},
};
const GAP = 0.3;
const LETTER_HEIGHT = 0.058;
const STROKE = 0.0105;

const BOARD = [-0.185, -0.05, 0.173, -0.047, 0.185, 0, 0.175, 0.05, -0.177, 0.048, -0.191, 0];
const POST = [-0.016, -0.37, 0.016, -0.37, 0.019, 0.006, -0.019, 0.006];

const WOOD = ramp([0, rgb(92, 62, 40)], [0.45, rgb(150, 106, 66)], [1, rgb(190, 144, 96)]);
const CARVED = rgb(46, 28, 20);
const CARVED_EDGE = rgb(224, 186, 134);
const SHADOW = rgb(22, 38, 30, 0.42);

/** A wooden sign that reads "ALLA PRIMA", with its shadow on the grass; the pen's origin is the foot of its post. */
export const paintSign = ({ lightSide, seed }: View, pen: Pen): void => {
	// The sun stands behind: the shadow falls towards us, away from it.
	const away = -0.07 * lightSide;
	pen.polygon([-0.012, 0, 0.012, 0, 0.05 + away, 0.14, 0.02 + away, 0.14], SHADOW);
	pen.ellipse(0, 0.004, 0.04, 0.01, SHADOW);
	const lit = (reach: number): Fill => ({ ramp: WOOD, from: [-lightSide * reach, 0], to: [lightSide * reach, 0] });
	pen.polygon(POST, lit(0.018));
	for (const [row, text] of ['ALLA', 'PRIMA'].entries()) {
		const tilt = 0.035 * (hash(row, 3, seed) - 0.5) + (row ? 0.02 : -0.025);
		paintBoard(pen.moved(placed(0, -0.3 + row * 0.115, 1, tilt)), text, lit(0.22), row + seed);
	}
};

const paintBoard = (pen: Pen, text: string, wood: Fill, seed: number): void => {
	pen.moved(placed(0.004, 0.008)).polygon(BOARD, rgb(40, 26, 18, 0.75));
	pen.polygon(BOARD, wood);
	for (let grain = 0; grain < 9; grain++) {
		const y = (hash(grain, 1, seed) * 1.7 - 0.85) * 0.05;
		const from = hash(grain, 2, seed) * 0.2 - 0.18;
		const to = Math.min(0.165, from + 0.06 + 0.14 * hash(grain, 3, seed));
		pen.limb([from, y, (from + to) / 2, y + 0.003, to, y], [0.001, 0.0024, 0.001], withAlpha(rgb(84, 54, 34), 0.5));
	}
	for (const side of [1, -1]) pen.ellipse(side * 0.165, 0, 0.005, 0.005, rgb(58, 48, 44));
	paintText(pen.moved(placed(0.0022, 0.0022)), text, CARVED_EDGE);
	paintText(pen, text, CARVED);
};

const paintText = (pen: Pen, text: string, color: number): void => {
	const letters = [...text].map((letter) => LETTERS[letter]!);
	let x = -letters.reduce((sum, { width }) => sum + width + GAP, -GAP) / 2;
	for (const { width, strokes } of letters) {
		const at = pen.moved(placed(x * LETTER_HEIGHT, -LETTER_HEIGHT / 2, LETTER_HEIGHT));
		for (const stroke of strokes) {
			for (let from = 0; from + 3 < stroke.length; from += 2) {
				at.limb(stroke.slice(from, from + 4), [STROKE / LETTER_HEIGHT], color);
			}
		}
		x += width + GAP;
	}
};
