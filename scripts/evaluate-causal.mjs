// Judges a causal transformer on what training never saw.
// `scripts/evaluate causal [--model NAME|DIR] [--data FOLDER]... [--quick] [--only NAME,...] [--json FILE] [--sheets DIR]` prints Markdown. Without
// --data, or where nothing held out is in it, drawn scenes are painted. Sheets are RGB frames of the model's size without any header.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { judgeAnchor } from './evaluation/anchor.mjs';
import { judgeBuffer, judgeDrift, judgeMaskCache, judgePaintings, judgeSwitch } from './evaluation/causal.mjs';
import { openFootage } from './evaluation/footage.mjs';
import { noiseOf } from './evaluation/painter.mjs';
import { openStream } from './evaluation/stream.mjs';
import { report } from './section.mjs';

const { values: flags } = parseArgs({
	options: {
		model: { type: 'string', default: 'lite-dit' },
		data: { type: 'string', multiple: true, default: [] },
		quick: { type: 'boolean', default: false },
		small: { type: 'boolean', default: false },
		only: { type: 'string' },
		json: { type: 'string' },
		sheets: { type: 'string' },
	},
});

const FULL = {
	counts: { stills: 10, clips: 4, frames: 24, sentences: 1 },
	frames: 1800,
	styles: ['pencil-sketch'],
	anchored: Infinity,
	buffered: Infinity,
};
const QUICK = {
	counts: { stills: 4, clips: 2, frames: 12, sentences: 1 },
	frames: 240,
	styles: ['pencil-sketch'],
	anchored: 3,
	buffered: 3,
};
/** For the tests: everything, once. */
const SMALL = {
	counts: { stills: 2, clips: 1, frames: 6, sentences: 1 },
	frames: 12,
	styles: ['anime'],
	anchored: 1,
	buffered: 1,
};
const extent = flags.small ? SMALL : flags.quick ? QUICK : FULL;

const startedMs = performance.now();
const done = (/** @type {string} */ what) =>
	process.stderr.write(`${((performance.now() - startedMs) / 1000).toFixed(0)} s: ${what}\n`);

const folder = await mkdtemp(join(tmpdir(), 'allaprima-evaluation-'));
const stream = await openStream(flags.model);
try {
	const { manifest, size } = stream;
	const { counts, frames, styles, anchored, buffered } = extent;
	const footage = await openFootage({ folder, data: flags.data, noise: noiseOf(manifest, size), size, counts });
	const { sheets } = flags;
	if (sheets) await mkdir(sheets, { recursive: true });
	const judgements = {
		paintings: () => judgePaintings(stream, footage),
		drift: () => judgeDrift(stream, footage, { frames, styles, sheets, done }),
		anchor: () => judgeAnchor(stream, footage, { styles: anchored, sheets }),
		switch: () => judgeSwitch(stream, footage, { sheets }),
		maskCache: () => judgeMaskCache(stream, footage),
		buffer: () => judgeBuffer(stream, footage, { styles: buffered }),
	};
	const names = /** @type {(keyof typeof judgements)[]} */ (Object.keys(judgements));
	const wanted = flags.only?.split(',').filter(Boolean) ?? names;
	const strange = wanted.filter((name) => !(name in judgements));
	if (strange.length > 0) throw new Error(`there is no ${strange.join(', ')}; there are ${names.join(', ')}`);
	const title = `${manifest.name} ${manifest.version}`;
	const seen = footage.isDrawn ? 'drawn scenes' : 'clips and photographs that training never saw';
	const facts = `Through the product's classes at ${size.width}x${size.height}, in fp32, ${manifest.tuning.steps} steps, a window of ${manifest.window.frames} frames. It painted ${seen}.`;
	/** @type {import('./section.mjs').Section[]} */
	const sections = [];
	for (const name of names.filter((one) => wanted.includes(one))) {
		sections.push(...(await judgements[name]()));
		done(name);
		// After each, so that a run that is cut off leaves what it found.
		const figures = sections.map(({ name: section, values, verdicts }) => ({ name: section, verdicts, values }));
		if (flags.json)
			await writeFile(flags.json, `${JSON.stringify({ model: title, facts, sections: figures }, null, '\t')}\n`);
	}
	console.log(report({ title, facts, sections }));
} finally {
	await stream.close();
	await rm(folder, { recursive: true, force: true });
}
