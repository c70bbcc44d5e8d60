// Bars that lie, on a logarithmic axis: what differs by orders of magnitude.

/** @typedef {{ name: string, value: number, low: number, high: number, isOurs: boolean }} Bar */

const WIDTH = 760;
const LEFT = 220;
const RIGHT = 70;
const TOP = 34;
const ROW = 26;

const escaped = (/** @type {string} */ text) =>
	text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** @returns {string} SVG: a bar to each value, and a line from the lowest to the highest that was measured */
export const barsSvg = (/** @type {string} */ title, /** @type {Bar[]} */ bars) => {
	const from = Math.floor(Math.log10(Math.min(...bars.map(({ low }) => low))));
	const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...bars.map(({ high }) => high)))));
	const x = (/** @type {number} */ value) => LEFT + ((Math.log10(value) - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
	const bottom = TOP + bars.length * ROW + 6;
	const powers = Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
	const grid = powers.map((power) => {
		const at = x(power).toFixed(1);
		return `<path d="M${at} ${TOP}V${bottom}" class="grid"/><text x="${at}" y="${bottom + 16}" class="tick">${Number(power.toPrecision(1))}</text>`;
	});
	const rows = bars.map(({ name, value, low, high, isOurs }, i) => {
		const [y, middle] = [TOP + i * ROW + 6, TOP + i * ROW + 15];
		const end = Math.max(x(value), x(high)) + 6;
		return `<text x="${LEFT - 8}" y="${middle + 4}" class="name${isOurs ? ' ours' : ''}">${escaped(name)}</text>
<rect x="${LEFT}" y="${y}" width="${(x(value) - LEFT).toFixed(1)}" height="18" fill="${isOurs ? '#b5651d' : '#9aa7b1'}"/>
<path d="M${x(low).toFixed(1)} ${middle}H${x(high).toFixed(1)}" class="spread"/>
<text x="${end.toFixed(1)}" y="${middle + 4}">${value < 10 ? value.toFixed(1) : value.toFixed(0)}</text>`;
	});
	const height = bottom + 26;
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<style>text{fill:#444}.name{text-anchor:end}.ours,.title{fill:#222;font-weight:bold}.tick{text-anchor:middle;fill:#777}.grid{stroke:#ddd;fill:none}.spread{stroke:#222;stroke-width:1.5}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="20" class="title">${escaped(title)}</text>
${grid.join('\n')}
${rows.join('\n')}
</svg>
`;
};
