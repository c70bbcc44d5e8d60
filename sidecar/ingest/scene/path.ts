/** x' = a·x + c·y + e, y' = b·x + d·y + f. */
export type Transform = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** x0, y0, x1, y1 ... */
export type Points = readonly number[];

/** What is drawn inside `inner` is moved by it first, then by `outer`. */
export const within = (outer: Transform, inner: Transform): Transform => {
	const [a, b, c, d, e, f] = outer;
	const [g, h, i, j, k, l] = inner;
	return [a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * l + e, b * k + d * l + f];
};

export const placed = (x: number, y: number, scale = 1, turn = 0): Transform => {
	const [cos, sin] = [Math.cos(turn) * scale, Math.sin(turn) * scale];
	return [cos, sin, -sin, cos, x, y];
};

export const applyX = ([a, , c, , e]: Transform, x: number, y: number): number => a * x + c * y + e;
export const applyY = ([, b, , d, , f]: Transform, x: number, y: number): number => b * x + d * y + f;

/** Every point moved sideways by what `by` says of its place: hair and cloth in the wind. */
export const swayed = (points: Points, by: (y: number, x: number) => number): number[] =>
	points.map((value, index) => (index % 2 ? value : value + by(points[index + 1]!, value)));

/** Outlines, flattened to edges in pixels as they are added. One path is used again and again. */
export class Path {
	/** x0, y0, x1, y1 of each edge. */
	edges = new Float64Array(4096);
	count = 0;
	#transform: Transform;

	constructor(transform: Transform = [1, 0, 0, 1, 0, 0]) {
		this.#transform = transform;
	}

	/** Empties the path; what follows is drawn under this transform. */
	begin(transform: Transform): this {
		this.count = 0;
		this.#transform = transform;
		return this;
	}

	polygon(points: Points): this {
		const needed = this.count + points.length * 2;
		if (needed > this.edges.length) {
			const grown = new Float64Array(needed * 2);
			grown.set(this.edges);
			this.edges = grown;
		}
		const [a, b, c, d, e, f] = this.#transform;
		const { edges } = this;
		const [lastX, lastY] = [points[points.length - 2]!, points[points.length - 1]!];
		let fromX = a * lastX + c * lastY + e;
		let fromY = b * lastX + d * lastY + f;
		for (let at = 0; at < points.length; at += 2) {
			const toX = a * points[at]! + c * points[at + 1]! + e;
			const toY = b * points[at]! + d * points[at + 1]! + f;
			edges[this.count++] = fromX;
			edges[this.count++] = fromY;
			edges[this.count++] = toX;
			edges[this.count++] = toY;
			fromX = toX;
			fromY = toY;
		}
		return this;
	}

	/** A smooth closed outline through the points. */
	blob(points: Points, steps = 6): this {
		return this.polygon(smooth(points, steps, true));
	}

	ellipse(x: number, y: number, radiusX: number, radiusY: number, turn = 0, steps = 28): this {
		const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
		const outline: number[] = [];
		for (let step = 0; step < steps; step++) {
			const angle = (step / steps) * 2 * Math.PI;
			const [dx, dy] = [radiusX * Math.cos(angle), radiusY * Math.sin(angle)];
			outline.push(x + dx * cos - dy * sin, y + dx * sin + dy * cos);
		}
		return this.polygon(outline);
	}

	/** A stroke along a smooth line, as wide along it as `widths` says, with round ends. */
	limb(points: Points, widths: readonly number[], steps = 5): this {
		const line = points.length > 4 ? smooth(points, steps, false) : points;
		const last = line.length / 2 - 1;
		const left: number[] = [];
		const right: number[] = [];
		for (let index = 0; index <= last; index++) {
			const [x, y] = [line[index * 2]!, line[index * 2 + 1]!];
			const before = Math.max(0, index - 1) * 2;
			const after = Math.min(last, index + 1) * 2;
			const angle = Math.atan2(line[after + 1]! - line[before + 1]!, line[after]! - line[before]!) + Math.PI / 2;
			const half = widthAt(widths, index / last) / 2;
			const add = (side: number[], turn: number) =>
				side.push(x + half * Math.cos(angle + turn), y + half * Math.sin(angle + turn));
			// Half circles close the ends: forwards at the last point, backwards at the first.
			if (index === last) for (const turn of [-3.14, -2.62, -2.09, -1.57, -1.05, -0.52]) add(right, turn);
			else add(right, Math.PI);
			if (index === 0) for (const turn of [2.62, 2.09, 1.57, 1.05, 0.52]) add(left, turn);
			add(left, 0);
		}
		for (let at = right.length - 2; at >= 0; at -= 2) left.push(right[at]!, right[at + 1]!);
		return this.polygon(left);
	}
}

const widthAt = (widths: readonly number[], share: number): number => {
	const at = share * (widths.length - 1);
	const below = Math.min(widths.length - 1, Math.floor(at));
	const from = widths[below]!;
	return from + ((widths[below + 1] ?? from) - from) * (at - below);
};

/** Catmull-Rom through the points. */
const smooth = (points: Points, steps: number, closed: boolean): number[] => {
	const count = points.length / 2;
	const at = (index: number) => 2 * (closed ? (index + count) % count : Math.max(0, Math.min(count - 1, index)));
	const line: number[] = [];
	for (let index = 0; index < (closed ? count : count - 1); index++) {
		const [before, from, to, after] = [at(index - 1), at(index), at(index + 1), at(index + 2)];
		for (let step = 0; step < steps; step++) {
			const t = step / steps;
			line.push(
				spline(points[before]!, points[from]!, points[to]!, points[after]!, t),
				spline(points[before + 1]!, points[from + 1]!, points[to + 1]!, points[after + 1]!, t),
			);
		}
	}
	if (!closed) line.push(points[points.length - 2]!, points[points.length - 1]!);
	return line;
};

const spline = (before: number, from: number, to: number, after: number, t: number): number =>
	from +
	(t / 2) * (to - before + t * (2 * before - 5 * from + 4 * to - after + t * (3 * (from - to) + after - before)));
