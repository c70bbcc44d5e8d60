// A plot of the last minutes, drawn by hand: it has two lines at most, and must cost nothing.

const SAMPLES = 240; // two minutes at two a second

/** A round number, and no less than the value. */
const niceAbove = (value) => {
	const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
	return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
};

/** `lines` are { key, colour, fill }; samples are objects with these keys, and an epoch whose changes are marked. */
export const openPlot = (canvas, { lines, unit, describe }) => {
	const context = canvas.getContext('2d');
	const samples = [];

	const draw = () => {
		const { clientWidth: width, clientHeight: height } = canvas;
		const density = window.devicePixelRatio || 1;
		if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
			canvas.width = Math.round(width * density);
			canvas.height = Math.round(height * density);
		}
		context.setTransform(density, 0, 0, density, 0, 0);
		context.clearRect(0, 0, width, height);
		const top = niceAbove(Math.max(...samples.flatMap((sample) => lines.map(({ key }) => sample[key]))) * 1.08);
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
