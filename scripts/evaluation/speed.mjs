// How fast and how large: `allaprima run --pace max`, and the model's folder.
import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fixed, holds, percent } from '../section.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('../../sidecar/telemetry/report.ts').Report} Report */

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** @returns {Promise<Report>} */
const run = async (/** @type {string} */ model, /** @type {number} */ frames, /** @type {string[]} */ ...flags) => {
	const usual = [
		'--source',
		'scene',
		'--sink',
		'null',
		'--size',
		'512x288',
		'--pace',
		'max',
		'--provider',
		'cpu',
		'--json',
	];
	const { stdout } = await promisify(execFile)(process.execPath, [
		cli,
		'run',
		'--model',
		model,
		'--frames',
		`${frames}`,
		...usual,
		...flags,
	]);
	return JSON.parse(stdout);
};

/** @returns {Promise<Section[]>} */
export const judgeSpeed = async (
	/** @type {{ model: string, folder: string, hasInt8: boolean, frames: number }} */ { model, folder, hasInt8, frames },
) => {
	const [busy] = loadavg();
	const precisions = ['fp32', ...(hasInt8 ? ['int8'] : [])];
	/** @type {Record<string, Report>} */
	const values = {};
	for (const precision of precisions) values[precision] = await run(model, frames, '--precision', precision);
	const best = precisions.at(-1) ?? 'fp32';
	for (const every of [1, 4, 16])
		values[`${best}, encoder every ${every}`] = await run(
			model,
			frames,
			'--precision',
			best,
			'--te-refresh-every',
			`${every}`,
		);
	const fps = Math.max(...precisions.map((precision) => values[precision].fps));
	const bytes = (await Promise.all((await readdir(folder)).map((name) => stat(join(folder, name))))).reduce(
		(sum, { size }) => sum + size,
		0,
	);
	const [{ machine, commit }] = Object.values(values);
	return [
		{
			name: 'speed',
			title: 'Rate',
			text: `The scene through \`allaprima run --pace max\` at 512x288, ${frames} frames · ${machine} · ${commit}. Side is the encoder's stream, main the denoiser's: median busy time a frame, and the share of the time that the side stream is busy. Load average before: ${fixed(busy, 1)}; figures are those of a quiet machine only where it is far under 1.`,
			head: ['', 'frames/s', 'side ms', 'main ms', 'text and vision ms', 'side busy'],
			rows: Object.entries(values).map(([what, { fps: rate, sideStreamMs, mainStreamMs, stagesMs }]) => [
				what,
				fixed(rate, 1),
				fixed(sideStreamMs, 1),
				fixed(mainStreamMs, 1),
				fixed(stagesMs['te']?.p50 ?? 0, 1),
				percent((sideStreamMs * rate) / 1000),
			]),
			values: { runs: values, folderBytes: bytes, loadBefore: busy },
			verdicts: [
				holds(
					'frames/s at 512x288 through the whole line',
					'30 or more',
					fixed(fps, 1),
					fps >= 30,
					precisions.map((p) => `${p} ${fixed(values[p].fps, 1)}`).join(', '),
				),
				holds('size of the model folder', 'under 25 MB', `${fixed(bytes / 1e6, 1)} MB`, bytes < 25e6),
			],
		},
	];
};
