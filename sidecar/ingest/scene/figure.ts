import { type Color, mixColors, rgb } from './canvas.ts';
import { Costume } from './costume.ts';
import { Face } from './face.ts';
import { Hair } from './hair.ts';
import { randomFrom } from './noise.ts';
import type { Pen } from './pen.ts';
import { fading, shaded, withAlpha } from './shades.ts';

const SKINS = [rgb(240, 194, 162), rgb(224, 168, 128), rgb(178, 122, 88), rgb(130, 86, 64)];
const HAIRS = [rgb(104, 58, 32), rgb(52, 36, 36), rgb(176, 110, 48), rgb(130, 48, 28)];
const COATS = [rgb(42, 84, 132), rgb(40, 104, 98), rgb(98, 66, 120), rgb(70, 96, 60)];
const SCARVES = [rgb(236, 184, 66), rgb(232, 122, 84), rgb(242, 230, 208), rgb(112, 172, 194)];
const BERET = rgb(186, 46, 48);

const BERET_OUTLINE = [
	-0.5, -0.4, -0.56, -0.56, -0.44, -0.76, -0.06, -0.88, 0.36, -0.86, 0.64, -0.68, 0.66, -0.5, 0.44, -0.44, 0.1, -0.44,
	-0.24, -0.41,
];

/**
 * A painter with a beret, from the waist up: breathes, looks about, talks, waves a brush. One unit is the
 * height of the head, the origin is the middle of the face.
 */
export class Figure {
	readonly #face: Face;
	readonly #hair: Hair;
	readonly #costume: Costume;
	readonly #beret = shaded(BERET);
	readonly #neck;
	readonly #ear;
	readonly #chinShadow = fading(rgb(60, 24, 46), 0.8);

	constructor(seed: number) {
		const random = randomFrom(seed + 500);
		const pick = (colors: readonly Color[]) => colors[Math.floor(random() * colors.length)]!;
		const [skin, hair, coat, scarf] = [pick(SKINS), pick(HAIRS), pick(COATS), pick(SCARVES)];
		this.#face = new Face({ skin, hair });
		this.#hair = new Hair(hair);
		this.#costume = new Costume({ skin, coat, scarf });
		this.#neck = shaded(mixColors(skin, rgb(150, 84, 78), 0.18));
		this.#ear = shaded(mixColors(skin, rgb(190, 90, 80), 0.2));
	}

	/** Drawn as if the light came from the right, and mirrored as a whole where it does not. */
	paint(pen: Pen, { timeS, lightSide }: { timeS: number; lightSide: 1 | -1 }): void {
		const breath = Math.sin(timeS * 1.9) * 0.012;
		const sway = Math.sin(timeS * 0.62) * 0.05 + Math.sin(timeS * 1.31 + 1) * 0.02;
		const tilt = Math.sin(timeS * 0.83 + 0.5) * 0.07 + Math.sin(timeS * 1.9) * 0.015;
		const nod = Math.sin(timeS * 1.27) * 0.018;
		const body = pen.moved([lightSide, 0, 0, 1, sway, breath]);
		const head = body.moved([Math.cos(tilt), Math.sin(tilt), -Math.sin(tilt), Math.cos(tilt), sway * 0.5, nod]);
		this.#hair.paintBehind(head, timeS);
		this.#costume.paintFarArm(body, timeS);
		body.limb([0, 0.3, 0, 0.6, 0, 0.95], [0.34, 0.34, 0.5], { ramp: this.#neck, from: [0.3, 0.3], to: [-0.16, 0.85] });
		body.ellipse(-0.02, 0.58, 0.25, 0.2, { ramp: this.#chinShadow, x: -0.03, y: 0.5, radius: 0.3 });
		this.#costume.paintBody(body, timeS);
		this.#costume.paintNearArm(body, timeS);
		for (const side of [1, -1]) {
			const radius = side > 0 ? 0.3 : 1.2;
			head.ellipse(side * 0.44, 0.04, 0.07, 0.12, { ramp: this.#ear, x: 0.45, y: 0, radius }, side * 0.15);
		}
		this.#face.paint(head, timeS);
		this.#hair.paintFront(head, timeS);
		this.#paintBeret(head);
	}

	#paintBeret(pen: Pen): void {
		const band = withAlpha(rgb(92, 14, 30), 0.85);
		pen.limb(
			[-0.47, -0.37, -0.2, -0.42, 0.2, -0.45, 0.47, -0.4],
			[0.06, 0.1, 0.1, 0.06],
			withAlpha(rgb(30, 12, 24), 0.3),
		);
		pen.blob(BERET_OUTLINE, { ramp: this.#beret, x: 0.36, y: -0.82, radius: 1.02 });
		pen.limb([-0.47, -0.4, -0.2, -0.43, 0.2, -0.46, 0.5, -0.44], [0.04, 0.06, 0.06, 0.04], band);
		pen.limb([-0.02, -0.86, 0.01, -0.94], [0.05, 0.035], rgb(150, 32, 42));
		pen.limb([-0.3, -0.6, -0.02, -0.7, 0.36, -0.7], [0.01, 0.03, 0.01], withAlpha(rgb(255, 160, 140), 0.26));
		pen.limb([-0.42, -0.5, -0.1, -0.55, 0.1, -0.54], [0.01, 0.05, 0.01], withAlpha(rgb(60, 6, 26), 0.25));
	}
}
