import { type Color, mixColors, type Ramp, ramp, rgb } from './canvas.ts';
import { fading, withAlpha } from './shades.ts';
import type { Pen } from './pen.ts';

const OUTLINE = [
	0, -0.56, 0.26, -0.5, 0.42, -0.26, 0.445, 0.02, 0.405, 0.23, 0.3, 0.41, 0.13, 0.535, 0, 0.56, -0.13, 0.535, -0.3,
	0.41, -0.405, 0.23, -0.445, 0.02, -0.42, -0.26, -0.26, -0.5,
];
const BROW_SHADOW = [-0.44, -0.5, 0.4, -0.5, 0.43, -0.3, 0.1, -0.27, -0.3, -0.2, -0.43, 0.1];
const NOSE_SHADOW = [-0.04, -0.1, -0.012, 0, -0.01, 0.12, -0.03, 0.19, -0.085, 0.19, -0.095, 0.13, -0.07, 0.02];
/** From the inner corner of an eye, -1, to the outer, 1. */
const ALONG_EYE = Array.from({ length: 9 }, (_, index) => index / 4 - 1);

/** A face lit from the right, one unit high: looks about, blinks, talks and smiles. */
export class Face {
	readonly #skin: Ramp;
	readonly #shade: Ramp;
	readonly #faint: Ramp;
	readonly #blush: Ramp;
	readonly #shine: Ramp;
	readonly #iris = ramp(
		[0, rgb(34, 26, 26)],
		[0.38, rgb(38, 32, 34)],
		[0.46, rgb(112, 148, 130)],
		[0.8, rgb(58, 94, 104)],
		[1, rgb(28, 40, 52)],
	);
	readonly #line: Color;
	readonly #brow: Color;
	readonly #lid: Color;
	readonly #lip: Color;

	constructor({ skin, hair }: { skin: Color; hair: Color }) {
		const shadow = mixColors(skin, rgb(96, 40, 70), 0.5);
		this.#skin = ramp(
			[0, mixColors(skin, rgb(255, 244, 216), 0.5)],
			[0.42, skin],
			[0.72, mixColors(skin, rgb(150, 74, 76), 0.28)],
			[1, mixColors(skin, rgb(92, 48, 84), 0.5)],
		);
		this.#blush = fading(mixColors(skin, rgb(228, 72, 72), 0.6), 0.55);
		this.#shine = fading(mixColors(skin, rgb(255, 250, 232), 0.75), 0.5);
		this.#shade = fading(shadow, 0.75);
		this.#faint = fading(shadow, 0.5);
		this.#line = mixColors(shadow, rgb(40, 16, 24), 0.72);
		this.#brow = mixColors(hair, rgb(30, 18, 18), 0.35);
		this.#lid = mixColors(skin, rgb(150, 78, 78), 0.28);
		this.#lip = mixColors(skin, rgb(196, 52, 66), 0.68);
	}

	paint(pen: Pen, timeS: number): void {
		pen.blob(OUTLINE, { ramp: this.#skin, x: 0.26, y: -0.14, radius: 0.86 });
		// The shadow of hair and beret.
		pen.blob(BROW_SHADOW, { ramp: this.#shade, from: [-0.02, -0.42], to: [0.03, -0.12] });
		for (const side of [1, -1]) {
			pen.ellipse(side * 0.25, 0.17, 0.15, 0.12, { ramp: this.#blush, x: side * 0.25, y: 0.17, radius: 0.15 });
		}
		pen.ellipse(0.25, 0.1, 0.11, 0.08, { ramp: this.#shine, x: 0.25, y: 0.1, radius: 0.11 });
		this.#paintNose(pen);
		const gaze = lookAbout(timeS);
		const open = 1 - blink(timeS);
		const smile = 0.6 + 0.4 * Math.sin(timeS * 0.47 + 0.8);
		const lift = 0.012 * Math.sin(timeS * 0.9) + 0.014 * Math.max(0, Math.sin(timeS * 0.47));
		for (const side of [1, -1] as const) this.#paintEye(pen, side, open - 0.12 * smile, gaze, lift);
		this.#paintMouth(pen, talk(timeS), smile);
	}

	#paintNose(pen: Pen): void {
		pen.blob(NOSE_SHADOW, { ramp: this.#faint, from: [0, 0.1], to: [-0.11, 0.06] });
		pen.ellipse(-0.005, 0.21, 0.08, 0.035, { ramp: this.#shade, x: -0.015, y: 0.212, radius: 0.08 });
		pen.ellipse(0.018, 0.135, 0.034, 0.042, { ramp: this.#shine, x: 0.022, y: 0.13, radius: 0.045 });
		for (const side of [1, -1]) {
			pen.limb([side * 0.026, 0.197, side * 0.05, 0.19], [0.018, 0.012], withAlpha(this.#line, 0.6));
		}
	}

	#paintEye(pen: Pen, side: 1 | -1, open: number, [gazeX, gazeY]: readonly [number, number], lift: number): void {
		const [x, y] = [side * 0.186, -0.015];
		const [half, up, down] = [0.1, 0.07 * open, 0.038 * open];
		const upper = (at: number) => y - up * (1 - at * at) - 0.006 * at * side;
		const lower = (at: number) => y + down * (1 - at * at) - 0.006 * at * side;
		const lidLine = (lid: (at: number) => number, wider = 1) =>
			ALONG_EYE.flatMap((at) => [x + at * half * wider, lid(at)]);
		pen.ellipse(x, y - 0.03, 0.14, 0.1, { ramp: this.#faint, x, y: y - 0.05, radius: 0.14 });
		if (open > 0.12) {
			const white = [...lidLine(upper), ...ALONG_EYE.toReversed().flatMap((at) => [x + at * half, lower(at)])];
			pen.polygon(white, rgb(248, 244, 240));
			// The iris, cut by the lids.
			const [irisX, irisY, radius] = [x + gazeX * 0.032, y - 0.012 + gazeY * 0.014, 0.056];
			const iris: number[] = [];
			for (let step = 0; step < 24; step++) {
				const angle = (step / 24) * 2 * Math.PI;
				const edge = irisX + radius * Math.cos(angle);
				const at = Math.max(-1, Math.min(1, (edge - x) / half));
				iris.push(edge, Math.max(upper(at), Math.min(lower(at), irisY + radius * Math.sin(angle))));
			}
			pen.polygon(iris, { ramp: this.#iris, x: irisX, y: irisY, radius });
			if (open > 0.5) pen.ellipse(irisX + 0.02, irisY - 0.018, 0.015, 0.015, rgb(255, 255, 255));
			pen.limb(
				lidLine((at) => lower(at) + 0.004),
				[0.003, 0.008, 0.003],
				withAlpha(this.#line, 0.5),
			);
		} else {
			pen.ellipse(x, y, half, 0.034, this.#lid);
		}
		const lashWidths = side > 0 ? [0.008, 0.024, 0.024] : [0.024, 0.024, 0.008];
		pen.limb(
			lidLine((at) => upper(at) - 0.004, 1.06),
			lashWidths,
			this.#line,
		);
		pen.limb([x - half, y - 0.056, x, y - 0.1, x + half, y - 0.056], [0.003, 0.01, 0.003], withAlpha(this.#line, 0.4));
		const [inner, outer, brow] = [x - side * 0.095, x + side * 0.125, y - 0.152 - lift];
		pen.limb(
			[inner, brow + 0.008, x + side * 0.03, brow - 0.024, outer, brow + 0.022],
			[0.034, 0.03, 0.008],
			this.#brow,
		);
	}

	/** `open` 0..1 parts the lips, `smile` 0..1 draws the corners out and up. */
	#paintMouth(pen: Pen, open: number, smile: number): void {
		const y = 0.34;
		const half = 0.125 + 0.04 * smile - 0.025 * open;
		const corner = y - 0.038 * smile;
		const gap = 0.095 * open;
		const [top, bottom] = [y - gap * 0.25, y + gap * 0.75 + 0.006];
		const chin = y + 0.1 + gap * 0.5;
		pen.ellipse(0, chin, 0.085, 0.03, { ramp: this.#faint, x: -0.01, y: chin, radius: 0.085 });
		const upperLip = [-half, corner, -half * 0.5, top - 0.022, -0.024, top - 0.036, 0, top - 0.028];
		const upperLipLit = [0.024, top - 0.036, half * 0.5, top - 0.022, half, corner];
		const lowerLip = [half * 0.55, bottom + 0.026, 0, bottom + 0.044, -half * 0.55, bottom + 0.026];
		pen.blob([...upperLip, ...upperLipLit, ...lowerLip], this.#lip);
		if (open > 0.06) {
			const roof = [-half * 0.86, corner + 0.004, -half * 0.4, top - 0.002, 0, top, half * 0.4, top - 0.002];
			const floor = [
				half * 0.86,
				corner + 0.004,
				half * 0.5,
				bottom - 0.006,
				0,
				bottom + 0.006,
				-half * 0.5,
				bottom - 0.006,
			];
			pen.blob([...roof, ...floor], rgb(84, 20, 30));
			const teeth = top + Math.min(0.03, gap * 0.42);
			const gums = [-half * 0.66, corner + 0.012, 0, top + 0.002, half * 0.66, corner + 0.012];
			pen.blob([...gums, half * 0.4, teeth, -half * 0.4, teeth], rgb(252, 247, 240));
			if (open > 0.4) pen.ellipse(0, bottom - 0.012, half * 0.45, 0.018, rgb(204, 94, 94));
		} else {
			const parting = [-half, corner, -half * 0.45, y - 0.004, 0, y - 0.002, half * 0.45, y - 0.004, half, corner];
			pen.limb(parting, [0.006, 0.012, 0.011, 0.012, 0.006], withAlpha(this.#line, 0.85));
		}
		pen.ellipse(0.03, bottom + 0.02, 0.042, 0.012, { ramp: this.#shine, x: 0.03, y: bottom + 0.02, radius: 0.045 });
		for (const side of [1, -1]) {
			const dimple = side * (half + 0.014);
			pen.limb(
				[dimple, corner - 0.014, dimple + side * 0.008, corner + 0.012],
				[0.009, 0.004],
				withAlpha(this.#line, 0.35),
			);
		}
	}
}

/** 0 open to 1 shut: about every three seconds, now and then twice. */
const blink = (timeS: number): number => {
	const shut = (at: number) => Math.max(0, 1 - Math.abs(at) / 0.11);
	const phase = timeS % 3.1;
	return Math.max(shut(phase - 1.2), Math.floor(timeS / 3.1) % 3 === 1 ? shut(phase - 1.55) : 0);
};

/** Syllables, with pauses. */
const talk = (timeS: number): number => {
	const speaking = Math.max(0, Math.min(1, 2.4 * Math.sin(timeS * 0.93 + 0.4) + 0.9));
	const syllable =
		0.5 + 0.32 * Math.sin(timeS * 13.1) + 0.28 * Math.sin(timeS * 8.3 + 1.7) + 0.15 * Math.sin(timeS * 19.7);
	return speaking * Math.max(0, Math.min(1, syllable));
};

/** Where the eyes look: rest, then move on quickly. */
const lookAbout = (timeS: number): readonly [number, number] => {
	const hold = 1.7;
	const index = Math.floor(timeS / hold);
	const move = Math.min(1, ((timeS / hold) % 1) / 0.09);
	const [fromX, fromY] = restingPlace(index - 1);
	const [toX, toY] = restingPlace(index);
	return [fromX + (toX - fromX) * move, fromY + (toY - fromY) * move];
};

const restingPlace = (index: number): readonly [number, number] => [
	Math.sin(index * 2.4 + 0.3) * 0.8,
	Math.sin(index * 1.7) * 0.5,
];
