import { type Color, mixColors, type Ramp, rgb } from './canvas.ts';
import { swayed } from './path.ts';
import type { Pen } from './pen.ts';
import { shaded, withAlpha } from './shades.ts';

const BEHIND = [
	0, -0.62, 0.4, -0.5, 0.55, -0.1, 0.57, 0.35, 0.62, 0.75, 0.44, 1.02, 0.2, 0.8, -0.2, 0.8, -0.5, 1.06, -0.7, 0.8, -0.6,
	0.35, -0.55, -0.1, -0.4, -0.5,
];
const FRONT_LIT = [
	-0.12, -0.58, 0.3, -0.54, 0.5, -0.25, 0.54, 0.12, 0.52, 0.44, 0.45, 0.5, 0.44, 0.1, 0.38, -0.12, 0.2, -0.27, -0.02,
	-0.36,
];
const FRONT_SHADED = [
	0.08, -0.58, -0.3, -0.56, -0.5, -0.26, -0.54, 0.1, -0.54, 0.52, -0.46, 0.56, -0.44, 0.12, -0.39, -0.1, -0.25, -0.22,
	-0.05, -0.32,
];

/** Long hair in the wind, parted in the middle. */
export class Hair {
	readonly #ramp: Ramp;
	readonly #strand: Color;

	constructor(hair: Color) {
		this.#ramp = shaded(hair);
		this.#strand = mixColors(hair, rgb(255, 214, 150), 0.5);
	}

	paintBehind(pen: Pen, timeS: number): void {
		const wind = (y: number) =>
			Math.max(0, y) * (0.06 * Math.sin(timeS * 2.1 - y * 2.2) + 0.035 * Math.sin(timeS * 3.7 - y * 4));
		pen.blob(swayed(BEHIND, wind), { ramp: this.#ramp, from: [0.6, -0.3], to: [-0.5, 0.7] });
		for (let strand = 0; strand < 5; strand++) {
			const x = 0.43 + strand * 0.034;
			const lit = swayed([x - 0.02, -0.2, x + 0.03, 0.3, x + 0.05, 0.84], wind);
			pen.limb(lit, [0.01, 0.022, 0.004], withAlpha(this.#strand, 0.4));
			const dim = swayed([-x, 0, -x - 0.05, 0.4, -x - 0.08, 0.92], wind);
			pen.limb(dim, [0.008, 0.018, 0.004], withAlpha(this.#strand, 0.14));
		}
	}

	paintFront(pen: Pen, timeS: number): void {
		const wind = (y: number) =>
			Math.max(0, y + 0.1) * (0.05 * Math.sin(timeS * 2.3 - y) + 0.03 * Math.sin(timeS * 4.1));
		pen.blob(swayed(FRONT_SHADED, wind), { ramp: this.#ramp, from: [0.2, -0.5], to: [-0.6, 0.2] });
		pen.blob(swayed(FRONT_LIT, wind), { ramp: this.#ramp, from: [0.6, -0.4], to: [-0.2, 0.3] });
		for (let strand = 0; strand < 6; strand++) {
			const shift = strand * 0.034;
			const [inner, outer] = [shift * 0.6, shift * 0.2];
			const lit = [0.02 + shift, -0.5, 0.3 + inner, -0.38 + inner * 0.5, 0.45 + outer, -0.05, 0.47 + outer, 0.34];
			pen.limb(swayed(lit, wind), [0.004, 0.014, 0.012, 0.003], withAlpha(this.#strand, 0.36));
			const dim = [-0.06 - shift, -0.46, -0.3 - inner, -0.3, -0.46 - outer, 0.05, -0.49 - outer, 0.4];
			pen.limb(swayed(dim, wind), [0.004, 0.012, 0.01, 0.003], withAlpha(this.#strand, 0.14));
		}
	}
}
