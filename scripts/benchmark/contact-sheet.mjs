// Pictures side by side: a column for each painter, its name above it.
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** @typedef {{ label: string, files: string[] }} Column Pictures from above to below */

const CELL = { width: 384, height: 216 };
const LABEL = 30;
const GAP = 4;

/** Writes one JPEG of pictures of one shape; `folder` is for what ffmpeg reads. */
export const writeContactSheet = async (
	/** @type {Column[]} */ columns,
	/** @type {string} */ file,
	/** @type {string} */ folder,
) => {
	const inputs = columns.flatMap(({ files }) => files.flatMap((path) => ['-i', path]));
	const cells = [];
	const places = [];
	let input = 0;
	for (const [x, { label, files }] of columns.entries()) {
		// A name may have characters that mean something in a filter; in a file of its own it has not.
		const words = join(folder, `label-${x}.txt`);
		await writeFile(words, label);
		for (const y of files.keys()) {
			const above = y === 0 ? LABEL : GAP;
			const padded = `pad=${CELL.width + GAP}:${CELL.height + above}:0:${above}:white`;
			const named = `drawtext=textfile=${words}:expansion=none:fontsize=19:fontcolor=black:x=4:y=22-ascent`;
			const filters = [`scale=${CELL.width}:${CELL.height}:flags=area`, 'format=rgb24', padded];
			cells.push(`[${input}:v]${[...filters, ...(y === 0 ? [named] : [])].join(',')}[c${input}]`);
			places.push(`${x * (CELL.width + GAP)}_${y === 0 ? 0 : LABEL + CELL.height + (y - 1) * (CELL.height + GAP)}`);
			input++;
		}
	}
	const all = Array.from({ length: input }, (_, i) => `[c${i}]`).join('');
	const graph = [...cells, `${all}xstack=inputs=${input}:layout=${places.join('|')}`].join(';');
	const output = [
		'-filter_complex',
		graph,
		'-frames:v',
		'1',
		'-pix_fmt',
		'yuvj420p',
		'-q:v',
		'4',
		'-update',
		'1',
		file,
	];
	await promisify(execFile)('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...inputs, ...output]);
};
