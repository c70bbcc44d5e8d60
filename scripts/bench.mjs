// The benchmark: one run, its tables, in Markdown.
// --out writes benchmarks.md, benchmarks.json and the pictures there, as docs/ has them; --data has clips for the contact sheet,
// --against the JSON of an earlier run.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureAblation } from './benchmark/ablation.mjs';
import { compareRuns, readRun } from './benchmark/again.mjs';
import { openClips } from './benchmark/clips.mjs';
import { measureChannels } from './benchmark/channels.mjs';
import { measureLimit } from './benchmark/limit.mjs';
import { measureLine } from './benchmark/line.mjs';
import { measureLive } from './benchmark/live.mjs';
import { measurePeers } from './benchmark/peers.mjs';
import { measureProfile } from './benchmark/profile.mjs';
import { measureSimulation } from './benchmark/simulation.mjs';
import { measureStill } from './benchmark/still.mjs';
import { measureTakenAway } from './benchmark/taken-away.mjs';
import { ABSOLUTE, fixed, percent, RATIO, report } from './section.mjs';

const USAGE =
	'Usage: scripts/bench [--small] [--only SECTION,...] [--json FILE] [--out FOLDER] [--data FOLDER] [--against FILE]';
/** @returns {never} */
const refuse = (/** @type {string} */ message) => {
	console.error(`bench: ${message}\n${USAGE}`);
	process.exit(2);
};
const readFlags = () => {
	try {
		return parseArgs({
			options: {
				small: { type: 'boolean', default: false },
				only: { type: 'string' },
				json: { type: 'string' },
				out: { type: 'string' },
				data: { type: 'string' },
				against: { type: 'string' },
				help: { type: 'boolean', short: 'h', default: false },
			},
		}).values;
	} catch (error) {
		return refuse(/** @type {Error} */ (error).message);
	}
};
const flags = readFlags();
if (flags.help) {
	console.log(USAGE);
	process.exit(0);
}

const SECTIONS = {
	line: measureLine,
	peers: measurePeers,
	live: measureLive,
	still: measureStill,
	channels: measureChannels,
	limit: measureLimit,
	profile: measureProfile,
	'taken-away': measureTakenAway,
	ablation: measureAblation,
	simulation: measureSimulation,
};
const isSection = (/** @type {string} */ name) => Object.hasOwn(SECTIONS, name);
const wanted = flags.only?.split(',').filter(Boolean) ?? Object.keys(SECTIONS);
const strange = wanted.filter((name) => !isSection(name));
if (strange.length > 0) refuse(`there is no ${strange.join(', ')}; there are ${Object.keys(SECTIONS).join(', ')}`);

const earlier =
	flags.against === undefined
		? undefined
		: await readRun(flags.against).catch((/** @type {Error} */ error) => refuse(`--against: ${error.message}`));

const dist = (/** @type {string} */ file) => new URL(`../dist/${file}`, import.meta.url).href;
const { describeCommit, describeMachine } = await import(dist('telemetry/provenance.js'));
const folder = await mkdtemp(join(tmpdir(), 'allaprima-bench-'));
const startedMs = performance.now();
const say = (/** @type {string} */ line) =>
	process.stderr.write(`${((performance.now() - startedMs) / 1000).toFixed(0)} s: ${line}\n`);

try {
	const pictures = flags.out && join(flags.out, 'pictures');
	if (pictures) await mkdir(pictures, { recursive: true });
	const [busy] = loadavg();
	const commit = describeCommit(); // before there are pictures in it
	/** @type {import('./section.mjs').Section[]} */
	const sections = [];
	const { small, data } = flags;
	const clip = openClips(folder);
	for (const [name, measure] of Object.entries(SECTIONS))
		if (wanted.includes(name)) sections.push(...(await measure({ small, folder, clip, say, pictures, data })));

	if (earlier) sections.push(compareRuns(sections, earlier));

	const minutes = (performance.now() - startedMs) / 60_000;
	const quiet = `Load average before: ${fixed(busy, 1)}; figures are those of a quiet machine only where it is far under 1. From one run to the next, ratios may differ by ${percent(RATIO)}, and times and rates by ${percent(ABSOLUTE)}, for the machine itself is not equally fast at all times; \`--against FILE\` says whether they do.`;
	const where = `${describeMachine()} · ${commit} · ${new Date().toISOString()}`;
	const command = `\`./scripts/bench\` measured this in ${fixed(minutes, 0)} minutes; a small form of it is among the tests.`;
	const markdown = report({ title: 'Benchmarks', facts: `${command} ${where}. ${quiet}`, sections });
	const figures = sections.map(({ name, verdicts, values }) => ({ name, verdicts, values }));
	const json = `${JSON.stringify({ where, busy, sections: figures }, null, '\t')}\n`;
	console.log(markdown);
	if (flags.json) await writeFile(flags.json, json);
	if (flags.out) {
		await writeFile(join(flags.out, 'benchmarks.md'), `${markdown}\n`);
		await writeFile(join(flags.out, 'benchmarks.json'), json);
	}
} finally {
	await rm(folder, { recursive: true, force: true });
}
