export interface Plot {
	title: string;
	/** At even distances along the time. */
	values: readonly number[];
}

const WIDTH = 720;
const HEIGHT = 110;
const LEFT = 56;
const TOP = 26;

/** Lines one below the other over one time, as SVG; each from nothing to its own most. */
export const plotSvg = (plots: readonly Plot[], time: { unit: string; to: number }): string => {
	const panels = plots.map(({ title, values }, row) => {
		const most = niceAbove(Math.max(...values, 1e-9));
		const x = (i: number) => LEFT + (i / Math.max(1, values.length - 1)) * (WIDTH - LEFT - 10);
		const y = (value: number) => TOP + (1 - value / most) * (HEIGHT - TOP - 14);
		const points = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
		return `<g transform="translate(0 ${row * HEIGHT})">
<text x="${LEFT}" y="16" class="title">${title}</text>
<path d="M${LEFT} ${y(0)}H${WIDTH - 10}M${LEFT} ${y(most)}H${WIDTH - 10}" class="grid"/>
<text x="${LEFT - 6}" y="${y(0) + 4}" class="tick">0</text><text x="${LEFT - 6}" y="${y(most) + 4}" class="tick">${most}</text>
<polyline points="${points}"/>
</g>`;
	});
	const height = plots.length * HEIGHT + 18;
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<style>text{fill:#555}.title{fill:#222}.tick{text-anchor:end}.grid{stroke:#ddd;fill:none}polyline{fill:none;stroke:#b5651d;stroke-width:1.5}</style>
<rect width="100%" height="100%" fill="#fff"/>
${panels.join('\n')}
<text x="${LEFT}" y="${height - 4}">0</text><text x="${WIDTH - 10}" y="${height - 4}" class="tick">${time.to} ${time.unit}</text>
</svg>
`;
};

/** 1, 2 or 5 with as many noughts as it takes. */
const niceAbove = (value: number): number => {
	const power = 10 ** Math.floor(Math.log10(value));
	return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value)!;
};
