// Judges a model through the product, on what training never saw: every line of "How it is judged" in one table.
// `scripts/evaluate [--model NAME|DIR] [--data FOLDER]... [--quick] [--only NAME,...] [--precision P] [--json FILE] [--sheets DIR]`
// prints Markdown. Without --data, or where nothing held out is in it, drawn scenes are painted.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { judgeClips, judgeStillness } from './evaluation/clips.mjs';
import { openFootage } from './evaluation/footage.mjs';
import { noiseOf, openPainter } from './evaluation/painter.mjs';
import { judgeDetail, judgeMixtures, judgeModifiers, judgeSentences } from './evaluation/pictures.mjs';
import { report } from './section.mjs';
import { writeSheets } from './evaluation/sheets.mjs';
import { judgeSpeed } from './evaluation/speed.mjs';

const { values: flags } = parseArgs({
	options: {
		model: { type: 'string', default: 'lite' },
		data: { type: 'string', multiple: true, default: [] },
		precision: { type: 'string', default: 'auto' },
		quick: { type: 'boolean', default: false },
		small: { type: 'boolean', default: false },
		only: { type: 'string' },
		json: { type: 'string' },
		sheets: { type: 'string' },
	},
});
const { precision } = flags;
if (precision !== 'fp32' && precision !== 'int8' && precision !== 'auto')
	throw new Error('--precision takes fp32, int8 or auto');

const SIZE = { width: 512, height: 288 };
const FULL = {
	counts: { stills: 14, clips: 7, frames: 18, sentences: 24 },
	refreshes: [1, 2, 4, 8, 16],
	transferClips: 3,
	speedFrames: 300,
};
const QUICK = {
	counts: { stills: 4, clips: 3, frames: 8, sentences: 6 },
	refreshes: [2, 8],
	transferClips: 1,
	speedFrames: 60,
};
/** For the tests: everything, once. */
const SMALL = {
	counts: { stills: 1, clips: 1, frames: 3, sentences: 1 },
	refreshes: [8],
	transferClips: 1,
	speedFrames: 8,
};
const extent = flags.small ? SMALL : flags.quick ? QUICK : FULL;

const folder = await mkdtemp(join(tmpdir(), 'allaprima-evaluation-'));
const startedMs = performance.now();
const done = (/** @type {string} */ what) =>
	process.stderr.write(`${((performance.now() - startedMs) / 1000).toFixed(0)} s: ${what}\n`);
const painter = await openPainter({ model: flags.model, precision, size: SIZE });
try {
	const { manifest, path, int8Graphs, usual } = painter;
	const judgements = {
		speed: () =>
			judgeSpeed({
				model: flags.model,
				folder: path,
				hasInt8: manifest.int8 !== undefined,
				frames: extent.speedFrames,
			}),
		detail: () => judgeDetail(painter, footage),
		stillness: () => judgeStillness(painter, footage),
		modifiers: () => judgeModifiers(painter, footage),
		sentences: () => judgeSentences(painter, footage),
		mixtures: () => judgeMixtures(painter, footage),
		clips: () => judgeClips(painter, footage, { ...extent, done }),
	};
	const wanted = flags.only?.split(',').filter(Boolean) ?? Object.keys(judgements);
	const strange = wanted.filter((name) => !(name in judgements));
	if (strange.length > 0)
		throw new Error(`there is no ${strange.join(', ')}; there are ${Object.keys(judgements).join(', ')}`);

	const title = `${manifest.name} ${manifest.version}`;
	const arithmetic = int8Graphs.length > 0 ? `${int8Graphs.join(', ')} in int8, the rest in fp32` : 'fp32';
	const facts = `Through the product's engine at ${SIZE.width}x${SIZE.height}, ${arithmetic}. It starts with ${usual.noise} noise, the adapter every ${usual.condRefreshEvery} and the encoder every ${usual.teRefreshEvery} frames.`;
	/** @type {import('./section.mjs').Section[]} */
	const sections = [];
	const judge = async (/** @type {keyof typeof judgements} */ name) => {
		if (!wanted.includes(name)) return;
		sections.push(...(await judgements[name]()));
		done(name);
		// After each, so that a run that is cut off leaves what it found.
		const figures = sections.map(({ name: section, values, verdicts }) => ({ name: section, verdicts, values }));
		if (flags.json)
			await writeFile(flags.json, `${JSON.stringify({ model: title, facts, sections: figures }, null, '\t')}\n`);
	};

	// Before the teachers keep both cores busy.
	await judge('speed');
	const footage = await openFootage({
		folder,
		data: flags.data,
		noise: noiseOf(manifest, SIZE),
		counts: extent.counts,
	});
	const seen = footage.isDrawn ? 'drawn scenes' : 'clips, photographs and drawn scenes that training never saw';
	done(`${seen}: ${[...footage.stillNames, ...footage.clips.keys()].join(', ')}`);
	if (flags.sheets) {
		await writeSheets(painter, footage, flags.sheets);
		done(`sheets: ${[...footage.looks.keys()].join(', ')}`);
	}
	await judge('detail');
	await judge('stillness');
	await judge('modifiers');
	await judge('sentences');
	await judge('mixtures');
	await judge('clips');
	if (sections.length > 0) console.log(report({ title, facts: `${facts} It painted ${seen}.`, sections }));
} finally {
	await painter.close();
	await rm(folder, { recursive: true, force: true });
}
