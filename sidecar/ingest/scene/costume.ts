import { type Color, mixColors, type Ramp, ramp, rgb } from './canvas.ts';
import { placed, swayed } from './path.ts';
import type { Fill, Pen } from './pen.ts';
import { shaded, withAlpha } from './shades.ts';

const COAT = [
	0, 0.86, 0.3, 0.8, 0.7, 0.96, 0.92, 1.26, 0.96, 2, 0.88, 3.4, -0.88, 3.4, -0.96, 2, -0.92, 1.26, -0.7, 0.96, -0.3,
	0.8,
];
const LAPEL = [0.2, 0.78, 0.4, 0.84, 0.46, 1.2, 0.3, 1.28, 0.05, 1.82, 0.07, 1.3];
const SCARF_END = [0.12, 0.9, 0.28, 0.93, 0.36, 1.3, 0.42, 1.74, 0.24, 1.8, 0.14, 1.35];
const SCARF = [0, 1.03, 0.27, 0.93, 0.4, 0.7, 0.2, 0.73, 0, 0.82, -0.2, 0.73, -0.4, 0.68, -0.29, 0.93];
const PALM = [-0.12, -0.14, 0, -0.19, 0.13, -0.13, 0.12, 0.06, 0, 0.13, -0.11, 0.06];
const FINGERS = [
	[-0.09, -0.12, -0.12, -0.24, -0.14, -0.36],
	[-0.03, -0.15, -0.045, -0.3, -0.05, -0.44],
	[0.035, -0.15, 0.045, -0.29, 0.045, -0.42],
	[0.1, -0.1, 0.13, -0.22, 0.145, -0.33],
];
const BRISTLES = [0.48, -0.4, 0.56, -0.46, 0.66, -0.48, 0.6, -0.41, 0.51, -0.345];

/** Coat, shirt, scarf and both arms; the light comes from the right. */
export class Costume {
	readonly #coat: Ramp;
	readonly #seam: Color;
	readonly #skin: Ramp;
	readonly #scarf: Ramp;
	readonly #fold: Color;
	readonly #shirt = ramp([0, rgb(255, 252, 244)], [1, rgb(176, 182, 206)]);

	constructor({ skin, coat, scarf }: { skin: Color; coat: Color; scarf: Color }) {
		this.#coat = shaded(coat);
		this.#seam = mixColors(coat, rgb(14, 14, 40), 0.55);
		this.#skin = shaded(skin);
		this.#scarf = shaded(scarf);
		this.#fold = mixColors(scarf, rgb(50, 24, 60), 0.6);
	}

	/** The whole coat is shaded as one, arms and all, so that they hang together. */
	get #cloth(): Fill {
		return { ramp: this.#coat, x: 0.95, y: 0.9, radius: 2.35 };
	}

