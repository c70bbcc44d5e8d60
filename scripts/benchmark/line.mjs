// The whole line, as fast as it goes: sizes, arithmetic, frames painted together.
import { ABSOLUTE, fixed, holds } from '../section.mjs';
import { measureRow } from './row.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */

const SIZES = [
	{ source: '512x288', painted: '512x288' },
	{ source: '640x360', painted: '640x352' },
	{ source: '512x512', painted: '512x512' },
	{ source: '1280x720', painted: '512x288' },
];

const sizeOf = (/** @type {string} */ size) => {
	const [width, height] = size.split('x').map(Number);
	return { width, height };
};

/** @returns {Promise<Section[]>} */
export const measureLine = async (/** @type {Bench} */ { small, clip, say }) => {
	const rows = [];
	for (const { source, painted } of small ? SIZES.slice(0, 1) : SIZES)
		for (const precision of ['int8', 'fp32'])
			for (const batchSize of small ? [1, 4] : [1, 4, 8]) {
				// The first row is the one that claims are made of: 480 frames, as in arXiv 2606.05981.
				const frames = small ? 12 : rows.length === 0 ? 480 : 160;
				const row = await measureRow({
					source: `file:${await clip(source, frames)}`,
					sinks: ['null'],
					output: 'source',
					pace: 'max',
					provider: 'cpu',
					style: 'oil-painting',
					size: sizeOf(painted),
					tuning: { precision, batchSize },
				});
				rows.push({ source, painted, precision, batchSize, ...row });
				say(`${source} ${precision} batch ${batchSize}: ${fixed(row.report.fps, 1)} frames/s`);
			}
	const [first] = rows;
	const reaches = (/** @type {string} */ what, /** @type {number} */ least, note = '') => {
		const { fps } = first.report;
		return holds(what, `${least} or more`, fixed(fps, 1), fps >= least, note, ABSOLUTE);
	};
	return [
		{
			name: 'line',
			title: 'The whole line',
			text: `A clip of the built-in scene is decoded, painted and dropped, every frame of it, as fast as that goes. Ratios are to the first row. Latency includes the frames that wait for the painter, which at this pace are many; the live figures are those that are felt. CPU time is that of all processes, loading the model included.`,
			head: [
				'source',
				'painted',
				'',
				'batch',
				'frames/s',
				'ratio',
				'p50 ms',
				'p95 ms',
				'p99 ms',
				'CPU ms/frame',
				'RSS MiB',
			],
			rows: rows.map(({ source, painted, precision, batchSize, report, cpuMsPerFrame }) => [
				source,
				painted,
				precision,
				`${batchSize}`,
				fixed(report.fps, 1),
				fixed(report.fps / first.report.fps),
				fixed(report.latencyMs.p50, 0),
				fixed(report.latencyMs.p95, 0),
				fixed(report.latencyMs.p99, 0),
				fixed(cpuMsPerFrame, 1),
				`${report.rssPeakMiB}`,
			]),
			values: rows,
			verdicts: [
				reaches('frames/s at 512x288 over 480 frames', 30),
				reaches('the same, the goal', 60, 'a goal, not a must'),
			],
		},
	];
};
