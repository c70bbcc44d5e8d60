// What a judgement gives: a table, its figures, and what was to be reached.

/** @typedef {{ what: string, aim: string, measured: string, holds: boolean, note: string }} Verdict */
/**
 * @typedef {{
 *   name: string,
 *   title: string,
 *   text: string,
 *   head: string[],
 *   rows: string[][],
 *   values: unknown,
 *   verdicts: Verdict[],
 * }} Section
 */

/** @returns {Verdict} */
export const holds = (
	/** @type {string} */ what,
	/** @type {string} */ aim,
	/** @type {string} */ measured,
	/** @type {boolean} */ isSo,
	note = '',
) => ({ what, aim, measured, holds: isSo, note });

export const fixed = (/** @type {number} */ value, digits = 2) => value.toFixed(digits);
export const percent = (/** @type {number} */ share, digits = 0) => `${(100 * share).toFixed(digits)} %`;

/** @template T @returns {number} */
export const shareOf = (/** @type {T[]} */ items, /** @type {(item: T, index: number) => boolean} */ isSo) =>
	items.filter(isSo).length / Math.max(items.length, 1);

export const table = (/** @type {string[]} */ head, /** @type {string[][]} */ rows) =>
	[head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

/** @returns {string} Markdown */
export const report = (
	/** @type {{ title: string, facts: string, sections: Section[] }} */ { title, facts, sections },
) => {
	const verdicts = sections.flatMap((section) => section.verdicts);
	const judged = verdicts.map(({ what, aim, measured, holds: isSo, note }) => [
		what,
		aim,
		measured,
		isSo ? 'yes' : '**no**',
		note,
	]);
	return [
		`# ${title}`,
		facts,
		table(['', 'aim', 'measured', 'reached', ''], judged),
		...sections.flatMap(({ title: heading, text, head, rows }) => [`## ${heading}`, text, table(head, rows)]),
	].join('\n\n');
};
