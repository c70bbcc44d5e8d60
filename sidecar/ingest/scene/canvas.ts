import type { Path } from './path.ts';

/** 0xAABBGGRR: the bytes R, G, B, A of a little-endian machine. */
export type Color = number;

/** A colour from 0..255 channels; `alpha` 0..1. Colours on a layer are premultiplied, those of a paint are not. */
export const rgb = (red: number, green: number, blue: number, alpha = 1): Color =>
	((Math.round(alpha * 255) << 24) | (clampByte(blue) << 16) | (clampByte(green) << 8) | clampByte(red)) >>> 0;

const clampByte = (value: number): number => (value < 0 ? 0 : value > 255 ? 255 : Math.round(value));

export const mixColors = (a: Color, b: Color, share: number): Color =>
	rgb(
		(a & 255) + ((b & 255) - (a & 255)) * share,
		((a >>> 8) & 255) + (((b >>> 8) & 255) - ((a >>> 8) & 255)) * share,
		((a >>> 16) & 255) + (((b >>> 16) & 255) - ((a >>> 16) & 255)) * share,
		((a >>> 24) + ((b >>> 24) - (a >>> 24)) * share) / 255,
	);

const RAMP_STEPS = 256;

/** Colours along a gradient, worked out once. */
export type Ramp = Uint32Array;

export const ramp = (...stops: [at: number, color: Color][]): Ramp =>
	Uint32Array.from({ length: RAMP_STEPS }, (_, step) => {
		const at = step / (RAMP_STEPS - 1);
		const next = stops.findIndex(([stop]) => stop >= at);
		const [to, toColor] = stops[next < 0 ? stops.length - 1 : next]!;
		const [from, fromColor] = stops[next <= 0 ? (next < 0 ? stops.length - 1 : 0) : next - 1]!;
		return to === from ? toColor : mixColors(fromColor, toColor, (at - from) / (to - from));
	});

/** What a shape is filled with; places are in pixels of the canvas. */
export type Paint =
	| { kind: 'solid'; color: Color }
	| { kind: 'linear'; ramp: Ramp; fromX: number; fromY: number; toX: number; toY: number }
	| { kind: 'radial'; ramp: Ramp; x: number; y: number; radius: number };

/** Pixels that shapes are painted on, with smooth edges. */
export class Canvas {
	readonly width: number;
	readonly height: number;
	/** May be replaced by other memory of the same length. */
	pixels: Uint32Array;
	/** Signed area a pixel gets from the edges that cross it; its running sum along a row is the coverage. */
	#cover: Float32Array;

	constructor(width: number, height: number, pixels = new Uint32Array(width * height)) {
		this.width = width;
		this.height = height;
		this.pixels = pixels;
		this.#cover = new Float32Array((width + 3) * height);
	}

