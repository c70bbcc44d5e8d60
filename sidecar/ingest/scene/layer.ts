import { Canvas } from './canvas.ts';

/**
 * A picture painted once and shifted sideways in every frame, by fractions of a pixel. Pixels are
 * premultiplied. `prepare` must be called when it is painted.
 */
export class Layer {
	readonly canvas: Canvas;
	/** Where the layer's top row lies in the picture. */
	readonly top: number;
	/** Per row: where the first pixel that shows is, and where the last one ends. */
	#from: Int32Array;
	#to: Int32Array;
	#isOpaque: Uint8Array;
	#wraps: boolean;
	/** From this row of the picture on, the layer hides all that is behind it. */
	hidesFrom = Infinity;

	/** A layer that wraps repeats itself sideways without an end. */
	constructor(width: number, height: number, top: number, { wraps = false } = {}) {
		this.canvas = new Canvas(width, height);
		this.top = top;
		this.#from = new Int32Array(height);
		this.#to = new Int32Array(height);
		this.#isOpaque = new Uint8Array(height);
		this.#wraps = wraps;
	}

	prepare(): this {
		const { width, height, pixels } = this.canvas;
		for (let y = 0; y < height; y++) {
			let [from, to, opaque] = [width, 0, true];
			for (let x = 0; x < width; x++) {
				const alpha = pixels[y * width + x]! >>> 24;
				if (alpha < 255) opaque = false;
				if (alpha === 0) continue;
				if (x < from) from = x;
				to = x + 1;
			}
			this.#from[y] = from;
			this.#to[y] = to;
			this.#isOpaque[y] = opaque ? 1 : 0;
		}
		let row = height;
		while (row > 0 && this.#isOpaque[row - 1]) row--;
		this.hidesFrom = this.top + row;
		return this;
	}

	/** Lays the layer on `target`, its pixel `shift` at the left border. */
	lay(target: Canvas, shift: number, bottom = target.height): void {
		const { width, height, pixels } = this.canvas;
		const out = target.pixels;
		const whole = Math.floor(shift);
		const part = Math.round((shift - whole) * 256);
		const rest = 256 - part;
		const lastRow = Math.min(height, bottom - this.top);
		for (let y = Math.max(0, -this.top); y < lastRow; y++) {
			if (this.#to[y] === 0) continue;
			const row = y * width;
			const outRow = (y + this.top) * target.width;
			const from = this.#wraps ? 0 : Math.max(0, this.#from[y]! - whole - 1);
			const to = this.#wraps ? target.width : Math.min(target.width, this.#to[y]! - whole, width - whole - 1);
			let at = whole + from;
			if (this.#wraps) at = ((at % width) + width) % width;
			if (this.#isOpaque[y] === 1) {
				let here = pixels[row + at]!;
				for (let x = from; x < to; x++) {
					if (++at === width) at = 0;
					const there = pixels[row + at]!;
					const redBlue = ((Math.imul(here & 0xff00ff, rest) + Math.imul(there & 0xff00ff, part)) >>> 8) & 0xff00ff;
					const green = ((Math.imul(here & 0xff00, rest) + Math.imul(there & 0xff00, part)) >>> 8) & 0xff00;
					out[outRow + x] = redBlue | green | 0xff000000;
					here = there;
				}
				continue;
			}
			let here = at < 0 ? 0 : pixels[row + at]!;
			for (let x = from; x < to; x++) {
				if (++at === width) at = 0;
				const there = pixels[row + at]!;
				if ((here | there) !== 0) {
					const redBlue = ((Math.imul(here & 0xff00ff, rest) + Math.imul(there & 0xff00ff, part)) >>> 8) & 0xff00ff;
					const greenAlpha =
						(Math.imul((here >>> 8) & 0xff00ff, rest) + Math.imul((there >>> 8) & 0xff00ff, part)) & 0xff00ff00;
					const alpha = greenAlpha >>> 24;
					const under = out[outRow + x]!;
					const left = 256 - alpha - (alpha >>> 7);
					out[outRow + x] =
						(redBlue + ((Math.imul(under & 0xff00ff, left) >>> 8) & 0xff00ff)) |
						((greenAlpha & 0xff00) + ((Math.imul(under & 0xff00, left) >>> 8) & 0xff00)) |
						0xff000000;
				}
				here = there;
			}
		}
	}
}
