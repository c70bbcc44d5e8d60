import type { Size } from '../../frame/frame.ts';
import { clouded, hash, mix, noise, smoothstep } from './noise.ts';

/** Side of a cell, in pixels: colours are worked out once for each and mixed between. */
const CELL = 8;
/** Cells of the noise that the field moves in a second, and how much of their circle the hues go. */
const DRIFT = 0.035;
const HUE_DRIFT = 0.004;

/**
 * Fields of colour that drift into each other, without an end and with nothing in them: what a painting needs to start
 * from where nothing is filmed. A picture depends on the seed and the time alone.
 */
export class Backdrop {
	readonly #size: Size;
	readonly #seed: number;
	readonly #columns: number;
	readonly #rows: number;
	/** R, G, B of each corner of a cell, 0..255. */
	readonly #colors: Float32Array;
	readonly #row: Float32Array;

	constructor(size: Size, seed: number) {
		this.#size = size;
		this.#seed = seed;
		this.#columns = Math.ceil(size.width / CELL) + 1;
		this.#rows = Math.ceil(size.height / CELL) + 1;
		this.#colors = new Float32Array(3 * this.#columns * this.#rows);
		this.#row = new Float32Array(3 * this.#columns);
	}

	/** Paints a moment into pixels of R, G, B, A bytes. */
	paint(pixels: Uint32Array, timeS: number): void {
		for (let row = 0, at = 0; row < this.#rows; row++)
			for (let column = 0; column < this.#columns; column++, at += 3) this.#colorOf(column, row, timeS, at);
		const { width, height } = this.#size;
		for (let y = 0; y < height; y++) {
			this.#mixRows(y / CELL);
			const row = this.#row;
			for (let x = 0, pixel = y * width; x < width; x++, pixel++) {
				const at = 3 * Math.floor(x / CELL);
				const right = (x % CELL) / CELL;
				const red = mix(row[at]!, row[at + 3]!, right);
				const green = mix(row[at + 1]!, row[at + 4]!, right);
				const blue = mix(row[at + 2]!, row[at + 5]!, right);
				pixels[pixel] = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
			}
		}
	}

	/** The colours of a row that lies between two of corners. */
	#mixRows(row: number): void {
		const length = this.#row.length;
		const above = Math.floor(row) * length;
		for (let i = 0; i < length; i++)
			this.#row[i] = mix(this.#colors[above + i]!, this.#colors[above + length + i]!, row % 1);
	}

	#colorOf(column: number, row: number, timeS: number, at: number): void {
		const seed = this.#seed;
		const { height } = this.#size;
		const moved = DRIFT * timeS + 40 * hash(seed, 3, 1);
		const x = (column * CELL) / height;
		const y = (row * CELL) / height;
		// The field is bent by two others that go their own ways: shapes turn and part as they drift.
		const bendX = clouded(1.3 * x + 0.9 * moved, 1.3 * y, seed + 1, 2) - 0.5;
		const bendY = clouded(1.3 * x, 1.3 * y - 0.7 * moved, seed + 5, 2) - 0.5;
		const field = smoothstep(0.2, 0.8, clouded(1.6 * x + 2.2 * bendX + moved, 1.6 * y + 2.2 * bendY, seed + 9, 3));
		const other = noise(0.9 * x - 0.6 * moved, 0.9 * y + 1.5 * bendX + 0.3 * moved, seed + 14);
		// Half of it in steps, so that there are edges for a line or a stroke to follow.
		const steps = 5 * field;
		const stepped = (Math.floor(steps) + smoothstep(0.4, 0.6, steps - Math.floor(steps))) / 5;
		const hue = hash(seed, 7, 2) + HUE_DRIFT * timeS + 0.55 * other + 0.5 * stepped;
		const light = 0.2 + 0.75 * mix(field, stepped, 0.6);
		for (let channel = 0; channel < 3; channel++) {
			const wave = Math.cos(2 * Math.PI * (hue + channel / 3));
			this.#colors[at + channel] = 255 * Math.max(0, Math.min(1, light + 0.32 * wave * (1.1 - light)));
		}
	}
}