	paintBody(pen: Pen, timeS: number): void {
		pen.blob(COAT, this.#cloth);
		pen.polygon([-0.22, 0.82, 0.22, 0.82, 0.04, 1.76, -0.04, 1.76], {
			ramp: this.#shirt,
			from: [0.2, 0.8],
			to: [-0.2, 1.3],
		});
		for (const side of [1, -1]) {
			const half = pen.moved([side, 0, 0, 1, 0, 0]);
			half.blob(LAPEL, { ramp: this.#coat, from: [side * 0.5, 0.8], to: [side * -0.7, 1.7] });
			half.limb([0.45, 1.18, 0.3, 1.27, 0.05, 1.82], [0.012, 0.022, 0.016], withAlpha(this.#seam, 0.7));
			half.limb([0.76, 1.5, 0.7, 1.95, 0.74, 2.6], [0.01, 0.035, 0.02], withAlpha(this.#seam, 0.5));
			half.limb([0.5, 2, 0.42, 2.3, 0.5, 2.7], [0.006, 0.05, 0.006], withAlpha(this.#seam, 0.22));
		}
		pen.limb([0, 1.78, 0, 3.3], [0.02], withAlpha(this.#seam, 0.8));
		for (const y of [1.98, 2.36, 2.74]) {
			pen.ellipse(0.07, y, 0.04, 0.04, { ramp: this.#shirt, x: 0.09, y: y - 0.02, radius: 0.06 });
		}
		this.#paintScarf(pen, timeS);
	}

	#paintScarf(pen: Pen, timeS: number): void {
		const flutter = (y: number) => {
			const loose = Math.max(0, y - 0.95);
			return loose * (0.09 * Math.sin(timeS * 2.6 - loose * 3) + 0.04 * Math.sin(timeS * 4.3 - loose * 5));
		};
		pen.blob(swayed(SCARF_END, flutter), { ramp: this.#scarf, from: [0.45, 1], to: [-0.02, 1.5] });
		pen.limb(swayed([0.2, 1, 0.26, 1.3, 0.3, 1.66], flutter), [0.008, 0.03, 0.008], withAlpha(this.#fold, 0.35));
		pen.blob(SCARF, { ramp: this.#scarf, from: [0.42, 0.6], to: [-0.4, 1.05] });
		for (const x of [-0.24, -0.1, 0.06]) {
			pen.limb([x - 0.06, 0.78, x, 0.87, x + 0.1, 0.95], [0.006, 0.02, 0.006], withAlpha(this.#fold, 0.45));
		}
		pen.ellipse(0.16, 0.94, 0.1, 0.085, { ramp: this.#scarf, x: 0.24, y: 0.88, radius: 0.26 });
	}

	/** The arm away from the light hangs. */
	paintFarArm(pen: Pen, timeS: number): void {
		const swing = 0.03 * Math.sin(timeS * 0.9);
		pen.limb([-0.7, 1.18, -1.04, 1.95, -0.94 + swing, 3], [0.44, 0.38, 0.32], this.#cloth);
		pen.limb([-0.84, 1.5, -0.88, 2, -0.84, 2.6], [0.01, 0.05, 0.02], withAlpha(this.#seam, 0.6));
	}

	/** The arm in the light lifts and waves now and then. */
	paintNearArm(pen: Pen, timeS: number): void {
		const lift = 0.5 + 0.5 * Math.sin(timeS * 0.55 + 0.9);
		const eager = lift * lift * (3 - 2 * lift);
		const wave = Math.sin(timeS * 5.2) * 0.26 * eager + Math.sin(timeS * 1.1) * 0.06;
		const angle = -1.35 + 0.55 * (1 - eager) + wave * 0.55;
		const [elbowX, elbowY] = [1.24 + 0.08 * eager, 1.98 - 0.3 * eager];
		const along = (reach: number): [number, number] => [
			elbowX + Math.cos(angle) * reach,
			elbowY + Math.sin(angle) * reach,
		];
		pen.limb([0.92, 1.52, 0.84, 1.9], [0.02, 0.04], withAlpha(this.#seam, 0.35));
		pen.limb([0.66, 1.2, 0.98, 1.52, elbowX, elbowY], [0.46, 0.4, 0.33], this.#cloth);
		const [wrist, cuff, hand] = [along(0.6), along(0.66), along(0.92)];
		pen.limb([...wrist, ...hand], [0.18, 0.16], {
			ramp: this.#skin,
			from: [hand[0] + 0.1, hand[1]],
			to: [hand[0] - 0.2, hand[1]],
		});
		pen.limb([elbowX, elbowY, ...along(0.33), ...cuff], [0.33, 0.3, 0.25], {
			ramp: this.#coat,
			from: [elbowX + 0.3, elbowY - 0.3],
			to: [elbowX - 0.35, elbowY + 0.2],
		});
		pen.limb([elbowX - 0.12, elbowY - 0.14, elbowX + 0.02, elbowY - 0.06], [0.03, 0.01], withAlpha(this.#seam, 0.5));
		const band = pen.moved(placed(...cuff, 1, angle + Math.PI / 2));
		band.limb([-0.11, 0, 0.11, 0], [0.09], { ramp: this.#shirt, from: [0.14, 0], to: [-0.14, 0] });
		this.#paintHand(pen.moved(placed(...hand, 1, angle + Math.PI / 2 + wave * 0.6)));
	}

	/** Fingers up, the brush between thumb and palm. */
	#paintHand(pen: Pen): void {
		const skin: Fill = { ramp: this.#skin, from: [0.16, -0.2], to: [-0.2, 0.05] };
		pen.limb([-0.3, 0.06, 0.42, -0.34], [0.028, 0.04], rgb(150, 98, 54));
		pen.limb([0.42, -0.34, 0.5, -0.385], [0.05], rgb(196, 198, 204));
		pen.blob(BRISTLES, rgb(214, 74, 52));
		for (const finger of FINGERS) pen.limb(finger, [0.08, 0.07, 0.056], skin);
		pen.blob(PALM, skin);
		pen.limb([-0.08, 0.02, -0.17, -0.06, -0.16, -0.17], [0.09, 0.08, 0.06], skin);
		pen.limb([-0.05, -0.05, 0.03, -0.02, 0.08, 0.03], [0.004, 0.01, 0.004], withAlpha(rgb(150, 80, 70), 0.5));
	}
}