	/** Fills a path; where contours of one direction overlap, once. */
	fill(path: Path, paint: Paint): void {
		const { edges, count } = path;
		let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
		for (let at = 0; at < count; at += 2) {
			const x = edges[at]!;
			const y = edges[at + 1]!;
			if (x < left) left = x;
			if (x > right) right = x;
			if (y < top) top = y;
			if (y > bottom) bottom = y;
		}
		left = Math.max(0, Math.floor(left));
		top = Math.max(0, Math.floor(top));
		right = Math.min(this.width, Math.ceil(right));
		bottom = Math.min(this.height, Math.ceil(bottom));
		if (left >= right || top >= bottom) return;
		const stride = right - left + 3;
		this.#cover.fill(0, 0, stride * (bottom - top));
		for (let at = 0; at < count; at += 4) {
			this.#edge(
				edges[at]! - left,
				edges[at + 1]! - top,
				edges[at + 2]! - left,
				edges[at + 3]! - top,
				right - left,
				bottom - top,
				stride,
			);
		}
		this.#blend(left, top, right, bottom, stride, paint);
	}

	/** Raph Levien's accumulation: exact area of the edge in each pixel of a row (font-rs, raster.rs). */
	#edge(x0: number, y0: number, x1: number, y1: number, width: number, height: number, stride: number): void {
		if (y0 === y1) return;
		let direction = 1;
		if (y0 > y1) {
			[x0, y0, x1, y1] = [x1, y1, x0, y0];
			direction = -1;
		}
		if (y1 <= 0 || y0 >= height) return;
		const slope = (x1 - x0) / (y1 - y0);
		let x = x0;
		if (y0 < 0) {
			x -= y0 * slope;
			y0 = 0;
		}
		const cover = this.#cover;
		const last = Math.min(height, Math.ceil(y1));
		for (let y = Math.floor(y0); y < last; y++) {
			const rise = Math.min(y + 1, y1) - Math.max(y, y0);
			const nextX = x + slope * rise;
			const area = rise * direction;
			const from = Math.max(0, Math.min(width, Math.min(x, nextX)));
			const to = Math.max(0, Math.min(width, Math.max(x, nextX)));
			const first = Math.floor(from);
			const end = Math.ceil(to);
			const row = y * stride + first;
			if (end <= first + 1) {
				const middle = (from + to) / 2 - first;
				cover[row]! += area - area * middle;
				cover[row + 1]! += area * middle;
			} else {
				const step = 1 / (to - from);
				const fromPart = from - first;
				const toPart = to - end + 1;
				const firstArea = 0.5 * step * (1 - fromPart) * (1 - fromPart);
				const lastArea = 0.5 * step * toPart * toPart;
				const pixels = end - first;
				cover[row]! += area * firstArea;
				if (pixels === 2) {
					cover[row + 1]! += area * (1 - firstArea - lastArea);
				} else {
					const second = step * (1.5 - fromPart);
					cover[row + 1]! += area * (second - firstArea);
					for (let at = 2; at < pixels - 1; at++) cover[row + at]! += area * step;
					cover[row + pixels - 1]! += area * (1 - second - (pixels - 3) * step - lastArea);
				}
				cover[row + pixels]! += area * lastArea;
			}
			x = nextX;
		}
	}

	#blend(left: number, top: number, right: number, bottom: number, stride: number, paint: Paint): void {
		const { pixels, width } = this;
		const cover = this.#cover;
		const colors = paint.kind === 'solid' ? Uint32Array.of(paint.color) : paint.ramp;
		const isRadial = paint.kind === 'radial';
		let [stepX, stepY, start] = [0, 0, 0];
		if (paint.kind === 'linear') {
			const [runX, runY] = [paint.toX - paint.fromX, paint.toY - paint.fromY];
			const scale = (RAMP_STEPS - 1) / (runX * runX + runY * runY || 1);
			[stepX, stepY] = [runX * scale, runY * scale];
			start = -(paint.fromX * stepX + paint.fromY * stepY);
		}
		const [centreX, centreY] = isRadial ? [paint.x, paint.y] : [0, 0];
		const radialScale = isRadial ? (RAMP_STEPS - 1) / paint.radius : 0;
		const lastColor = colors.length - 1;
		for (let y = top; y < bottom; y++) {
			let sum = 0;
			let at = (y - top) * stride;
			const rowStart = start + (y + 0.5) * stepY;
			const awayY = y + 0.5 - centreY;
			for (let x = left, pixel = y * width + left; x < right; x++, pixel++) {
				sum += cover[at++]!;
				let share = sum < 0 ? -sum : sum;
				if (share < 0.004) continue;
				if (share > 1) share = 1;
				let index = 0;
				if (lastColor > 0) {
					if (isRadial) {
						const awayX = x + 0.5 - centreX;
						index = Math.sqrt(awayX * awayX + awayY * awayY) * radialScale;
					} else {
						index = rowStart + (x + 0.5) * stepX;
					}
					index = index < 0 ? 0 : index > lastColor ? lastColor : index | 0;
				}
				const color = colors[index]!;
				const weight = (share * ((color >>> 24) + 1)) | 0; // 0..256
				if (weight === 0) continue;
				pixels[pixel] = weight >= 256 ? color : blendPixel(pixels[pixel]!, color | 0xff000000, weight);
			}
		}
	}
}

/** `under + (over - under) · weight / 256`, two channels at a time. */
export const blendPixel = (under: Color, over: Color, weight: number): Color => {
	const rest = 256 - weight;
	const redBlue = (Math.imul(over & 0xff00ff, weight) + Math.imul(under & 0xff00ff, rest)) >>> 8;
	const greenAlpha = Math.imul((over >>> 8) & 0xff00ff, weight) + Math.imul((under >>> 8) & 0xff00ff, rest);
	return ((redBlue & 0xff00ff) | (greenAlpha & 0xff00ff00)) >>> 0;
};
