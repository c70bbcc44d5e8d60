import type { Canvas, Color, Ramp } from './canvas.ts';
import { applyX, applyY, Path, type Points, type Transform, within } from './path.ts';

/** Paints shapes in coordinates of their own: a figure's head, say, that is one unit high. */
export class Pen {
	readonly #canvas: Canvas;
	readonly #path: Path;
	readonly #at: Transform;

	constructor(canvas: Canvas, at: Transform, path = new Path()) {
		this.#canvas = canvas;
		this.#path = path;
		this.#at = at;
	}

	/** A pen whose coordinates are moved, turned or scaled. */
	moved(inner: Transform): Pen {
		return new Pen(this.#canvas, within(this.#at, inner), this.#path);
	}

	blob(points: Points, fill: Fill): this {
		return this.#fill(this.#path.begin(this.#at).blob(points), fill);
	}

	polygon(points: Points, fill: Fill): this {
		return this.#fill(this.#path.begin(this.#at).polygon(points), fill);
	}

	ellipse(x: number, y: number, radiusX: number, radiusY: number, fill: Fill, turn = 0): this {
		return this.#fill(this.#path.begin(this.#at).ellipse(x, y, radiusX, radiusY, turn), fill);
	}

	limb(points: Points, widths: readonly number[], fill: Fill): this {
		return this.#fill(this.#path.begin(this.#at).limb(points, widths), fill);
	}

	#fill(path: Path, fill: Fill): this {
		if (typeof fill === 'number') {
			this.#canvas.fill(path, { kind: 'solid', color: fill });
		} else if ('radius' in fill) {
			const x = applyX(this.#at, fill.x, fill.y);
			const y = applyY(this.#at, fill.x, fill.y);
			const scale = Math.hypot(this.#at[0], this.#at[1]);
			this.#canvas.fill(path, { kind: 'radial', ramp: fill.ramp, x, y, radius: fill.radius * scale });
		} else {
			const fromX = applyX(this.#at, ...fill.from);
			const fromY = applyY(this.#at, ...fill.from);
			const toX = applyX(this.#at, ...fill.to);
			const toY = applyY(this.#at, ...fill.to);
			this.#canvas.fill(path, { kind: 'linear', ramp: fill.ramp, fromX, fromY, toX, toY });
		}
		return this;
	}
}

type Place = readonly [x: number, y: number];

/** One colour, or a gradient in the pen's own coordinates. */
export type Fill =
	| Color
	| { ramp: Ramp; from: Place; to: Place }
	| { ramp: Ramp; x: number; y: number; radius: number };
