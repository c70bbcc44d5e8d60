// A plot of the last minutes, drawn by hand: it has two lines at most, and must cost nothing.

const BUDGET = '#8fb3cf';
const SAMPLES = 240; // two minutes at two a second

/** A round number, and no less than the value. */
const niceAbove = (value) => {
	const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
	return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
};

/** A budget that is this many times the lines would press them flat: it is only named. */
const BUDGET_REACH = 4;

/**
 * `lines` are { key, colour, fill }; samples are objects with these keys, an epoch whose changes are marked, and where
 * `budget` gives a label for a sample, a budget that the lines are to stay below.
 */
export const openPlot = (canvas, { lines, unit, describe, budget: labelOf }) => {
	const context = canvas.getContext('2d');
	const samples = [];

	const drawBudget = (sample, y, width) => {
		const label = y === undefined ? `${labelOf(sample)} ↑` : labelOf(sample);
		const { width: labelWidth } = context.measureText(label);
		context.fillStyle = BUDGET;
		// At the top beside the unit, wherever the line is: there nothing is drawn over it.
		context.fillText(label, width - labelWidth, 11);
		if (y === undefined) return;
		context.beginPath();
		context.moveTo(0, Math.round(y) - 0.5);
		context.lineTo(width, Math.round(y) - 0.5);
		context.setLineDash([6, 3]);
		context.strokeStyle = BUDGET;
		context.stroke();
		context.setLineDash([]);
	};

	const draw = () => {
		const { clientWidth: width, clientHeight: height } = canvas;
		const density = window.devicePixelRatio || 1;
		if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
			canvas.width = Math.round(width * density);
			canvas.height = Math.round(height * density);
		}
		context.setTransform(density, 0, 0, density, 0, 0);
		context.clearRect(0, 0, width, height);
		const most = Math.max(...samples.flatMap((sample) => lines.map(({ key }) => sample[key])));
		const newest = samples.at(-1);
		const isInReach = labelOf !== undefined && newest.budget <= BUDGET_REACH * most;
		const top = niceAbove(Math.max(most, isInReach ? newest.budget : 0) * 1.08);
		const x = (index) => width - ((samples.length - 1 - index) * width) / (SAMPLES - 1);
		const y = (value) => height - 1 - ((height - 16) * value) / top;

		context.font = '11px system-ui, "DejaVu Sans", sans-serif';
		context.fillStyle = '#a89c8d';
		context.strokeStyle = '#3a332c';
		context.lineWidth = 1;
		for (const value of [0, top / 2, top]) {
			context.beginPath();
			context.moveTo(0, Math.round(y(value)) - 0.5);
			context.lineTo(width, Math.round(y(value)) - 0.5);
			context.stroke();
		}
		context.fillText(`${top} ${unit}`, 0, y(top) - 4);

		context.setLineDash([2, 4]);
		context.strokeStyle = '#a89c8d';
		samples.forEach(({ epoch }, index) => {
			if (!index || epoch === samples[index - 1].epoch) return;
			context.beginPath();
			context.moveTo(Math.round(x(index)) - 0.5, y(top));
			context.lineTo(Math.round(x(index)) - 0.5, height);
			context.stroke();
		});
		context.setLineDash([]);

		if (labelOf) drawBudget(newest, isInReach ? y(newest.budget) : undefined, width);

		for (const { key, colour, fill } of lines) {
			context.beginPath();
			samples.forEach((sample, index) => context.lineTo(x(index), y(sample[key])));
			context.strokeStyle = colour;
			context.lineWidth = 1.6;
			context.lineJoin = 'round';
			context.stroke();
			if (!fill) continue;
			context.lineTo(x(samples.length - 1), height);
			context.lineTo(x(0), height);
			context.fillStyle = fill;
			context.fill();
		}
	};
	new ResizeObserver(() => samples.length && draw()).observe(canvas);

	return {
		add: (sample) => {
			samples.push(sample);
			if (samples.length > SAMPLES) samples.shift();
			if (document.hidden) return;
			draw();
			canvas.setAttribute('aria-label', describe(sample));
		},
	};
};
