// What was to be reached, beside an earlier run of the same: how far two runs of one machine are apart.
import { readFile } from 'node:fs/promises';
import { holds, percent } from '../section.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('../section.mjs').Verdict} Verdict */
/** @typedef {{ where: string, sections: { verdicts: Verdict[] }[] }} Run As --out and --json write it */

/** @returns {Promise<Run>} */
export const readRun = async (/** @type {string} */ file) => {
	const run = JSON.parse(await readFile(file, 'utf8'));
	const isRun = typeof run?.where === 'string' && Array.isArray(run.sections);
	if (!isRun || !run.sections.every((/** @type {Section} */ { verdicts }) => Array.isArray(verdicts)))
		throw new Error(`${file} is not what scripts/bench --json writes`);
	return run;
};

/** The number that a verdict begins with; NaN where it has none. */
const numberOf = (/** @type {Verdict} */ { measured }) => Number.parseFloat(measured);

/** @returns {Section} */
export const compareRuns = (/** @type {Section[]} */ sections, /** @type {Run} */ earlier) => {
	const before = new Map(
		earlier.sections.flatMap(({ verdicts }) => verdicts).map((verdict) => [verdict.what, verdict]),
	);
	const rows = [];
	for (const verdict of sections.flatMap(({ verdicts }) => verdicts)) {
		const other = before.get(verdict.what);
		// What is not a number, or none at all, is no further apart than the tables show.
		if (!other || !(numberOf(verdict) > 0 && numberOf(other) > 0)) continue;
		const { what, measured: now, spread, isDeviation } = verdict;
		// From how far a figure is off, in percent, to that figure: two that are hardly off are not twice one another.
		const whole = isDeviation ? 100 : 0;
		const change = (whole + numberOf(verdict)) / (whole + numberOf(other)) - 1;
		rows.push({ what, before: other.measured, now, change, spread, isWithin: Math.abs(change) <= spread });
	}
	const within = rows.filter(({ isWithin }) => isWithin).length;
	return {
		name: 'again',
		title: 'Run again',
		text: `The same on the same machine in an earlier run (${earlier.where}).`,
		head: ['', 'earlier', 'now', 'apart', 'stated spread'],
		rows: rows.map(({ what, before: first, now, change, spread, isWithin }) => [
			what,
			first,
			now,
			`${change < 0 ? '−' : '+'}${percent(Math.abs(change))}${isWithin ? '' : ', **more**'}`,
			percent(spread),
		]),
		values: rows,
		verdicts: [
			holds(
				'figures that agree with an earlier run within the stated spread',
				'all',
				`${within} of ${rows.length}`,
				within === rows.length,
			),
		],
	};
};
