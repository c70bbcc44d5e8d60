// What a camera costs before which nothing moves.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fixed, holds, percent } from '../section.mjs';
import { writeContactSheet } from './contact-sheet.mjs';
import { measureRow } from './row.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */

const run = promisify(execFile);

/** Mean difference of two clips as a share of the full scale, frame by frame from the `from`th on. */
const apart = async (/** @type {string} */ a, /** @type {string} */ b) => {
	const graph =
		'[0:v][1:v]blend=all_mode=difference,format=gray,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-';
	const { stdout } = await run('ffmpeg', [
		'-v',
		'error',
		'-i',
		a,
		'-i',
		b,
		'-filter_complex',
		graph,
		'-f',
		'null',
		'-',
	]);
	const values = [...stdout.matchAll(/YAVG=([\d.]+)/g)].map(([, value]) => Number(value) / 255);
	return values.reduce((sum, value) => sum + value, 0) / values.length;
};

/** One frame of a clip as a picture beside it. */
const pictureOf = async (/** @type {string} */ file, /** @type {number} */ at) => {
	const picture = `${file}.png`;
	await run('ffmpeg', ['-v', 'error', '-y', '-i', file, '-vf', `select=eq(n\\,${at})`, '-frames:v', '1', picture]);
	return picture;
};

/** @returns {Promise<Section[]>} */
export const measureStill = async (/** @type {Bench} */ { small, folder, clip, say, pictures }) => {
	const seconds = small ? 2 : 40;
	const moving = await clip('512x288', small ? 12 : 480);
	const one = join(folder, 'still.png');
	await run('ffmpeg', ['-v', 'error', '-y', '-i', moving, '-frames:v', '1', one]);
	/** @type {Record<string, string>} */
	const clips = { 'nothing moves': '', 'nothing but noise (σ 3 of 255)': 'noise=alls=10:allf=t,' };
	const rows = [];
	/** @type {Record<string, string[]>} */
	const columns = { source: [], 'every frame painted': [], 'as it starts': [] };
	for (const [what, filter] of Object.entries(clips)) {
		const source = join(folder, `still-${rows.length}.mp4`);
		const encode = ['-vf', `${filter}format=yuv420p`, '-c:v', 'libx264', '-crf', '8', '-preset', 'fast'];
		await run('ffmpeg', [
			'-v',
			'error',
			'-y',
			'-loop',
			'1',
			'-framerate',
			'24',
			'-t',
			`${seconds}`,
			'-i',
			one,
			...encode,
			source,
		]);
		const configuration = {
			source: `file:${source}`,
			style: 'oil-painting',
			provider: 'cpu',
			http: 'off',
			size: { width: 512, height: 288 },
			sinks: ['null'],
		};
		/** @type {Record<string, import('./row.mjs').Row>} */
		const measured = {};
		for (const [name, tuning] of Object.entries({ all: { similarityThreshold: 0 }, reused: {} }))
			measured[name] = await measureRow({ ...configuration, tuning });
		// The pictures, of every frame, without a clock that could leave one out.
		/** @type {Record<string, string>} */
		const painted = {};
		for (const [name, similarityThreshold] of Object.entries({ all: 0, reused: 3 })) {
			painted[name] = join(folder, `still-${rows.length}-${name}.mkv`);
			await measureRow({
				...configuration,
				pace: 'max',
				frames: small ? 30 : 120,
				sinks: [`file:${painted[name]}`],
				tuning: { similarityThreshold },
			});
		}
		for (const [label, file] of [
			['source', source],
			['every frame painted', painted['all']],
			['as it starts', painted['reused']],
		])
			// prettier-ignore
			columns[label].push(await pictureOf(file, small ? 20 : 100));
		const difference = await apart(painted['all'], painted['reused']);
		const { all, reused } = measured;
		const share = reused.cpuMsPerFrame / all.cpuMsPerFrame;
		rows.push({ what, all, reused, share, difference });
		say(`${what}: ${percent(share)} of the CPU time, ${percent(difference, 2)} apart`);
	}
	const [still] = rows;
	/** @type {Section['pictures']} */
	const shown = [];
	if (pictures) {
		const sheet = Object.entries(columns).map(([label, files]) => ({ label, files }));
		await writeContactSheet(sheet, join(pictures, 'benchmark-still.jpg'), folder);
		shown.push({
			file: 'pictures/benchmark-still.jpg',
			caption: `The same frame, left to right: ${Object.keys(columns).join(', ')}. Above: ${rows.map(({ what }) => what).join(', below: ')}.`,
		});
	}
	return [
		{
			name: 'still',
			title: 'When nothing moves',
			text: `A still picture, live at 24 frames/s for ${seconds} s, once with every frame painted (\`--similarity-threshold 0\`). Loading the model is part of the CPU time. Apart: the mean difference of all paintings from those of a run that painted every frame.`,
			head: ['', 'CPU ms/frame', 'all painted', 'share', 'frames that were the last again', 'apart'],
			rows: rows.map(({ what, all, reused, share, difference }) => [
				what,
				fixed(reused.cpuMsPerFrame, 1),
				fixed(all.cpuMsPerFrame, 1),
				percent(share),
				percent(reused.report.framesReused / reused.report.framesOut),
				percent(difference, 2),
			]),
			values: rows,
			pictures: shown,
			verdicts: [
				holds(
					'CPU time of a still picture, of full painting',
					'a third at most',
					percent(still.share),
					still.share <= 1 / 3,
				),
				holds('its picture, from full painting', 'within 1 %', percent(still.difference, 2), still.difference <= 0.01),
			],
		},
	];
};
